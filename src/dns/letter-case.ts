/**
 * 0x20 (draft-vixie-dnsext-dns0x20): the letters of a question leave in random case, and a reply must bring them back;
 * whoever forges one has a bit more to guess for each letter. Not all servers keep the case, so this ends by itself.
 */
import type { Logger } from "../log.ts";
import { headerLength, type Message, recordType } from "./message.ts";
import { random16 } from "./random-bits.ts";

export type LetterCaseMode = "auto" | "off";

/** Of one upstream. */
export interface LetterCase {
  on(): boolean;
  kept(): void;
  /** A reply that was right but for the case. `certain`: nothing else can be had from this upstream. */
  lost(certain: boolean): void;
}

/** In a row, with ID and port right: no forger has such luck. */
const lossesUntilOff = 3;

export function createLetterCase(mode: LetterCaseMode, upstream: string, log: Logger): LetterCase {
  let on = mode === "auto";
  let losses = 0;
  return {
    on: () => on,
    kept() {
      losses = 0;
    },
    lost(certain) {
      if (!on || (++losses < lossesUntilOff && !certain)) return;
      on = false;
      log.info(
        { upstream },
        "DNS upstream does not keep the letter case of questions: it is asked without 0x20 from now on, so forged replies are easier to make",
      );
    },
  };
}

/** Random case for the letters of the name in `bytes`. */
export function scramble(bytes: Uint8Array, nameEnd: number): void {
  let bits = 0;
  let left = 0;
  for (let offset = headerLength; offset < nameEnd; offset++) {
    if (!isLetter(bytes[offset]!)) continue;
    if (left === 0) {
      bits = random16();
      left = 16;
    }
    bytes[offset]! ^= (bits & 1) << 5;
    bits >>>= 1;
    left--;
  }
}

export function sameCase(a: Uint8Array, b: Uint8Array, nameEnd: number): boolean {
  for (let offset = headerLength; offset < nameEnd; offset++) if (a[offset] !== b[offset]) return false;
  return true;
}

/**
 * Puts the case of `original`'s name back where a reply repeats the scrambled one: in the question, so in whatever is
 * compressed against it, and in names written out (a DNAME's CNAME repeats only the first labels).
 */
export function restoreCase(reply: Message, sent: Uint8Array, original: Uint8Array): void {
  const { bytes, question, records } = reply;
  for (const { owner, type, rdata } of records) {
    if (bytes[owner]! < 0xc0) restoreName(bytes, owner, sent, original, question.nameEnd);
    if (type === recordType.CNAME) restoreName(bytes, rdata, sent, original, question.nameEnd);
  }
  bytes.set(original.subarray(headerLength, question.nameEnd), headerLength);
}

function restoreName(bytes: Uint8Array, at: number, sent: Uint8Array, original: Uint8Array, nameEnd: number) {
  for (let from = headerLength; from < nameEnd; ) {
    const length = sent[from]!;
    // A pointer or another length ends it: no label is 0xc0 octets long.
    if (length === 0 || bytes[at] !== length) return;
    for (let octet = 1; octet <= length; octet++) if (bytes[at + octet] !== sent[from + octet]) return;
    for (let octet = 1; octet <= length; octet++) bytes[at + octet] = original[from + octet]!;
    at += 1 + length;
    from += 1 + length;
  }
}

function isLetter(octet: number): boolean {
  const lower = octet | 0x20;
  return lower >= 0x61 && lower <= 0x7a;
}
