import type { Lifetime } from "../dns/lifetime.ts";
import type { EngineLayout } from "../engine/engine.ts";
import type { EngineOptions } from "../engine/options.ts";
import type { EngineSettings } from "../engine/settings.ts";

/** Main thread → worker. A message with an `id` is answered by `done`. */
export type ToWorker =
  | { readonly type: "configure"; readonly id: number; readonly settings: EngineSettings }
  | { readonly type: "install"; readonly id: number; readonly nat4: number; readonly host6: Uint8Array }
  | { readonly type: "remove"; readonly id: number; readonly nat4: number }
  /** The answer to `ask`: there is no such mapping, or (timeout) nobody knows. */
  | { readonly type: "unknown"; readonly nat4: number; readonly timeout: boolean }
  | {
      readonly type: "reply";
      readonly context: Uint8Array;
      readonly answer: Uint8Array;
      /** Absent: not to be kept. */
      readonly lifetime?: Lifetime | undefined;
      /** The client has its answer already. */
      readonly refresh: boolean;
    }
  /** The cache of DNS answers is to be emptied. */
  | { readonly type: "flush-dns" }
  | { readonly type: "stop" };

/** Worker → main thread. */
export type FromWorker =
  | { readonly type: "started"; readonly memory: WebAssembly.Memory; readonly layout: EngineLayout }
  | { readonly type: "done"; readonly id: number; readonly error?: string }
  | { readonly type: "ask"; readonly nat4: number }
  | {
      readonly type: "dns";
      readonly context: Uint8Array;
      readonly question: Uint8Array;
      readonly refresh: boolean;
    };

export interface WorkerStart {
  /** Which worker it is, from 0. */
  readonly index: number;
  readonly tun: number;
  /** Becomes readable when a message waits. */
  readonly wake: number;
  /**
   * Two Int32, shared: non-zero when a message waits, which spares a busy worker the system call; and the number of
   * turns that it has made.
   */
  readonly signal: Int32Array;
  readonly port: import("node:worker_threads").MessagePort;
  readonly options: EngineOptions;
}
