/** What we use of the global that TypeScript only declares together with the browser's. */
declare namespace WebAssembly {
  interface Memory {
    readonly buffer: ArrayBuffer | SharedArrayBuffer;
  }
  interface Global {
    readonly value: unknown;
  }
  class Instance {
    constructor(module: Module, imports: object);
    readonly exports: object;
  }
  class RuntimeError extends Error {}
  class Module {
    constructor(bytes: Uint8Array);
    static imports(
      module: Module,
    ): readonly { readonly module: string; readonly kind: string; readonly name: string }[];
    static exports(module: Module): readonly { readonly kind: string; readonly name: string }[];
  }
}
