/** DNS over TCP (RFC 7766 §8): each message behind its length in two bytes; messages may arrive in any pieces. */

/** One buffer, so that length and message leave in one segment. */
export function frame(message: Uint8Array): Uint8Array {
  const framed = new Uint8Array(2 + message.length);
  framed[0] = message.length >>> 8;
  framed[1] = message.length & 255;
  framed.set(message, 2);
  return framed;
}

export interface FrameReader {
  push(chunk: Uint8Array): void;
  /** The next whole message, a copy; undefined until there is one. */
  next(): Uint8Array | undefined;
  /** Bytes held back. */
  readonly buffered: number;
}

export function createFrameReader(): FrameReader {
  let held: Uint8Array = new Uint8Array(0);
  /** Room grows by doubling, so that a message that comes byte by byte is not copied byte by byte. */
  let used = 0;
  return {
    push(chunk) {
      if (used + chunk.length > held.length) {
        const larger = new Uint8Array(Math.max(used + chunk.length, used * 2));
        larger.set(held.subarray(0, used));
        held = larger;
      }
      held.set(chunk, used);
      used += chunk.length;
    },
    next() {
      if (used < 2) return undefined;
      const end = 2 + ((held[0]! << 8) | held[1]!);
      if (used < end) return undefined;
      const message = held.slice(2, end);
      held = held.subarray(end, used);
      used = held.length;
      return message;
    },
    get buffered() {
      return used;
    },
  };
}
