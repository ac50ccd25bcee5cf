import { Eg46Error } from "../errors.ts";

/** Pulls bytes out of a stream in pieces of a chosen length; holds no more than a piece and a chunk. */
export interface ByteSource {
  /** Bytes taken and skipped so far. */
  offset(): number;
  /** The next `length` bytes, a view. Throws EG46_CAPTURE_INVALID when the stream ends inside `what`. */
  take(length: number, what: string): Promise<Buffer>;
  /** Like take; undefined when the stream ends before the first of them. */
  takeOrEnd(length: number, what: string): Promise<Buffer | undefined>;
  skip(length: number, what: string): Promise<void>;
  /** EG46_CAPTURE_INVALID naming the stream and `at` (bytes from the start). */
  invalid(at: number, message: string): Eg46Error;
  close(): Promise<void>;
}

export function byteSource(stream: AsyncIterable<Uint8Array>, name: string): ByteSource {
  const chunks = stream[Symbol.asyncIterator]();
  let waiting: Buffer = Buffer.alloc(0);
  let offset = 0;

  const invalid = (at: number, message: string) =>
    new Eg46Error("EG46_CAPTURE_INVALID", `${name}: offset ${at}: ${message}`);

  /** The next chunk that is not empty; undefined at the end. */
  async function nextChunk(): Promise<Buffer | undefined> {
    for (;;) {
      const { done, value } = await chunks.next().catch((cause: unknown) => {
        const { message } = cause as Error;
        throw new Eg46Error("EG46_CAPTURE_INVALID", `${name}: cannot be read: ${message}`, { cause });
      });
      if (done === true) return undefined;
      const chunk = value as Uint8Array;
      if (chunk.length > 0) return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
    }
  }

  /** False when the stream ends before `length` bytes wait. */
  async function fill(length: number): Promise<boolean> {
    const pieces = [waiting];
    let total = waiting.length;
    while (total < length) {
      const chunk = await nextChunk();
      if (chunk === undefined) break;
      pieces.push(chunk);
      total += chunk.length;
    }
    if (pieces.length > 1) waiting = Buffer.concat(pieces, total);
    return total >= length;
  }

  function consume(length: number): Buffer {
    const taken = waiting.subarray(0, length);
    waiting = waiting.subarray(length);
    offset += length;
    return taken;
  }

  const endsInside = (what: string, length: number, found: number) =>
    invalid(offset, `the file ends inside ${what}: expected ${length} bytes, found ${found}`);

  async function takeOrEnd(length: number, what: string): Promise<Buffer | undefined> {
    if (waiting.length < length && !(await fill(length))) {
      if (waiting.length === 0) return undefined;
      throw endsInside(what, length, waiting.length);
    }
    return consume(length);
  }

  return {
    offset: () => offset,
    invalid,
    takeOrEnd,
    async take(length, what) {
      const taken = length === 0 ? consume(0) : await takeOrEnd(length, what);
      if (taken === undefined) throw endsInside(what, length, 0);
      return taken;
    },
    async skip(length, what) {
      for (let left = length; left > 0; ) {
        if (waiting.length === 0) {
          const chunk = await nextChunk();
          if (chunk === undefined) throw endsInside(what, left, 0);
          waiting = chunk;
        }
        left -= consume(Math.min(left, waiting.length)).length;
      }
    },
    async close() {
      await chunks.return?.();
    },
  };
}
