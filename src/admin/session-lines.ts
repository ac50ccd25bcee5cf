import { Readable } from "node:stream";
import type { SessionChange } from "./view.ts";

/** The /v1/sessions/stream body: a JSON object a line. */
export function sessionLines(changes: AsyncIterable<readonly SessionChange[]>): Readable {
  return Readable.from(lines(changes), { objectMode: false });
}

async function* lines(changes: AsyncIterable<readonly SessionChange[]>): AsyncGenerator<string> {
  for await (const batch of changes)
    if (batch.length > 0) yield batch.map((each) => `${JSON.stringify(each)}\n`).join("");
}
