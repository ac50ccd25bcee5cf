/**
 * The engine's exports: the whole interface between the host and the packet path. Flat numbers in and out; everything
 * larger lies in memory, where `layout()` says. Not re-entrant; no function blocks, allocates or throws.
 */
import { reserve } from "../core/arena";
import { behaviour, defaultBehaviour } from "../core/behaviour";
import { initBindings } from "../core/bib";
import { VirtualServer, byteCounters, counters, dropCounters, packetCounters } from "../core/counters";
import { flushAnswers, initAnswers } from "../core/dns-cache";
import { dnsCounters, dnsRcodeCounters, dnsTypeCounters } from "../core/dns-counters";
import { MAX_EAMS, eamOrder6, eamTable, stateless } from "../core/eam";
import { initDestinations } from "../core/destination";
import { setHashKey } from "../core/hash";
import { expireResting } from "../core/hold-down";
import { defaultLimits, limits } from "../core/limits";
import { initMappings, installMapping, removeMapping } from "../core/mapping";
import { setNat64 } from "../core/nat64";
import { MAX_ROUTE_MTUS, routeMtuTable, routeMtus } from "../core/path-mtu";
import { initPods } from "../core/pod";
import { poolUseTable } from "../core/pool-use";
import { blockNets, blockOrder, portBlocks } from "../core/port-blocks";
import {
  coldTable,
  endSessions,
  expectOrphans,
  initSessions,
  sessionPlaces,
  sessionTable,
  sweepSessions,
} from "../core/session";
import { CHANGE_CAPACITY, changeRing, generations, sessionLog } from "../core/session-log";
import {
  MAX_POOL_ADDRESSES,
  addPoolAddress,
  indexPool,
  initPool,
  poolAddressTable,
  removePoolAddress,
} from "../core/snat-pool";
import { DropReason } from "../core/verdict";
import { argumentBlock, layout } from "./layout";
import { seal } from "./coalesce";
import { dnsClock, storeReply } from "./dns-reply";
import { expireFragments } from "./held-fragments";
import { receive, resume } from "./pipeline";
import { MAX_PREFIXES, internalPrefixes, natPrefixes, policies, policyTable } from "./policy";
import {
  READ_MAX,
  RECEIVE_CAPACITY,
  TRANSMIT_CAPACITY,
  initSlots,
  receiveRing,
  recycle,
  transmitRing,
  transmitted,
} from "./slots";
import { replyBuffer, sendReply } from "./udp-reply";
import { expireWaiting, giveUp } from "./waiting";

/** Whole sweep of the session table: within this time, in ticks. */
const TICKS_PER_SWEEP: u32 = 10;

/** Sizes the tables. 0 = the memory of the module is too small for them; otherwise the address of Layout. Call once. */
export function init(maxSessions: u32, maxMappings: u32, dnsCacheBytes: u32, key0: u64, key1: u64): usize {
  setHashKey(key0, key1);
  defaultLimits();
  defaultBehaviour();
  const ok =
    initSlots() &&
    initPool() &&
    initMappings(maxMappings) &&
    initSessions(maxSessions) &&
    initBindings(maxSessions) &&
    initDestinations(max(maxSessions >> 2, 64)) &&
    initPods(max(maxSessions >> 3, 64)) &&
    initAnswers(dnsCacheBytes) &&
    reserve(0) != 0;
  if (!ok) return 0;
  layout.receiveRing = <u32>receiveRing;
  layout.receiveCapacity = RECEIVE_CAPACITY;
  layout.transmitRing = <u32>transmitRing;
  layout.transmitCapacity = TRANSMIT_CAPACITY;
  layout.readMax = READ_MAX;
  layout.limits = <u32>changetype<usize>(limits);
  layout.policies = <u32>changetype<usize>(policies);
  layout.policyTable = <u32>policyTable;
  layout.internalPrefixes = <u32>internalPrefixes;
  layout.natPrefixes = <u32>natPrefixes;
  layout.maxPrefixes = MAX_PREFIXES;
  layout.counters = <u32>changetype<usize>(counters);
  layout.dropCounters = <u32>dropCounters;
  layout.packetCounters = <u32>packetCounters;
  layout.byteCounters = <u32>byteCounters;
  layout.replyBuffer = <u32>replyBuffer;
  layout.stateless = <u32>changetype<usize>(stateless);
  layout.eams = <u32>eamTable;
  layout.eamOrder6 = <u32>eamOrder6;
  layout.maxEams = MAX_EAMS;
  layout.routeMtus = <u32>changetype<usize>(routeMtus);
  layout.routeMtuTable = <u32>routeMtuTable;
  layout.maxRouteMtus = MAX_ROUTE_MTUS;
  layout.behaviour = <u32>changetype<usize>(behaviour);
  layout.portBlocks = <u32>changetype<usize>(portBlocks);
  layout.blockNets = <u32>blockNets;
  layout.blockOrder = <u32>blockOrder;
  layout.arguments = <u32>argumentBlock;
  layout.sessions = <u32>sessionTable();
  layout.sessionColds = <u32>coldTable();
  layout.generations = <u32>generations;
  layout.maxSessions = maxSessions;
  layout.sessionLog = <u32>changetype<usize>(sessionLog);
  layout.changeRing = <u32>changeRing;
  layout.changeCapacity = CHANGE_CAPACITY;
  layout.poolAddresses = <u32>poolAddressTable();
  layout.poolUse = <u32>poolUseTable;
  layout.maxPoolAddresses = MAX_POOL_ADDRESSES;
  layout.dnsCounters = <u32>changetype<usize>(dnsCounters);
  layout.dnsTypeCounters = <u32>dnsTypeCounters;
  layout.dnsRcodeCounters = <u32>dnsRcodeCounters;
  return changetype<usize>(layout);
}

