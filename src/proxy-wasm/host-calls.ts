/** The functions of the ABI that a network filter may import. */
import { bufferType, decodePairs, logLevels, mapType, metricType, status, streamType } from "./abi.ts";
import type { HostOptions } from "./host.ts";
import { createShared } from "./host.ts";
import type { VmMemory } from "./memory.ts";
import type { VmState } from "./vm.ts";

type Call = (...args: never[]) => number;

export function createImports(options: HostOptions, state: VmState, memory: VmMemory): WebAssembly.Imports {
  const { shared = createShared(), log = () => {}, now = () => BigInt(Date.now()) * 1_000_000n } = options;
  const metricNames: string[] = [];
  const give = (bytes: Uint8Array | undefined, result: number, size: number) =>
    bytes === undefined ? status.notFound : memory.give(bytes, result, size) ? status.ok : status.badArgument;

  function property(path: string): Uint8Array | undefined {
    const text = path.split("\0").join(".");
    const { current } = state;
    const value = text === "plugin_root_id" ? current?.rootId : current?.properties[text];
    return value === undefined ? undefined : new TextEncoder().encode(value);
  }

  function buffer(type: number): Uint8Array | undefined {
    if (type === bufferType.httpCallResponseBody) return state.response?.body;
    if (type === bufferType.pluginConfiguration) return state.current?.configuration;
    if (type === bufferType.vmConfiguration) return new TextEncoder().encode(options.vmConfiguration ?? "");
    return undefined;
  }

  function metric(id: number, change: (value: number) => number): number {
    const name = metricNames[id - 1];
    if (name === undefined) return status.notFound;
    shared.metrics.set(name, change(shared.metrics.get(name) ?? 0));
    return status.ok;
  }

  const env: Record<string, Call> = {
    proxy_log(level: number, text: number, size: number) {
      log(logLevels[level] ?? "info", memory.text(text, size));
      return status.ok;
    },
    proxy_get_log_level(result: number) {
      memory.u32(result, 0);
      return status.ok;
    },
    proxy_get_current_time_nanoseconds(result: number) {
      memory.u64(result, now());
      return status.ok;
    },
    proxy_set_tick_period_milliseconds(ms: number) {
      const { current } = state;
      const root = current?.root ?? current;
      if (root !== undefined) root.tickMs = ms === 0 ? undefined : ms;
      return status.ok;
    },
    proxy_get_property: (path: number, pathSize: number, result: number, size: number) =>
      give(property(memory.text(path, pathSize)), result, size),
    proxy_get_buffer_bytes(type: number, start: number, most: number, result: number, size: number) {
      const bytes = buffer(type);
      return give(bytes?.subarray(start >>> 0, (start >>> 0) + (most >>> 0)), result, size);
    },
    proxy_get_header_map_value(map: number, name: number, nameSize: number, result: number, size: number) {
      const wanted = memory.text(name, nameSize).toLowerCase();
      const headers = map === mapType.httpCallResponseHeaders ? (state.response?.headers ?? []) : [];
      const found = headers.find(([each]) => each.toLowerCase() === wanted)?.[1];
      return give(found === undefined ? undefined : new TextEncoder().encode(found), result, size);
    },
    proxy_get_shared_data(key: number, keySize: number, result: number, size: number, cas: number) {
      const found = shared.data.get(memory.text(key, keySize));
      if (found === undefined) return status.notFound;
      memory.u32(cas, found.cas);
      return give(found.value, result, size);
    },
    proxy_set_shared_data(key: number, keySize: number, value: number, size: number, cas: number) {
      const name = memory.text(key, keySize);
      const before = shared.data.get(name)?.cas ?? 0;
      if (cas !== 0 && cas !== before) return status.casMismatch;
      shared.data.set(name, { value: memory.read(value, size), cas: before + 1 });
      return status.ok;
    },
    proxy_http_call(
      cluster: number,
      clusterSize: number,
      headers: number,
      headersSize: number,
      body: number,
      bodySize: number,
      _trailers: number,
      _trailersSize: number,
      timeoutMs: number,
      result: number,
    ) {
      const token = state.httpCall({
        cluster: memory.text(cluster, clusterSize),
        headers: decodePairs(memory.read(headers, headersSize)),
        body: memory.read(body, bodySize),
        timeoutMs,
      });
      if (token === undefined) return status.badArgument;
      memory.u32(result, token);
      return status.ok;
    },
    proxy_define_metric(type: number, name: number, size: number, result: number) {
      if (metricType[type] === undefined) return status.badArgument;
      const text = memory.text(name, size);
      if (!metricNames.includes(text)) metricNames.push(text);
      if (!shared.metrics.has(text)) shared.metrics.set(text, 0);
      memory.u32(result, metricNames.indexOf(text) + 1);
      return status.ok;
    },
    proxy_increment_metric: (id: number, by: bigint) => metric(id, (value) => value + Number(by)),
    proxy_record_metric: (id: number, value: bigint) => metric(id, () => Number(value)),
    proxy_get_metric(id: number, result: number) {
      const name = metricNames[id - 1];
      if (name === undefined) return status.notFound;
      memory.u64(result, BigInt(shared.metrics.get(name) ?? 0));
      return status.ok;
    },
    proxy_set_effective_context(id: number) {
      const context = state.contexts.get(id);
      if (context === undefined) return status.badArgument;
      state.current = context;
      return status.ok;
    },
    proxy_continue_stream(stream: number) {
      if (stream !== streamType.downstream) return status.badArgument;
      state.current?.connection?.continue();
      return status.ok;
    },
    proxy_close_stream(stream: number) {
      if (stream !== streamType.downstream && stream !== streamType.upstream) return status.badArgument;
      state.current?.connection?.end();
      return status.ok;
    },
    proxy_call_foreign_function(
      name: number,
      nameSize: number,
      argument: number,
      argumentSize: number,
      result: number,
      size: number,
    ) {
      const answer = options.foreign?.(
        memory.text(name, nameSize),
        memory.read(argument, argumentSize),
        state.current?.connection,
      );
      return give(answer, result, size);
    },
    proxy_done: () => status.ok,
  };

  const missing: Record<string, Record<string, Call>> = { env };
  for (const { module, name, kind } of WebAssembly.Module.imports(options.module)) {
    if (kind !== "function")
      throw new TypeError(`the filter imports ${module}.${name}, which is no function`);
    missing[module] ??= {};
    // A filter of another kind, or WASI: it may import what it never calls.
    missing[module][name] ??= () => status.unimplemented;
  }
  return missing as WebAssembly.Imports;
}
