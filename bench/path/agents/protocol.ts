/** What generators and sinks say to each other and to the bench. */

/** A datagram: 16 words. Word 3 on is the same in all, so that a change on the way shows. */
export const datagramBytes = 64;
const marker = 0x46e6_e646;

export function writeDatagram(words: Uint32Array, at: number, serial: number, flow: number): void {
  words[at] = serial;
  words[at + 1] = ~serial;
  words[at + 2] = flow;
}

export function fillDatagram(words: Uint32Array, at: number): void {
  for (let i = 3; i < datagramBytes / 4; i++) words[at + i] = marker + i;
}

export function isWhole(words: Uint32Array, at: number): boolean {
  if (words[at + 1] !== ~words[at]! >>> 0) return false;
  for (let i = 3; i < datagramBytes / 4; i++) if (words[at + i] !== marker + i) return false;
  return true;
}

export interface Sent {
  readonly sent: number;
  readonly seconds: number;
}

export interface Received {
  readonly received: number;
  readonly duplicates: number;
  /** Later than one of its flow that was sent after it. */
  readonly reordered: number;
  /** Changed on the way, or of a length that nobody sent. */
  readonly corrupt: number;
  /** From the first to the last. */
  readonly seconds: number;
}

export interface Connected {
  readonly connections: number;
  readonly failures: number;
  readonly seconds: number;
}

export function answer(message: object): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}
