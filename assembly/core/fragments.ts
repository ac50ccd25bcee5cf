/**
 * Where the fragments of a packet go: only the first one has ports, so the others follow it (RFC 6146 §3.4), also to be
 * refused. A small table of recent first fragments, by the addresses, protocol and identification of the packet
 * (RFC 791, RFC 8200 §4.5).
 */
import { mix } from "./hash";
import { isNat64, nat64Host } from "./nat64";
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
  /** On the other side. */
  targetIdentification: u32;
  sinceMs: u32;
  protocol: u16;
  /** What the pipeline does with them; 0 = free place. */
  way: u16;
}
if (offsetof<Route>() != 80) ERROR("Route must be 80 bytes");

const PLACES: u32 = 1024;
/** A packet's route stands within so many places of its home. */
const WINDOW: u32 = 8;
const TABLE = memory.data(80 * 1024, 16);
/** RFC 6146 §4: FRAGMENT_MIN 2 s. */
export const FRAGMENT_LIFETIME_MS: u32 = 2_000;
/** A way from here on is that of a refused packet; the rest is the reason. */
export const REFUSED: u32 = 256;

/** Where rememberFragments has written last. */
let latest: usize = 0;
/** Identifications that had to be replaced. */
let replacements: u32 = 0;

// @ts-ignore: decorator
@inline
function place(index: u32): Route {
  return changetype<Route>(TABLE + <usize>(index & (PLACES - 1)) * 80);
}

/**
 * Not by source: what several Pods send to one destination, be it by way of NAT64, has to be told apart there
 * (RFC 6864 §4.3).
 */
function home(): u32 {
  const packetOf = (<u64>packet.protocol << 16) | (packet.identification & 0xffff);
  let lo = packet.destinationLo;
  let hi = packet.destinationHi;
  if (isNat64(lo, hi)) {
    hi = nat64Host(lo, hi);
    lo = 0;
  }
  return <u32>mix(lo ^ mix(hi ^ packetOf)) & (PLACES - 1);
}

// @ts-ignore: decorator
@inline
function isLive(r: Route, nowMs: u32): bool {
  return r.way != 0 && nowMs - r.sinceMs <= FRAGMENT_LIFETIME_MS;
}

function isOf(r: Route): bool {
  return (
    r.identification == packet.identification &&
    r.protocol == packet.protocol &&
    r.sourceHi == packet.sourceHi &&
    r.sourceLo == packet.sourceLo &&
    r.destinationHi == packet.destinationHi &&
    r.destinationLo == packet.destinationLo
  );
}

/** On the other side the packet of `r` looks like the one in hand. */
function isAlike(r: Route): bool {
  return (
    r.way < REFUSED &&
    ((r.targetIdentification ^ packet.identification) & 0xffff) == 0 &&
    r.protocol == packet.protocol &&
    r.targetSourceHi == target.sourceHi &&
    r.targetSourceLo == target.sourceLo &&
    r.targetDestinationHi == target.destinationHi &&
    r.targetDestinationLo == target.destinationLo
  );
}

/** The live route of the packet in hand, or null. */
function find(nowMs: u32): Route | null {
  const start = home();
  for (let i: u32 = 0; i < WINDOW; i++) {
    const r = place(start + i);
    if (isLive(r, nowMs) && isOf(r)) return r;
  }
  return null;
}

/** A place for the packet in hand; the oldest neighbour makes room. */
function claim(nowMs: u32): Route {
  const start = home();
  let chosen = place(start);
  for (let i: u32 = 0; i < WINDOW; i++) {
    const r = place(start + i);
    if (!isLive(r, nowMs)) {
      chosen = r;
      break;
    }
    if (nowMs - r.sinceMs > nowMs - chosen.sinceMs) chosen = r;
  }
  chosen.sourceLo = packet.sourceLo;
  chosen.sourceHi = packet.sourceHi;
  chosen.destinationLo = packet.destinationLo;
  chosen.destinationHi = packet.destinationHi;
  chosen.identification = packet.identification;
  chosen.protocol = <u16>packet.protocol;
  chosen.sinceMs = nowMs;
  return chosen;
}

/** Somebody else's packet looks the same on the other side. */
function isTaken(own: Route | null, nowMs: u32): bool {
  const start = home();
  for (let i: u32 = 0; i < WINDOW; i++) {
    const r = place(start + i);
    if (r != own && isLive(r, nowMs) && isAlike(r)) return true;
  }
  return false;
}

/**
 * The first fragment in hand goes by `target`; `way` (1 to 255) is for whoever asks. Sets packet.identification to what
 * it is on the other side: the same, unless that would mix it up with another Pod's packet (RFC 6864 §5.3.1: who shares
 * an address answers for that).
 */
export function rememberFragments(way: u32, nowMs: u32): void {
  const own = find(nowMs);
  const again =
    own != null &&
    own.way < REFUSED &&
    own.targetSourceHi == target.sourceHi &&
    own.targetSourceLo == target.sourceLo &&
    own.targetDestinationHi == target.destinationHi &&
    own.targetDestinationLo == target.destinationLo;
  let identification = packet.identification;
  if (again) identification = own!.targetIdentification;
  else if (isTaken(own, nowMs)) identification = <u32>mix(++replacements) & (packet.family == 4 ? 0xffff : 0xffffffff);
  const r = own != null ? own : claim(nowMs);
  r.targetSourceLo = target.sourceLo;
  r.targetSourceHi = target.sourceHi;
  r.targetDestinationLo = target.destinationLo;
  r.targetDestinationHi = target.destinationHi;
  r.targetIdentification = identification;
  r.sinceMs = nowMs;
  r.way = <u16>way;
  packet.identification = identification;
  latest = changetype<usize>(r);
}

/** The first fragment in hand was dropped; `remembered`: after its way had been found. */
export function refuseFragments(reason: u32, remembered: bool, nowMs: u32): void {
  if (remembered) changetype<Route>(latest).way = <u16>(REFUSED + reason);
  // A broken copy of a first fragment that went its way changes nothing.
  else if (find(nowMs) == null) claim(nowMs).way = <u16>(REFUSED + reason);
}

/** The way of the first fragment of the packet in hand, `target` and identification set; 0 when it is not known. */
export function followFragments(nowMs: u32): u32 {
  const r = find(nowMs);
  if (r == null) return 0;
  target.sourceLo = r.targetSourceLo;
  target.sourceHi = r.targetSourceHi;
  target.destinationLo = r.targetDestinationLo;
  target.destinationHi = r.targetDestinationHi;
  if (r.way < REFUSED) packet.identification = r.targetIdentification;
  return r.way;
}

/** Equal for all fragments of the packet in hand, whatever its place in the table. */
export function fragmentKey(): u64 {
  const far = mix(packet.destinationLo ^ mix(packet.destinationHi ^ packet.identification));
  return mix(packet.sourceLo ^ mix(packet.sourceHi ^ far)) ^ packet.protocol;
}
