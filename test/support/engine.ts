/** A real engine behind the real pump, with a memory device for its network. */
import { ipv4ToNumber, ipv6ToBytes, numberToIpv4 } from "../../src/addresses.ts";
import type { PacketDevice } from "../../src/dataplane/device.ts";
import { memoryDevice } from "../../src/dataplane/memory-device.ts";
import { createPump, type Pump } from "../../src/dataplane/pump.ts";
import { readCounters } from "../../src/engine/counters.ts";
import { createEngine, type Engine, type EngineSizes, wireOrder } from "../../src/engine/engine.ts";
import { dropReasons, type limitsOffsets, limitsOffsets as offsets } from "../../src/engine/layout.gen.ts";
import type { EngineSettings, PoolEntry } from "../../src/engine/settings.ts";
import { buildPacket, type PacketInput } from "./packets.ts";

export const pod4 = "10.1.2.3";
export const pod6 = "fd00:1::3";
export const nat4 = "10.244.50.7";
/** What nat4 stands for. */
export const host6 = "2001:db8:46::80";
/** A host of both families, outside. */
export const far4 = "192.0.2.80";
export const far6 = "2001:db8:99::80";
/** far4 for IPv6 Pods. */
export const far64 = "2001:db8:64::c000:250";
export const nat64 = "2001:db8:64::/96";
export const snat4 = "198.51.100.9";
export const snat6 = "2001:db8:5::9";

export const poolEntry = (address: string, change: Partial<PoolEntry> = {}): PoolEntry => ({
  address,
  inbound: address,
  firstPort: 1024,
  lastPort: 65535,
  ...change,
});

export const labSettings: EngineSettings = {
  active: true,
  dualStack: true,
  dns: false,
  mtuInner: 1500,
  mtuOuter: 1500,
  internalNets: ["10.1.0.0/16", "fd00:1::/64"],
  natSubnets: ["10.244.50.0/24"],
  nat64,
  self4: "10.1.0.1",
  self6: "fd00:1::1",
  pool: [poolEntry(snat4), poolEntry(snat6)],
};

export interface DnsQuestion {
  readonly context: Uint8Array;
  readonly question: Uint8Array;
  /** The cache has answered it; absent: it hasn't. */
  readonly refresh?: true;
}

export interface Result {
  /** What was written to the device. */
  readonly outputs: readonly Uint8Array[];
  /** Drop counters that went up, by name. */
  readonly drops: Readonly<Record<string, number>>;
  readonly questions: readonly DnsQuestion[];
  /** NAT addresses that the store was asked for. */
  readonly asked: readonly string[];
}

export interface Lab {
  readonly engine: Engine;
  readonly pump: Pump;
  /** All packets in as few batches as the pump needs. */
  push(packets: readonly (Uint8Array | PacketInput)[], nowMs?: number): Result;
  /** What anything else than push brings about. */
  observe(action: () => void): Result;
  configure(change: Partial<EngineSettings>): void;
  install(nat4: string, host6: string, nowMs?: number): Result;
  remove(nat4: string): void;
  unknown(nat4: string, timeout: boolean, nowMs?: number): Result;
  limit(field: Exclude<keyof typeof limitsOffsets, "sizeof">, value: number): void;
  /** Ticks until the whole session table was looked at. */
  sweep(nowMs: number): Result;
  counters(): ReturnType<typeof readCounters>;
}

const smallSizes: EngineSizes = { maxSessions: 1 << 14, maxMappings: 1 << 12 };

/** `device` may wrap the memory device. A lab begins with labSettings and the mapping nat4 → host6. */
export async function startLab(
  options: { sizes?: EngineSizes; key?: Buffer; wrap?: (device: PacketDevice) => PacketDevice } = {},
): Promise<Lab> {
  const engine = await createEngine(options.sizes ?? smallSizes, options.key);
  const device = memoryDevice(engine.bytes);
  const questions: DnsQuestion[] = [];
  const asked: string[] = [];
  const pump = createPump(engine, options.wrap?.(device) ?? device, {
    dns: (context, question, refresh) => questions.push({ context, question, ...(refresh && { refresh }) }),
    ask: (address) => asked.push(numberToIpv4(address)),
  });
  let settings = labSettings;
  const counters = () => readCounters(engine.bytes.buffer, engine.layout);

  function observe(action: () => void): Result {
    const before = counters().drops;
    action();
    pump.flush();
    const rows = counters().drops.map(
      (count, code) => [dropReasons[code]!.name, count - before[code]!] as const,
    );
    return {
      outputs: device.outgoing.splice(0),
      drops: Object.fromEntries(rows.filter(([, count]) => count !== 0)),
      questions: questions.splice(0),
      asked: asked.splice(0),
    };
  }

  const lab: Lab = {
    engine,
    pump,
    observe,
    counters,
    push: (packets, nowMs = 0) =>
      observe(() => {
        device.incoming.push(
          ...packets.map((each) => (each instanceof Uint8Array ? each : buildPacket(each))),
        );
        while (pump.turn(nowMs >>> 0));
      }),
    configure(change) {
      settings = { ...settings, ...change };
      engine.configure(settings);
    },
    install: (from, to, nowMs = 0) =>
      observe(() => engine.installMapping(ipv4ToNumber(from), ipv6ToBytes(to), nowMs >>> 0)),
    remove: (from) => engine.removeMapping(ipv4ToNumber(from)),
    unknown: (address, timeout, nowMs = 0) =>
      observe(() =>
        engine.exports.mappingUnknown(wireOrder(ipv4ToNumber(address)), Number(timeout), nowMs >>> 0),
      ),
    limit(field, value) {
      engine.words[(engine.layout.limits + offsets[field]) >> 2] = value;
    },
    sweep: (nowMs) =>
      observe(() => {
        for (let i = 0; i < 11; i++) engine.exports.tick(nowMs >>> 0);
      }),
  };
  lab.configure({});
  lab.install(nat4, host6);
  return lab;
}