/** The first `count` places of the receive ring hold packets. → how many descriptors the transmit ring now has. */
export function process(count: u32, nowMs: u32): u32 {
  receive(count, nowMs);
  seal();
  return transmitted();
}

/** The host has dealt with everything in the transmit ring. */
export function written(): void {
  recycle();
}

/** How many descriptors the transmit ring has: calls other than process() add to it as well. */
export function pending(): u32 {
  seal();
  return transmitted();
}

/** Ten times a second: idle sessions, packets that waited too long. */
export function tick(nowMs: u32): void {
  sessionLog.nowMs = nowMs;
  sweepSessions(nowMs, sessionPlaces() / TICKS_PER_SWEEP + 64);
  expireWaiting(nowMs);
  expireResting(nowMs);
  expireFragments(nowMs);
  dnsClock(nowMs);
}

/** Argument block: the 16 bytes of the host. `nat4BE` in wire order. 0 = table full. Waiting packets go on. */
export function mappingInstall(nat4BE: u32, nowMs: u32): bool {
  if (!installMapping(nat4BE, load<u64>(argumentBlock), load<u64>(argumentBlock, 8))) return false;
  resume(nat4BE, nowMs);
  return true;
}

/** New connections to the address are refused from here on; sessions that exist go on. */
export function mappingRemove(nat4BE: u32): bool {
  return removeMapping(nat4BE);
}

/** The store's answer to ASK_MAPPING is 'no' (`timeout`: there is no answer). */
export function mappingUnknown(nat4BE: u32, timeout: bool, nowMs: u32): void {
  giveUp(nat4BE, timeout ? DropReason.MAPPING_TIMEOUT : DropReason.MAPPING_UNKNOWN, nowMs);
}

/** Argument block: address, then where its return traffic arrives, 16 bytes each. → index, or -1. poolIndex() after. */
export function poolAdd(family: u32, firstPort: u32, lastPort: u32): i32 {
  return addPoolAddress(
    family,
    load<u64>(argumentBlock),
    load<u64>(argumentBlock, 8),
    load<u64>(argumentBlock, 16),
    load<u64>(argumentBlock, 24),
    firstPort,
    lastPort,
  );
}

/** Argument block: the prefix (16 bytes), of which `length` bits count; 0 = no NAT64. Sessions of another one end. */
export function nat64(length: u32): void {
  if (setNat64(load<u64>(argumentBlock), load<u64>(argumentBlock, 8), length)) endSessions(VirtualServer.EGRESS_IPV6_NAT64);
}

/** Its sessions end. poolIndex() after. */
export function poolRemove(index: u32): void {
  removePoolAddress(index);
  expectOrphans();
}

/** After changes of the pool: Pods are shared out anew, those whose address is still there keep it. */
export function poolIndex(): void {
  indexPool();
}

/** Reply buffer: UdpContext, then `length` bytes. 0 = no room in the transmit ring now. */
export function replySend(length: u32): bool {
  return sendReply(length);
}

/** Reply buffer as for replySend(): the cache keeps it for `seconds`. `synthesized`: its A records are DNS46 addresses. */
export function replyStore(length: u32, seconds: u32, synthesized: bool, nowMs: u32): void {
  storeReply(length, seconds, synthesized, nowMs);
}

/** The cache of DNS answers is empty from here on. */
export function dnsFlush(): void {
  flushAnswers();
}
