/**
 * TCP session states (RFC 6146 §3.5.2) and the lifetime of each. Sessions are opened from inside, and from outside where
 * filtering is endpoint-independent.
 */
import { TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN } from "./wire/tcp";

export enum TcpState {
  /** SYN from inside, no answer yet. */
  INIT,
  ESTABLISHED,
  /** FIN from inside seen. */
  INNER_FIN,
  /** FIN from outside seen. */
  OUTER_FIN,
  BOTH_FIN,
  /** RST seen: short life, but a packet without RST brings it back (RFC 6146 §3.5.2.2). */
  TRANS,
  /** SYN from outside, no answer yet. */
  OUTER_INIT,
}

/** The state after a segment with `flags`; `outbound` = from inside. */
export function nextTcpState(state: u32, flags: u32, outbound: bool): u32 {
  // After both FINs nothing but time changes the state: TRANS could lead back to ESTABLISHED.
  if (flags & TCP_RST) return state == TcpState.BOTH_FIN ? state : TcpState.TRANS;
  const fin = (flags & TCP_FIN) != 0;
  switch (state) {
    case TcpState.INIT:
      if (!outbound && flags & TCP_SYN) return TcpState.ESTABLISHED;
      return state;
    case TcpState.OUTER_INIT:
      if (outbound && flags & TCP_SYN) return TcpState.ESTABLISHED;
      return state;
    case TcpState.ESTABLISHED:
      if (fin) return outbound ? TcpState.INNER_FIN : TcpState.OUTER_FIN;
      return state;
    case TcpState.INNER_FIN:
      return fin && !outbound ? TcpState.BOTH_FIN : state;
    case TcpState.OUTER_FIN:
      return fin && outbound ? TcpState.BOTH_FIN : state;
    case TcpState.TRANS:
      return TcpState.ESTABLISHED;
    default:
      return state;
  }
}

/** A SYN without ACK opens a connection; also over a session that is ending (RFC 6146: BOTH_FIN, TRANS). */
// @ts-ignore: decorator
@inline
export function opensConnection(flags: u32): bool {
  return (flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

// @ts-ignore: decorator
@inline
export function isOpening(state: u32): bool {
  return state == TcpState.INIT || state == TcpState.OUTER_INIT;
}

// @ts-ignore: decorator
@inline
export function isClosing(state: u32): bool {
  return state == TcpState.BOTH_FIN || state == TcpState.TRANS;
}
