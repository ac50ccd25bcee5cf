/** One Wasm instance with its contexts, and how the host calls it. */
import { action } from "./abi.ts";
import type { Connection, HostOptions, HttpCall, HttpResponse, Plugin, Vm } from "./host.ts";
import { createImports } from "./host-calls.ts";
import { createMemory } from "./memory.ts";

/** A root context, or a connection's. */
export interface Context {
  readonly id: number;
  readonly root: Context | undefined;
  readonly rootId: string;
  readonly configuration: Uint8Array;
  properties: Readonly<Record<string, string>>;
  readonly connection: ConnectionState | undefined;
  tickMs: number | undefined;
}

export interface ConnectionState extends Connection {
  continue(): void;
  end(): void;
}

/** What the host calls of the filter see; changes with each callback. */
export interface VmState {
  readonly contexts: Map<number, Context>;
  current: Context | undefined;
  response: HttpResponse | undefined;
  nextToken: number;
  /** An answer comes later, never inside the call. */
  httpCall(call: HttpCall): number | undefined;
}

type Callback = (...args: number[]) => number | undefined;

export function createVm(options: HostOptions): Vm {
  const contexts = new Map<number, Context>();
  let nextId = 1;
  let calls: Record<string, Callback> = {};
  const memory = createMemory(
    () => calls as unknown as WebAssembly.Exports,
    (size) => (calls.proxy_on_memory_allocate ?? calls.malloc)?.(size) ?? 0,
  );
  const state: VmState = {
    contexts,
    current: undefined,
    response: undefined,
    nextToken: 1,
    httpCall(call) {
      const { http } = options;
      const context = state.current;
      if (http === undefined || context === undefined) return undefined;
      const token = state.nextToken++;
      const answered = (response: HttpResponse | undefined) => {
        if (!contexts.has(context.id)) return;
        state.response = response;
        const headers = response?.headers.length ?? 0;
        invoke(context, "proxy_on_http_call_response", token, headers, response?.body.length ?? 0, 0);
        state.response = undefined;
      };
      http(call).then(answered, () => answered(undefined));
      return token;
    },
  };
  const instance = new WebAssembly.Instance(options.module, createImports(options, state, memory));
  calls = instance.exports as unknown as Record<string, Callback>;
  if (!Object.keys(calls).some((name) => /^proxy_abi_version_0_2_\d$/.test(name)))
    throw new TypeError("the module is not a proxy-wasm filter of ABI 0.2.x");
  calls._initialize?.();

  /** With the context in effect. Undefined where the filter doesn't care. */
  function invoke(context: Context, name: string, ...args: number[]): number | undefined {
    const before = state.current;
    state.current = context;
    const result = calls[name]?.(context.id, ...args);
    state.current = before;
    return result;
  }

  function create(fields: Omit<Context, "id" | "tickMs">): Context {
    const context = { ...fields, id: nextId++, tickMs: undefined };
    contexts.set(context.id, context);
    invoke(context, "proxy_on_context_create", fields.root?.id ?? 0);
    return context;
  }

  function remove(context: Context): void {
    if (!contexts.has(context.id)) return;
    invoke(context, "proxy_on_done");
    invoke(context, "proxy_on_delete");
    contexts.delete(context.id);
  }

  function connect(root: Context, properties: Readonly<Record<string, string>>): Connection {
    const connection = createConnection(properties, () => remove(context));
    const { rootId, configuration } = root;
    const context = create({ root, rootId, configuration, properties, connection });
    if (invoke(context, "proxy_on_new_connection") !== action.pause) connection.continue();
    return connection;
  }

  function plugin(rootId: string, text: string): Plugin | undefined {
    const configuration = new TextEncoder().encode(text);
    const root = create({ root: undefined, rootId, configuration, properties: {}, connection: undefined });
    const refused =
      invoke(root, "proxy_on_vm_start", options.vmConfiguration?.length ?? 0) === 0 ||
      invoke(root, "proxy_on_configure", configuration.length) === 0;
    if (refused) {
      remove(root);
      return undefined;
    }
    return {
      tick: () => void invoke(root, "proxy_on_tick"),
      tickMs: () => root.tickMs,
      connect: (properties) => connect(root, properties),
      log(properties) {
        root.properties = properties;
        invoke(root, "proxy_on_log");
        root.properties = {};
      },
    };
  }

  return { plugin, memoryPages: () => memory.pages() };
}

function createConnection(
  properties: Readonly<Record<string, string>>,
  removed: () => void,
): ConnectionState {
  let state: "open" | "paused" | "closed" = "paused";
  let settle: (state: "open" | "closed") => void = () => {};
  const settled = new Promise<"open" | "closed">((resolve) => {
    settle = resolve;
  });
  return {
    properties,
    state: () => state,
    settled: () => settled,
    continue() {
      if (state !== "paused") return;
      state = "open";
      settle(state);
    },
    end() {
      state = "closed";
      settle(state);
      // Not inside the callback that asks for it.
      setImmediate(removed);
    },
    close() {
      state = "closed";
      settle(state);
      removed();
    },
  };
}
