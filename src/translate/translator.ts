import { isIpv4 } from "../addresses.ts";
import { memoryDevice } from "../dataplane/memory-device.ts";
import { createPump } from "../dataplane/pump.ts";
import { createEngine } from "../engine/engine.ts";
import { dropReasons } from "../engine/layout.gen.ts";
import { completeChecksum, vnetBytes } from "./checksum.ts";
import { type Eam, parseEam, uniquePrefixes } from "./eamt.ts";
import { embed, parsePool6 } from "./pool6.ts";

export interface TranslatorOptions {
  /** Explicit address mappings; where prefixes lie in each other the longer one holds (RFC 7757 §3.3). */
  readonly eams: readonly ({ readonly v4: string; readonly v6: string } | Eam)[];
  /** RFC 6052 prefix for addresses without a mapping. */
  readonly pool6?: string | undefined;
  /**
   * IPv4 address of the translator: its own ICMP errors come from there, and so do those of IPv6 routers without a
   * mapping (RFC 6791). Without it the latter are dropped, and the former come from where the packet was to go.
   */
  readonly pool6791v4?: string | undefined;
  /** Bytes; of the next links. Default 1500. */
  readonly mtu4?: number | undefined;
  readonly mtu6?: number | undefined;
  /** IPv6 packets are fragmented to this. Default and least 1280. */
  readonly lowestIpv6Mtu?: number | undefined;
}

export interface Translation {
  /** IP packets, checksums complete: the translated one, its fragments, or an ICMP error to the sender. */
  readonly outputs: readonly Uint8Array[];
  /** Name of the drop reason when the packet wasn't translated; an ICMP error may tell the sender. */
  readonly drop?: string;
}

export interface Translator {
  /** `packet` from its IP header on; its IP version chooses the direction. */
  translate(packet: Uint8Array): Translation;
}

/**
 * Stateless translation between IPv4 and IPv6 (SIIT: RFC 7915, RFC 7757, RFC 6052, RFC 6791) by the engine of the
 * gateway. Throws TypeError for options that can't be.
 */
export async function createTranslator(options: TranslatorOptions): Promise<Translator> {
  const settings = statelessSettings(options);
  const engine = await createEngine({ maxSessions: 64, maxMappings: 64 });
  engine.configureStateless(settings);
  const device = memoryDevice(engine.bytes);
  const pump = createPump(engine, device, { dns: () => {}, ask: () => {} });
  const drops = new BigUint64Array(engine.bytes.buffer, engine.layout.dropCounters, dropReasons.length);
  const before = drops.slice();
  let nowMs = 0;

  function dropped(): string | undefined {
    const code = drops.findIndex((count, index) => count !== before[index]);
    if (code < 0) return undefined;
    before.set(drops);
    return dropReasons[code]!.name;
  }

  return {
    translate(packet) {
      const input = new Uint8Array(vnetBytes + packet.length);
      input.set(packet, vnetBytes);
      device.incoming.push(input);
      // Time of its own: the rate limit of ICMP errors is for networks.
      nowMs = (nowMs + 1) >>> 0;
      pump.turn(nowMs);
      const outputs = device.outgoing.splice(0).map(completeChecksum);
      const drop = dropped();
      return drop === undefined ? { outputs } : { outputs, drop };
    },
  };
}

function statelessSettings(options: TranslatorOptions) {
  const { pool6791v4, mtu4 = 1500, mtu6 = 1500, lowestIpv6Mtu = 1280 } = options;
  const add = uniquePrefixes();
  const eams = options.eams.map((eam, index) =>
    add(isText(eam) ? parseEam(eam.v4, eam.v6) : eam, `number ${index + 1}`),
  );
  const pool6 = options.pool6 === undefined ? undefined : parsePool6(options.pool6);
  if (pool6791v4 !== undefined && !isIpv4(pool6791v4))
    throw new TypeError(`${pool6791v4} is not an IPv4 address`);
  for (const [name, value, least] of [
    ["mtu4", mtu4, 68],
    ["mtu6", mtu6, 1280],
    ["lowestIpv6Mtu", lowestIpv6Mtu, 1280],
  ] as const)
    if (!Number.isInteger(value) || value < least || value > 65535)
      throw new TypeError(`${name} ${value} is not between ${least} and 65535`);
  const own6 = pool6791v4 !== undefined && pool6 !== undefined ? embed(pool6, pool6791v4) : undefined;
  return { eams, pool6, own4: pool6791v4, own6, mtu4, mtu6, lowestIpv6Mtu };
}

function isText(eam: TranslatorOptions["eams"][number]): eam is { readonly v4: string; readonly v6: string } {
  return typeof eam.v4 === "string";
}
