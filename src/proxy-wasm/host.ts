/**
 * A small proxy-wasm host: runs a network filter of ABI 0.2.x in Node, for tests and for programs that embed one. What a
 * VM shares with others (shared data, metrics) is given to it, as Envoy's workers share it.
 */
import type { LogLevel } from "./abi.ts";
import { createVm } from "./vm.ts";

export interface HttpCall {
  readonly cluster: string;
  /** `:method`, `:path`, `:authority` and the rest. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Uint8Array;
  readonly timeoutMs: number;
}

export interface HttpResponse {
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Uint8Array;
}

export interface Shared {
  /** By key; `cas` goes up with each change. */
  readonly data: Map<string, { readonly value: Uint8Array; readonly cas: number }>;
  /** By name. */
  readonly metrics: Map<string, number>;
}

export interface HostOptions {
  readonly module: WebAssembly.Module;
  readonly shared?: Shared;
  readonly vmConfiguration?: string;
  /** Undefined, or a rejection: the call failed. Without it there is no cluster. */
  readonly http?: (call: HttpCall) => Promise<HttpResponse | undefined>;
  readonly log?: (level: LogLevel, text: string) => void;
  /** Undefined: there is no such function. */
  readonly foreign?: (
    name: string,
    argument: Uint8Array,
    connection: Connection | undefined,
  ) => Uint8Array | undefined;
  /** Nanoseconds since 1970. */
  readonly now?: () => bigint;
}

export interface Vm {
  /** Starts a plugin. Undefined: it refuses the configuration, which its log explains. */
  plugin(rootId: string, configuration: string): Plugin | undefined;
  /** Pages of 64 KiB. */
  memoryPages(): number;
}

export interface Plugin {
  /** As Envoy's timer does, every `tickMs`. */
  tick(): void;
  /** Undefined: it wants none. */
  tickMs(): number | undefined;
  /** A new downstream connection; `properties` by dotted path, such as `destination.address`. */
  connect(properties: Readonly<Record<string, string>>): Connection;
  /** As an access logger: of one that has ended. */
  log(properties: Readonly<Record<string, string>>): void;
}

export interface Connection {
  readonly properties: Readonly<Record<string, string>>;
  /** open: it went through the filter; paused: it may go on later. */
  state(): "open" | "paused" | "closed";
  /** Resolves once it is not paused. */
  settled(): Promise<"open" | "closed">;
  /** The client goes away, or what follows the filter has ended it. */
  close(): void;
}

export function createShared(): Shared {
  return { data: new Map(), metrics: new Map() };
}

/** Throws when the module is none of ABI 0.2.x, or its start fails. */
export function createHost(options: HostOptions): Vm {
  return createVm(options);
}
