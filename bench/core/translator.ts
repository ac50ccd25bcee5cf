/** One of the implementations that are compared; all work on the receive ring in the engine's memory. */
export interface Translator {
  readonly name: "wasm" | "js" | "c";
  /** The first `count` places of the ring → how many packets come out. */
  process(count: number, nowMs: number): number;
  /** The i-th of those; `address` is that of its virtio-net header. */
  output(i: number): { readonly address: number; readonly length: number };
  /** ns for `total` packets in batches; `work` false: laying them into the ring alone. */
  run(batch: number, total: number, work: boolean): number;
  readonly kept?: readonly unknown[];
}
