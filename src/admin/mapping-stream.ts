import { Readable } from "node:stream";
import type { ListedMapping } from "./view.ts";

const chunkLength = 16_384;

/**
 * The /v1/mappings body as a stream, `{"mappings":[…]}`, in bounded memory. The first entry is read before the
 * promise resolves, so that a store out of reach becomes an error status instead of a broken body.
 */
export async function mappingStream(mappings: AsyncIterable<ListedMapping>): Promise<Readable> {
  const iterator = mappings[Symbol.asyncIterator]();
  const first = await iterator.next();
  return Readable.from(chunks(iterator, first), { objectMode: false });
}

async function* chunks(
  iterator: AsyncIterator<ListedMapping>,
  first: IteratorResult<ListedMapping>,
): AsyncGenerator<string> {
  try {
    let chunk = '{"mappings":[';
    let separator = "";
    for (let next = first; next.done !== true; next = await iterator.next()) {
      chunk += separator + JSON.stringify(next.value);
      separator = ",";
      if (chunk.length >= chunkLength) {
        yield chunk;
        chunk = "";
      }
    }
    yield `${chunk}]}`;
  } finally {
    await iterator.return?.();
  }
}
