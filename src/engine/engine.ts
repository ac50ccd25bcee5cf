import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { instantiate } from "@assemblyscript/loader";
import { isIpv4, parseCidr } from "../addresses.ts";
import { Eg46Error } from "../errors.ts";
import { engineBytes, mappedBytes } from "./address-form.ts";
import { defaultBehaviour, protocolMask } from "./behaviour.ts";
import { blockKeys, writeBlocks } from "./block-tables.ts";
import {
  behaviourOffsets,
  eamOffsets,
  layoutHash,
  layoutOffsets,
  limitsOffsets,
  policiesOffsets,
  policyOffsets,
  prefixOffsets,
  routeMtuOffsets,
  routeMtusOffsets,
  statelessOffsets,
} from "./layout.gen.ts";
import { planBlocks } from "./port-blocks.ts";
import type { EngineSettings, StatelessSettings } from "./settings.ts";

/** The functions of assembly/engine/index.ts; documented there. Addresses are byte offsets into `memory`. */
export interface EngineExports {
  readonly memory: WebAssembly.Memory;
  readonly layoutHash: WebAssembly.Global;
  init(maxSessions: number, maxMappings: number, dnsCacheBytes: number, key0: bigint, key1: bigint): number;
  process(count: number, nowMs: number): number;
  written(): void;
  pending(): number;
  tick(nowMs: number): void;
  mappingInstall(nat4BE: number, nowMs: number): number;
  mappingRemove(nat4BE: number): number;
  mappingUnknown(nat4BE: number, timeout: number, nowMs: number): void;
  poolAdd(family: number, firstPort: number, lastPort: number): number;
  poolRemove(index: number): void;
  poolIndex(): void;
  nat64(length: number): void;
  replySend(length: number): number;
  replyStore(length: number, seconds: number, synthesized: number, nowMs: number): void;
  dnsFlush(): void;
}

export type EngineLayout = Readonly<Record<keyof typeof layoutOffsets, number>>;

export interface Engine {
  readonly exports: EngineExports;
  readonly layout: EngineLayout;
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
  /** Applies the difference to the settings before: flows that it doesn't concern go on. */
  configure(settings: EngineSettings): void;
  /** Turns the engine into a translator without sessions. Throws EG46_CONFIG_INVALID: more mappings than it holds. */
  configureStateless(settings: StatelessSettings): void;
  /** `nat4` in host order, `host6` 16 bytes. Packets that wait for it come out with the next batch. */
  installMapping(nat4: number, host6: Uint8Array, nowMs: number): void;
  removeMapping(nat4: number): void;
}

export interface EngineSizes {
  readonly maxSessions: number;
  readonly maxMappings: number;
  /** Bytes for DNS answers; default 0 = none are kept. */
  readonly dnsCache?: number;
}
/** A million sessions (specified scale of one worker) and a /16 of mappings; untouched table pages cost no memory. */
export const defaultSizes: EngineSizes = { maxSessions: 1 << 20, maxMappings: 1 << 17 };

const dummyRouter4 = "192.0.0.8";
const wasmUrl = new URL("../../wasm/engine.wasm", import.meta.url);

/** One instance with its own memory: a worker's. Throws EG46_ENGINE when module and host are of different builds. */
export async function createEngine(
  sizes: EngineSizes = defaultSizes,
  key: Buffer = randomBytes(16),
): Promise<Engine> {
  const instance = await instantiate(readFileSync(wasmUrl));
  const exports = instance.exports as unknown as EngineExports;
  if (exports.layoutHash.value !== layoutHash)
    throw new Eg46Error(
      "EG46_ENGINE",
      "engine.wasm is not of the same build as the program: run `npm run build`",
    );
  const address = exports.init(
    sizes.maxSessions,
    sizes.maxMappings,
    sizes.dnsCache ?? 0,
    key.readBigInt64LE(0),
    key.readBigInt64LE(8),
  );
  if (address === 0)
    throw new Eg46Error("EG46_ENGINE", `no room for ${sizes.maxSessions} sessions in the engine's memory`);
  const bytes = new Uint8Array(exports.memory.buffer);
  const words = new Uint32Array(exports.memory.buffer);
  const layout = Object.fromEntries(
    Object.entries(layoutOffsets).map(([field, offset]) => [field, words[(address + offset) >> 2]]),
  ) as EngineLayout;
  return { exports, layout, bytes, words, ...configuration(exports, layout, bytes) };
}

