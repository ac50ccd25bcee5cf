/**
 * What Envoy's access log calls (root id `egress46-failure`): it hears of connections whose upstream failed, and of no
 * others (src/envoy/listeners.ts). A module of its own: Envoy calls the `proxy_on_log` of a network filter at the end of
 * each connection.
 */
import { configure } from "../filter/configure";
import { getCurrentTime, setTickPeriod } from "../filter/hostcalls";
import { lend, numberPointer } from "../filter/lent";
import { handOverMetrics } from "../filter/metrics";
import { sumUpRefusals } from "../filter/outcome";
import { Role, rootOf } from "../filter/roots";
import { noteFailure } from "./failure";

const TICK_MS: u32 = 1000;

export function proxy_abi_version_0_2_1(): void {}

export function proxy_on_memory_allocate(size: u32): usize {
  return lend(size);
}

export function proxy_on_configure(context: u32, size: u32): u32 {
  if (configure(context, size, Role.FAILURE) == null) return 0;
  setTickPeriod(TICK_MS);
  return 1;
}

export function proxy_on_tick(context: u32): void {
  getCurrentTime(numberPointer);
  sumUpRefusals(load<u64>(numberPointer) / 1000000);
}

export function proxy_on_log(context: u32): void {
  const root = rootOf(context);
  if (root == null) return;
  noteFailure(root);
  handOverMetrics();
}
