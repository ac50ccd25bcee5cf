/** ASCII text is put together in one buffer, by one writer at a time. Addresses have the form of core/address.ts. */
import { isMapped, mappedBE } from "../core/address";

const SIZE: usize = 1024;
const BUFFER = memory.data(1024, 16);
let end: usize = BUFFER;

export function beginText(): void {
  end = BUFFER;
}

// @ts-ignore: decorator
@inline
export function textAt(): usize {
  return BUFFER;
}

// @ts-ignore: decorator
@inline
export function textSize(): u32 {
  return <u32>(end - BUFFER);
}

/** More than the buffer holds is cut off. */
export function putByte(byte: u32): void {
  if (end < BUFFER + SIZE) store<u8>(end++, byte);
}

export function put(text: string): void {
  const units = <u32>text.length;
  for (let i: u32 = 0; i < units; i++) putByte(load<u16>(changetype<usize>(text) + (<usize>i << 1)));
}

/** Bytes from elsewhere, which end up in logs: anything but printable ASCII becomes '?'. */
export function putPrintable(p: usize, size: u32): void {
  for (let i: u32 = 0; i < size; i++) {
    const byte = load<u8>(p + i);
    putByte(byte >= 0x20 && byte < 0x7f ? byte : 0x3f);
  }
}

export function putDecimal(value: u32): void {
  if (value >= 10) putDecimal(value / 10);
  putByte(0x30 + (value % 10));
}

function putHex(value: u32): void {
  if (value >= 16) putHex(value >> 4);
  const digit = value & 15;
  putByte(digit < 10 ? 0x30 + digit : 0x57 + digit);
}

/** `digits` of them. */
export function putHex64(value: u64): void {
  for (let shift: i32 = 60; shift >= 0; shift -= 4) {
    const digit = <u32>(value >> shift) & 15;
    putByte(digit < 10 ? 0x30 + digit : 0x57 + digit);
  }
}

/** IPv4 with dots, IPv6 as eight groups (RFC 4291 §2.2, form 1): names made of it are the same everywhere. */
export function putAddress(lo: u64, hi: u64): void {
  if (isMapped(lo, hi)) {
    const address = mappedBE(hi);
    for (let i: u32 = 0; i < 4; i++) {
      if (i > 0) putByte(0x2e);
      putDecimal((address >> (i << 3)) & 255);
    }
    return;
  }
  for (let i: u32 = 0; i < 8; i++) {
    if (i > 0) putByte(0x3a);
    const group = <u32>((i < 4 ? lo : hi) >> ((i & 3) << 4)) & 0xffff;
    putHex(((group & 255) << 8) | (group >> 8));
  }
}

/** As a socket address: `10.0.0.1:80`, `[2001:db8:0:0:0:0:0:1]:80`. */
export function putEndpoint(lo: u64, hi: u64, port: u32): void {
  const six = !isMapped(lo, hi);
  if (six) putByte(0x5b);
  putAddress(lo, hi);
  if (six) putByte(0x5d);
  putByte(0x3a);
  putDecimal(port);
}

/** The ASCII bytes of a literal, for names that host calls take. → its size. */
export function ascii(text: string, at: usize): u32 {
  const units = <u32>text.length;
  for (let i: u32 = 0; i < units; i++) store<u8>(at + i, load<u16>(changetype<usize>(text) + (<usize>i << 1)));
  return units;
}
