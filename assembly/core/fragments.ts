/**
 * Where the fragments of a packet go: only the first one has ports, so the others follow it (RFC 6146 §3.4). A small
 * table of recent first fragments, by the addresses, protocol and identification of the packet (RFC 791, RFC 8200 §4.5).
 */
import { mix } from "./hash";
import { packet } from "./packet";
import { target } from "./target";

@unmanaged
@final
class Route {
  sourceLo: u64;
  sourceHi: u64;
  destinationLo: u64;
  destinationHi: u64;
  targetSourceLo: u64;
  targetSourceHi: u64;
  targetDestinationLo: u64;
  targetDestinationHi: u64;
  identification: u32;
  protocol: u32;
  sinceMs: u32;
  /** What the pipeline does with them; 0 = free place. */
  way: u32;
}
if (offsetof<Route>() != 80) ERROR("Route must be 80 bytes");

const PLACES: u32 = 1024;
/** A packet's route stands within so many places of its home. */
const WINDOW: u32 = 8;
const TABLE = memory.data(80 * 1024, 16);
/** RFC 6146 §4: FRAGMENT_MIN 2 s. */
export const FRAGMENT_LIFETIME_MS: u32 = 2_000;

// @ts-ignore: decorator
@inline
function place(index: u32): Route {
  return changetype<Route>(TABLE + <usize>(index & (PLACES - 1)) * 80);
}

function home(): u32 {
  const far = mix(packet.destinationLo ^ mix(packet.destinationHi ^ packet.identification));
  return <u32>mix(packet.sourceLo ^ mix(packet.sourceHi ^ far)) & (PLACES - 1);
}

function isOf(r: Route): bool {
  return (
    r.way != 0 &&
    r.identification == packet.identification &&
    r.protocol == packet.protocol &&
    r.sourceHi == packet.sourceHi &&
    r.sourceLo == packet.sourceLo &&
    r.destinationHi == packet.destinationHi &&
    r.destinationLo == packet.destinationLo
  );
}

/** The first fragment in hand goes by `target`; `way` (not 0) is for whoever asks. The oldest neighbour makes room. */
export function rememberFragments(way: u32, nowMs: u32): void {
  const start = home();
  let chosen = place(start);
  for (let i: u32 = 0; i < WINDOW; i++) {
    const r = place(start + i);
    if (r.way == 0 || isOf(r)) {
      chosen = r;
      break;
    }
    if (nowMs - r.sinceMs > nowMs - chosen.sinceMs) chosen = r;
  }
  chosen.sourceLo = packet.sourceLo;
  chosen.sourceHi = packet.sourceHi;
  chosen.destinationLo = packet.destinationLo;
  chosen.destinationHi = packet.destinationHi;
  chosen.targetSourceLo = target.sourceLo;
  chosen.targetSourceHi = target.sourceHi;
  chosen.targetDestinationLo = target.destinationLo;
  chosen.targetDestinationHi = target.destinationHi;
  chosen.identification = packet.identification;
  chosen.protocol = packet.protocol;
  chosen.sinceMs = nowMs;
  chosen.way = way;
}

/** The way of the first fragment of the packet in hand, its `target` set; 0 when it is not known. */
export function followFragments(nowMs: u32): u32 {
  const start = home();
  for (let i: u32 = 0; i < WINDOW; i++) {
    const r = place(start + i);
    if (!isOf(r)) continue;
    if (nowMs - r.sinceMs > FRAGMENT_LIFETIME_MS) {
      r.way = 0;
      return 0;
    }
    target.sourceLo = r.targetSourceLo;
    target.sourceHi = r.targetSourceHi;
    target.destinationLo = r.targetDestinationLo;
    target.destinationHi = r.targetDestinationHi;
    return r.way;
  }
  return 0;
}

/** Equal for all fragments of the packet in hand, whatever its place in the table. */
export function fragmentKey(): u64 {
  const far = mix(packet.destinationLo ^ mix(packet.destinationHi ^ packet.identification));
  return mix(packet.sourceLo ^ mix(packet.sourceHi ^ far)) ^ packet.protocol;
}
