/**
 * Which SNAT address a Pod gets (paired pooling, RFC 4787 REQ-2), as every data plane of ours decides it. Rendezvous
 * hashing: Pods are hashed to shares, and a share goes to the address with the highest weight for it. A Pod keeps its
 * address when others come and go; there is no key in it, so that a restart and other gateways choose alike.
 */
import { scramble } from "./hash";

export const SHARES: u32 = 1024;

// @ts-ignore: decorator
@inline
export function shareOf(podLo: u64, podHi: u64): u32 {
  return <u32>scramble(podLo ^ scramble(podHi)) & (SHARES - 1);
}

// @ts-ignore: decorator
@inline
export function weightOf(lo: u64, hi: u64, share: u32): u64 {
  return scramble(lo ^ scramble(hi ^ scramble(share + 1)));
}
