/** The filter's memory as the host reads and writes it. Views are made anew each time: it may have grown. */
export interface VmMemory {
  read(pointer: number, size: number): Uint8Array;
  text(pointer: number, size: number): string;
  /** Hands bytes over: the filter allocates them. False: it would not. */
  give(bytes: Uint8Array, resultPointer: number, sizePointer: number): boolean;
  u32(pointer: number, value: number): void;
  u64(pointer: number, value: bigint): void;
  pages(): number;
}

export function createMemory(
  exports: () => WebAssembly.Exports,
  allocate: (size: number) => number,
): VmMemory {
  const buffer = () => (exports().memory as WebAssembly.Memory).buffer;
  const view = () => new DataView(buffer());
  return {
    read: (pointer, size) => new Uint8Array(buffer(), pointer >>> 0, size >>> 0).slice(),
    text: (pointer, size) => new TextDecoder().decode(new Uint8Array(buffer(), pointer >>> 0, size >>> 0)),
    give(bytes, resultPointer, sizePointer) {
      const pointer = bytes.length === 0 ? 0 : allocate(bytes.length);
      if (pointer === 0 && bytes.length > 0) return false;
      new Uint8Array(buffer()).set(bytes, pointer >>> 0);
      view().setUint32(resultPointer, pointer, true);
      view().setUint32(sizePointer, bytes.length, true);
      return true;
    },
    u32: (pointer, value) => view().setUint32(pointer, value, true),
    u64: (pointer, value) => view().setBigUint64(pointer, value, true),
    pages: () => buffer().byteLength / 65536,
  };
}
