/**
 * Counters by the gateway's names. They are added up here and handed to Envoy at each tick. Envoy's names have no labels:
 * `stats_tags` of the bootstrap (src/envoy/bootstrap.ts) makes them out of what follows the name.
 */
import { VirtualServer } from "../core/counters";
import { DropReason } from "../core/verdict";
import { COUNTER, OK, defineMetric, incrementMetric } from "./hostcalls";
import { numberPointer } from "./lent";
import { beginText, put, textAt, textSize } from "./text";

@unmanaged
@final
class Metric {
  id: u32;
  waiting: u32;
}
const METRIC_SIZE: usize = 8;

const SERVERS: u32 = 4;
const REASONS: u32 = 64;
const FEED_FAILURES: u32 = SERVERS + REASONS;
const COUNT: u32 = FEED_FAILURES + 1;
const METRICS = memory.data(8 * 69, 8);
if (COUNT != 69) ERROR("METRICS has room for 69");

let defined: bool = false;
let anything: bool = false;

function metric(index: u32): Metric {
  return changetype<Metric>(METRICS + <usize>index * METRIC_SIZE);
}

/** As `egress46 drops` names it; empty: no connection is refused for it here. */
export function reasonName(reason: DropReason): string {
  switch (reason) {
    case DropReason.IP_VERSION_UNKNOWN:
      return "IP_VERSION_UNKNOWN";
    case DropReason.SOURCE_NOT_INTERNAL:
      return "SOURCE_NOT_INTERNAL";
    case DropReason.DESTINATION_NOT_FORWARDABLE:
      return "DESTINATION_NOT_FORWARDABLE";
    case DropReason.DESTINATION_INTERNAL:
      return "DESTINATION_INTERNAL";
    case DropReason.EGRESS_NOT_CONFIGURED:
      return "EGRESS_NOT_CONFIGURED";
    case DropReason.DUAL_STACK_DISABLED:
      return "DUAL_STACK_DISABLED";
    case DropReason.MAPPING_UNKNOWN:
      return "MAPPING_UNKNOWN";
    case DropReason.MAPPING_TIMEOUT:
      return "MAPPING_TIMEOUT";
    case DropReason.MAPPING_QUEUE_FULL:
      return "MAPPING_QUEUE_FULL";
    case DropReason.SNAT_ADDRESS_MISSING:
      return "SNAT_ADDRESS_MISSING";
    case DropReason.SNAT_PORTS_EXHAUSTED:
      return "SNAT_PORTS_EXHAUSTED";
    default:
      return "";
  }
}

function serverName(server: u32): string {
  if (server == VirtualServer.EGRESS_IPV4_NAT46) return "egress-ipv4-nat46";
  if (server == VirtualServer.EGRESS_IPV4) return "egress-ipv4";
  return server == VirtualServer.EGRESS_IPV6 ? "egress-ipv6" : "";
}

/** Once a VM. */
export function defineMetrics(): void {
  if (defined) return;
  defined = true;
  for (let server: u32 = 0; server < SERVERS; server++) {
    beginText();
    put("egress46_connections_total.virtual_server.");
    const name = serverName(server);
    put(name);
    if (name.length > 0) define(server);
  }
  for (let reason: u32 = 0; reason < REASONS; reason++) {
    beginText();
    put("egress46_drops_total.reason.");
    const name = reasonName(<DropReason>reason);
    put(name);
    if (name.length > 0) define(SERVERS + reason);
  }
  beginText();
  put("egress46_feed_failures_total");
  define(FEED_FAILURES);
}

function define(index: u32): void {
  store<u32>(numberPointer, 0);
  if (defineMetric(COUNTER, textAt(), textSize(), numberPointer) == OK) metric(index).id = load<u32>(numberPointer);
}

function count(index: u32): void {
  metric(index).waiting++;
  anything = true;
}

export function countConnection(server: VirtualServer): void {
  count(server);
}

export function countRefusal(reason: DropReason): void {
  count(SERVERS + reason);
}

export function countFeedFailure(): void {
  count(FEED_FAILURES);
}

/** On each tick. */
export function handOverMetrics(): void {
  if (!anything) return;
  anything = false;
  for (let i: u32 = 0; i < COUNT; i++) {
    const each = metric(i);
    if (each.waiting == 0) continue;
    incrementMetric(each.id, each.waiting);
    each.waiting = 0;
  }
}