function configuration(exports: EngineExports, layout: EngineLayout, bytes: Uint8Array) {
  const view = new DataView(bytes.buffer);
  const pool = new Map<string, number>();

  function configure(settings: EngineSettings): void {
    view.setUint32(layout.limits + limitsOffsets.mtuInner, settings.mtuInner, true);
    view.setUint32(layout.limits + limitsOffsets.mtuOuter, settings.mtuOuter, true);
    view.setUint32(layout.limits + limitsOffsets.coalesceUdp, Number(settings.coalesceUdp ?? false), true);
    view.setUint32(layout.limits + limitsOffsets.dnsRate, settings.dnsRate ?? 0, true);
    view.setUint32(layout.policyTable + policyOffsets.active, Number(settings.active), true);
    view.setUint32(layout.policyTable + policyOffsets.dualStack, Number(settings.dualStack), true);
    view.setUint32(layout.policyTable + policyOffsets.dns, Number(settings.dns), true);
    const internal = writePrefixes(layout.internalPrefixes, settings.internalNets);
    const nat = writePrefixes(layout.natPrefixes, settings.natSubnets);
    view.setUint32(layout.policies + policiesOffsets.internalCount, internal, true);
    view.setUint32(layout.policies + policiesOffsets.natCount, nat, true);
    const self4 = settings.self4 === undefined ? new Uint8Array(16) : mappedBytes(settings.self4);
    bytes.set(self4.subarray(8), layout.policies + policiesOffsets.self4Hi);
    const self6 = settings.self6 === undefined ? new Uint8Array(16) : mappedBytes(settings.self6);
    bytes.set(self6, layout.policies + policiesOffsets.self6Lo);
    bytes.set(
      mappedBytes(settings.router4 ?? dummyRouter4).subarray(8),
      layout.policies + policiesOffsets.router4Hi,
    );
    const nat64 = settings.nat64 === undefined ? undefined : parseCidr(settings.nat64);
    bytes.set(mappedBytes(nat64?.network ?? "::"), layout.arguments);
    exports.nat64(nat64?.prefixLength ?? 0);
    writeRouteMtus(settings);
    const { eim, eif } = settings.behaviour ?? defaultBehaviour;
    view.setUint32(layout.behaviour + behaviourOffsets.mapping, protocolMask([...eim, "icmp"]), true);
    view.setUint32(layout.behaviour + behaviourOffsets.filtering, protocolMask(eif), true);
    configurePool(settings);
  }

  function configureStateless(settings: StatelessSettings): void {
    const { eams, pool6 } = settings;
    if (eams.length > layout.maxEams)
      throw new Eg46Error(
        "EG46_CONFIG_INVALID",
        `${eams.length} address mappings: at most ${layout.maxEams} are possible`,
      );
    // Both directions look for the longest prefix: it comes first in the order of each.
    const by4 = eams.toSorted((a, b) => b.v4.prefixLength - a.v4.prefixLength);
    by4.forEach(({ v4, v6 }, index) => {
      const at = layout.eams + index * eamOffsets.sizeof;
      bytes.set(mappedBytes(v6.network), at + eamOffsets.lo);
      bytes.set(mappedBytes(v4.network).subarray(12), at + eamOffsets.v4BE);
      view.setUint32(at + eamOffsets.length4, v4.prefixLength, true);
      view.setUint32(at + eamOffsets.length6, v6.prefixLength, true);
    });
    const by6 = [...by4.keys()].sort((a, b) => by4[b]!.v6.prefixLength - by4[a]!.v6.prefixLength);
    for (const [place, index] of by6.entries()) view.setUint16(layout.eamOrder6 + place * 2, index, true);
    if (pool6 !== undefined)
      bytes.set(mappedBytes(pool6.network), layout.stateless + statelessOffsets.pool6Lo);
    view.setUint32(layout.stateless + statelessOffsets.pool6Length, pool6?.prefixLength ?? 0, true);
    view.setUint32(layout.stateless + statelessOffsets.eams, eams.length, true);
    view.setUint32(layout.stateless + statelessOffsets.enabled, 1, true);
    view.setUint32(layout.limits + limitsOffsets.mtuInner, settings.mtu4, true);
    view.setUint32(layout.limits + limitsOffsets.mtuOuter, settings.mtu6, true);
    view.setUint32(layout.limits + limitsOffsets.lowestMtu6, settings.lowestIpv6Mtu, true);
    const own4 = mappedBytes(settings.own4 ?? "0.0.0.0").subarray(8);
    bytes.set(
      settings.own4 === undefined ? new Uint8Array(8) : own4,
      layout.policies + policiesOffsets.self4Hi,
    );
    bytes.set(own4, layout.policies + policiesOffsets.router4Hi);
    bytes.set(mappedBytes(settings.own6 ?? "::"), layout.policies + policiesOffsets.self6Lo);
  }

  function writePrefixes(table: number, prefixes: readonly string[]): number {
    if (prefixes.length > layout.maxPrefixes)
      throw new Eg46Error(
        "EG46_CONFIG_INVALID",
        `${prefixes.length} prefixes: at most ${layout.maxPrefixes} are possible`,
      );
    prefixes.forEach((text, index) => {
      const { network, mask } = engineBytes(parseCidr(text));
      const at = table + index * prefixOffsets.sizeof;
      bytes.set(network, at + prefixOffsets.lo);
      bytes.set(mask, at + prefixOffsets.maskLo);
      view.setUint32(at + prefixOffsets.policy, 0, true);
    });
    return prefixes.length;
  }

  function writeRouteMtus({ routeMtus: routes = [], mtuInner, mtuOuter }: EngineSettings): void {
    if (routes.length > layout.maxRouteMtus)
      throw new Eg46Error(
        "EG46_CONFIG_INVALID",
        `${routes.length} routes with an MTU of their own: at most ${layout.maxRouteMtus} are possible`,
      );
    const byLength = routes
      .map(({ to, mtu }) => ({ cidr: parseCidr(to), mtu }))
      .sort((a, b) => b.cidr.prefixLength - a.cidr.prefixLength);
    byLength.forEach(({ cidr, mtu }, index) => {
      const { network, mask } = engineBytes(cidr);
      const at = layout.routeMtuTable + index * routeMtuOffsets.sizeof;
      bytes.set(network, at + routeMtuOffsets.lo);
      bytes.set(mask, at + routeMtuOffsets.maskLo);
      view.setUint32(at + routeMtuOffsets.mtu, mtu, true);
      view.setUint32(at + routeMtuOffsets.family, cidr.family, true);
    });
    view.setUint32(layout.routeMtus + routeMtusOffsets.count, routes.length, true);
    const all = routes.map(({ mtu }) => mtu);
    const least = routes.length === 0 ? 0xffff_ffff : Math.min(...all, mtuInner, mtuOuter);
    view.setUint32(layout.routeMtus + routeMtusOffsets.least, least, true);
  }

  function configurePool({ pool: entries, internalNets, behaviour }: EngineSettings): void {
    const size = behaviour?.portBlock ?? 0;
    const blocks = size > 0 ? planBlocks(size, internalNets, entries) : undefined;
    const keys = blocks ? blockKeys(blocks) : new Map<unknown, string>();
    // A change of what makes a block, too, is the end of the sessions on an address: others have the ports now.
    const keyOf = (entry: unknown) => JSON.stringify([entry, keys.get(entry)]);
    const wanted = new Map(entries.map((entry) => [keyOf(entry), entry]));
    const gone = [...pool].filter(([key]) => !wanted.has(key));
    const come = [...wanted].filter(([key]) => !pool.has(key));
    for (const [key, index] of gone) {
      exports.poolRemove(index);
      pool.delete(key);
    }
    try {
      for (const [key, entry] of come) {
        bytes.set(mappedBytes(entry.address), layout.arguments);
        bytes.set(mappedBytes(entry.inbound), layout.arguments + 16);
        const index = exports.poolAdd(isIpv4(entry.address) ? 4 : 6, entry.firstPort, entry.lastPort);
        if (index < 0)
          throw new Eg46Error(
            "EG46_CONFIG_INVALID",
            `no room in the engine for SNAT address ${entry.address}`,
          );
        pool.set(key, index);
      }
    } finally {
      // Also when there is no room: what has gone must be out of the look-ups.
      if (gone.length + come.length > 0) exports.poolIndex();
      writeBlocks(view, layout, blocks, (entry) => pool.get(keyOf(entry)));
    }
  }

  function installMapping(nat4: number, host6: Uint8Array, nowMs: number): void {
    bytes.set(host6, layout.arguments);
    if (!exports.mappingInstall(wireOrder(nat4), nowMs))
      throw new Eg46Error("EG46_ENGINE", "the engine's mapping table is full");
  }

  function removeMapping(nat4: number): void {
    exports.mappingRemove(wireOrder(nat4));
  }

  return { configure, configureStateless, installMapping, removeMapping };
}

/** Host order ↔ the wire's bytes as a little-endian machine loads them. Its own inverse. */
export function wireOrder(address: number): number {
  return (
    ((address >>> 24) | ((address >>> 8) & 0xff00) | ((address << 8) & 0xff0000) | (address << 24)) >>> 0
  );
}
