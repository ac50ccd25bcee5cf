import type { Endpoint } from "./redis-url.ts";

export const slotCount = 16384;

/** Slot of a key in a Redis Cluster: CRC-16/XMODEM (Redis Cluster specification, appendix A). Our keys have no hash tag. */
export function slotOf(key: string): number {
  let crc = 0;
  for (const byte of Buffer.from(key)) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1) & 0xffff;
  }
  return crc % slotCount;
}

/** Primary of each range of CLUSTER SLOTS; `asked` stands for a node that leaves its own address out. */
export function readSlots(
  reply: unknown,
  asked: Endpoint,
): { readonly first: number; readonly last: number; readonly primary: Endpoint }[] {
  if (!Array.isArray(reply)) return [];
  return reply.map(([first, last, [host, port]]) => ({
    first: Number(first),
    last: Number(last),
    // '?': the node doesn't know its own name yet.
    primary: {
      host: host === null || host === "" || host === "?" ? asked.host : String(host),
      port: Number(port),
    },
  }));
}

/** `MOVED 3999 127.0.0.1:6381`, `ASK 3999 [::1]:6381` or `MOVED 3999 :6381` (the same host); undefined: something else. */
export function readRedirection(
  message: string,
  asked: Endpoint,
): { readonly kind: "MOVED" | "ASK"; readonly to: Endpoint } | undefined {
  const [, kind, host, port] = /^(MOVED|ASK) \d+ (\S*):(\d+)/.exec(message) ?? [];
  if (kind !== "MOVED" && kind !== "ASK") return undefined;
  return { kind, to: { host: host?.replace(/^\[(.*)\]$/, "$1") || asked.host, port: Number(port) } };
}
