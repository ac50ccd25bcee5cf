/**
 * Packet memory and the descriptor rings between host and engine.
 *
 * The host reads packets into the slots that the receive ring names, calls process(), and writes what the transmit ring
 * names. The engine alone decides which slot goes where: a packet that waits keeps its slot, and the ring gets another.
 */
import { reserve } from "../core/arena";
import { Verdict } from "../core/verdict";
import { VNET_HEADER } from "../core/wire/vnet";

@unmanaged
@final
export class Descriptor {
  /** Receive: where to read to, and how much was read. Transmit: what to write (virtio-net header first). */
  address: usize;
  length: u32;
  /** A Verdict. */
  verdict: u32;
  slot: u32;
  /** Verdict.DNS: address of the question's UdpContext. Verdict.ASK_MAPPING: the address asked for, wire order. */
  value: u32;
  reserved0: u32;
  reserved1: u32;
  reserved2: u32;
}
if (offsetof<Descriptor>() != 32) ERROR("Descriptor must be 32 bytes");

export const RECEIVE_CAPACITY: u32 = 64;
export const TRANSMIT_CAPACITY: u32 = 384;
const SLOTS: u32 = 320;
/** Room in front of a received packet: 20 bytes for translation, a fragment header, the offload header, an aside. */
export const HEADROOM: u32 = 256;
/** 64 KB of packet, headroom and tail room; not a multiple of the page, or all slots would share cache sets. */
const STRIDE: u32 = 69_824;
/** Bytes behind the headroom. */
export const SLOT_ROOM: u32 = STRIDE - HEADROOM;
/** What the host may read into a slot at most: the largest IPv6 packet that isn't a jumbogram. */
export const READ_MAX: u32 = VNET_HEADER + 40 + 65_535;

const RECEIVE = memory.data(64 * 32, 64);
const TRANSMIT = memory.data(384 * 32, 64);
const FREE = memory.data(2 * 320, 64);
/** Slots handed to the host with the last batch: free again when it comes back. */
const SPENT = memory.data(2 * 320, 64);

let base: usize = 0;
let freeCount: u32 = 0;
let spentCount: u32 = 0;
let transmitCount: u32 = 0;

export const receiveRing: usize = RECEIVE;
export const transmitRing: usize = TRANSMIT;

export function initSlots(): bool {
  base = reserve(<u64>SLOTS * STRIDE);
  if (base == 0) return false;
  for (let slot: u32 = 0; slot < SLOTS; slot++) freeSlot(slot);
  for (let i: u32 = 0; i < RECEIVE_CAPACITY; i++) provide(i);
  return true;
}

// @ts-ignore: decorator
@inline
export function received(i: u32): Descriptor {
  return changetype<Descriptor>(RECEIVE + (<usize>i << 5));
}

// @ts-ignore: decorator
@inline
export function slotAddress(slot: u32): usize {
  return base + <usize>slot * STRIDE;
}

/** A free slot, or -1. */
export function takeSlot(): i32 {
  if (freeCount == 0) return -1;
  return load<u16>(FREE + (--freeCount << 1));
}

export function freeSlot(slot: u32): void {
  store<u16>(FREE + (freeCount++ << 1), <u16>slot);
}

/** Gives place `i` of the receive ring a free slot; false when there is none. */
function provide(i: u32): bool {
  const slot = takeSlot();
  if (slot < 0) return false;
  const d = received(i);
  d.slot = slot;
  d.address = slotAddress(slot) + HEADROOM - VNET_HEADER;
  d.length = 0;
  return true;
}

/** Takes the packet at place `i` out of the ring, slot and all; -1 when there's no other slot to put there. */
export function detach(i: u32): i32 {
  const slot = received(i).slot;
  return provide(i) ? slot : -1;
}

/** The host has written the last batch: its spare slots are free again, the transmit ring is empty. */
export function recycle(): void {
  while (spentCount > 0) freeSlot(load<u16>(SPENT + (--spentCount << 1)));
  transmitCount = 0;
}

// @ts-ignore: decorator
@inline
export function transmitted(): u32 {
  return transmitCount;
}

/** The descriptor that was the last one when there were `count`. */
// @ts-ignore: decorator
@inline
export function lastTransmitted(count: u32): Descriptor {
  return changetype<Descriptor>(TRANSMIT + (<usize>(count - 1) << 5));
}

// @ts-ignore: decorator
@inline
export function isTransmitFull(): bool {
  return transmitCount == TRANSMIT_CAPACITY;
}

/** Appends to the transmit ring; false when it is full. */
export function transmit(address: usize, length: u32, verdict: u32, slot: u32, value: u32): bool {
  if (isTransmitFull()) return false;
  append(address, length, verdict, slot, value);
  return true;
}

/** As transmit, when it isn't full. */
// @ts-ignore: decorator
@inline
export function append(address: usize, length: u32, verdict: u32, slot: u32, value: u32): void {
  const d = changetype<Descriptor>(TRANSMIT + (<usize>(transmitCount++) << 5));
  d.address = address;
  d.length = length;
  d.verdict = verdict;
  d.slot = slot;
  d.value = value;
}

/** The slot is free once the host has written the current batch. */
export function spend(slot: u32): void {
  store<u16>(SPENT + (spentCount++ << 1), <u16>slot);
}

/** Sends a packet that was made in a slot of its own, checksums complete; false when the ring is full. */
export function sendFresh(ip: usize, length: u32, slot: u32): bool {
  memory.fill(ip - VNET_HEADER, 0, VNET_HEADER);
  if (!transmit(ip - VNET_HEADER, VNET_HEADER + length, Verdict.FORWARD, slot, 0)) {
    freeSlot(slot);
    return false;
  }
  spend(slot);
  return true;
}
