/**
 * SipHash-2-4 (Aumasson, Bernstein 2012) for what an outsider must not predict: SNAT ports (RFC 6056 §3.3.3).
 * A cheaper keyed mix for hash tables. The key is random at each start.
 */
let key0: u64 = 0;
let key1: u64 = 0;
let v0: u64 = 0;
let v1: u64 = 0;
let v2: u64 = 0;
let v3: u64 = 0;

export function setHashKey(k0: u64, k1: u64): void {
  key0 = k0;
  key1 = k1;
}

// @ts-ignore: decorator
@inline
function sipRound(): void {
  v0 += v1;
  v1 = rotl<u64>(v1, 13) ^ v0;
  v0 = rotl<u64>(v0, 32);
  v2 += v3;
  v3 = rotl<u64>(v3, 16) ^ v2;
  v0 += v3;
  v3 = rotl<u64>(v3, 21) ^ v0;
  v2 += v1;
  v1 = rotl<u64>(v1, 17) ^ v2;
  v2 = rotl<u64>(v2, 32);
}

export function sipStart(): void {
  v0 = key0 ^ 0x736f6d6570736575;
  v1 = key1 ^ 0x646f72616e646f6d;
  v2 = key0 ^ 0x6c7967656e657261;
  v3 = key1 ^ 0x7465646279746573;
}

export function sipWord(word: u64): void {
  v3 ^= word;
  sipRound();
  sipRound();
  v0 ^= word;
}

/** `bytes` = length of everything hashed, as the algorithm's last block wants it. */
export function sipEnd(bytes: u64): u64 {
  sipWord(bytes << 56);
  v2 ^= 0xff;
  sipRound();
  sipRound();
  sipRound();
  sipRound();
  return v0 ^ v1 ^ v2 ^ v3;
}

/** The finalizer of SplitMix64, without a key: the same everywhere, for what all gateways must agree on. */
// @ts-ignore: decorator
@inline
export function scramble(word: u64): u64 {
  let x = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

/** Keyed, for hash tables: an outsider can't aim at one bucket. */
// @ts-ignore: decorator
@inline
export function mix(word: u64): u64 {
  return scramble(word ^ key0);
}
