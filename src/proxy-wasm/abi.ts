/** Numbers of the proxy-wasm ABI 0.2.x (https://github.com/proxy-wasm/spec/tree/main/abi-versions/v0.2.1). */

export const status = {
  ok: 0,
  notFound: 1,
  badArgument: 2,
  casMismatch: 8,
  internalFailure: 10,
  unimplemented: 12,
} as const;

export const logLevels = ["trace", "debug", "info", "warn", "error", "critical"] as const;
export type LogLevel = (typeof logLevels)[number];

export const bufferType = {
  downstreamData: 2,
  upstreamData: 3,
  httpCallResponseBody: 4,
  pluginConfiguration: 7,
  vmConfiguration: 6,
} as const;
export const mapType = { httpCallResponseHeaders: 6, httpCallResponseTrailers: 7 } as const;
export const streamType = { downstream: 2, upstream: 3 } as const;
export const metricType = ["counter", "gauge", "histogram"] as const;
/** Of proxy_on_new_connection and proxy_on_…_data. */
export const action = { continue: 0, pause: 1 } as const;

/** A header map on its way: count, sizes of names and values, then both, each with a NUL. */
export function decodePairs(bytes: Uint8Array): [name: string, value: string][] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const text = new TextDecoder();
  const count = bytes.length < 4 ? 0 : view.getUint32(0, true);
  let at = 4 + count * 8;
  return Array.from({ length: count }, (_, index) => {
    const [nameSize, valueSize] = [0, 4].map((offset) => view.getUint32(4 + index * 8 + offset, true)) as [
      number,
      number,
    ];
    const name = text.decode(bytes.subarray(at, at + nameSize));
    at += nameSize + 1;
    const value = text.decode(bytes.subarray(at, at + valueSize));
    at += valueSize + 1;
    return [name, value];
  });
}

export function encodePairs(pairs: readonly (readonly [string, string])[]): Uint8Array {
  const encoder = new TextEncoder();
  const parts = pairs.map(([name, value]) => [encoder.encode(name), encoder.encode(value)] as const);
  const size = parts.reduce(
    (sum, [name, value]) => sum + name.length + value.length + 2,
    4 + parts.length * 8,
  );
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, parts.length, true);
  let at = 4 + parts.length * 8;
  for (const [index, [name, value]] of parts.entries()) {
    view.setUint32(4 + index * 8, name.length, true);
    view.setUint32(8 + index * 8, value.length, true);
    bytes.set(name, at);
    bytes.set(value, at + name.length + 1);
    at += name.length + value.length + 2;
  }
  return bytes;
}
