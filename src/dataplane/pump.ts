import type { Lifetime } from "../dns/lifetime.ts";
import type { Engine } from "../engine/engine.ts";
import { wireOrder } from "../engine/engine.ts";
import { DropReason, descriptorOffsets, udpContextOffsets, Verdict } from "../engine/layout.gen.ts";
import type { PacketDevice } from "./device.ts";

/** What the engine leaves to the host. Bytes are copies. */
export interface PumpEvents {
  /** A DNS question; `context` goes back with the answer, unread. `refresh`: the answer is only to be kept. */
  dns(context: Uint8Array, question: Uint8Array, refresh: boolean): void;
  /** A packet waits for the mapping of `nat4` (host order). */
  ask(nat4: number): void;
}

export interface Pump {
  /** Reads, processes and writes one batch of at most `most` packets (default: what the ring holds). → how many. */
  turn(nowMs: number, most?: number): number;
  /** Writes what calls other than turn() have left in the transmit ring. */
  flush(): void;
  /** Sends an answer to a DNS question. */
  reply(context: Uint8Array, answer: Uint8Array): void;
  /** Has the engine's cache keep it. */
  keep(context: Uint8Array, answer: Uint8Array, lifetime: Lifetime, nowMs: number): void;
}

/** A batch ends after so many bytes: the packets in hand should stay in the processor's cache. */
const BATCH_BYTES = 256 * 1024;
const DESCRIPTOR = descriptorOffsets.sizeof >> 2;
const ADDRESS = descriptorOffsets.address >> 2;
const LENGTH = descriptorOffsets.length >> 2;
const VERDICT = descriptorOffsets.verdict >> 2;
const VALUE = descriptorOffsets.value >> 2;
const CONTEXT_BYTES = udpContextOffsets.sizeof;

/** Moves packets between a device and an engine. No allocation per packet; only what goes to the host is copied. */
export function createPump(engine: Engine, device: PacketDevice, events: PumpEvents): Pump {
  const { exports, layout, words, bytes } = engine;
  const receive = layout.receiveRing >> 2;
  const transmit = layout.transmitRing >> 2;
  const refused = new BigUint64Array(bytes.buffer, layout.dropCounters + DropReason.DEVICE_REFUSED * 8, 1);

  function turn(nowMs: number, most: number = layout.receiveCapacity): number {
    let count = 0;
    let sum = 0;
    while (count < most && sum < BATCH_BYTES) {
      const descriptor = receive + count * DESCRIPTOR;
      const length = device.read(words[descriptor + ADDRESS]!, layout.readMax);
      if (length === 0) break;
      words[descriptor + LENGTH] = length;
      sum += length;
      count++;
    }
    if (count > 0) write(exports.process(count, nowMs));
    return count;
  }

  function write(count: number): void {
    for (let i = 0; i < count; i++) {
      const descriptor = transmit + i * DESCRIPTOR;
      const address = words[descriptor + ADDRESS]!;
      const length = words[descriptor + LENGTH]!;
      const verdict = words[descriptor + VERDICT];
      if (verdict === Verdict.FORWARD) {
        if (!device.write(address, length)) refused[0]!++;
      } else if (verdict === Verdict.DNS || verdict === Verdict.DNS_REFRESH) {
        const context = words[descriptor + VALUE]!;
        events.dns(
          bytes.slice(context, context + CONTEXT_BYTES),
          bytes.slice(address, address + length),
          verdict === Verdict.DNS_REFRESH,
        );
      } else if (verdict === Verdict.ASK_MAPPING) {
        events.ask(wireOrder(words[descriptor + VALUE]!));
      }
    }
    exports.written();
  }

  function flush(): void {
    const count = exports.pending();
    if (count > 0) write(count);
  }

  function place(context: Uint8Array, answer: Uint8Array): void {
    bytes.set(context, layout.replyBuffer);
    bytes.set(answer, layout.replyBuffer + CONTEXT_BYTES);
  }

  function reply(context: Uint8Array, answer: Uint8Array): void {
    place(context, answer);
    if (exports.replySend(answer.length)) return;
    flush();
    if (!exports.replySend(answer.length)) refused[0]!++;
  }

  function keep(context: Uint8Array, answer: Uint8Array, lifetime: Lifetime, nowMs: number): void {
    place(context, answer);
    exports.replyStore(answer.length, lifetime.seconds, Number(lifetime.synthesized), nowMs);
  }

  return { turn, flush, reply, keep };
}
