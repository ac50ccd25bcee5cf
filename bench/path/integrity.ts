import type { Context } from "../part.ts";
import type { Received } from "./agents/protocol.ts";
import type { Contender } from "./contenders/contender.ts";

const reported = new Set<string>();

/** Checksum errors that a namespace has counted since it was made are errors of the bench, each told once. */
export async function checkIntegrity({ results }: Context, contender: Contender): Promise<void> {
  const { pods, gateway, internet } = contender;
  for (const netns of [...pods, internet, ...(gateway ? [gateway] : [])]) {
    const table = await netns.run(["nstat", "-asz"]);
    for (const [, counter, count] of table.matchAll(/^(\w*Csum\w*)\s+([1-9]\d*)/gm)) {
      const key = `${netns.name} ${counter}`;
      if (reported.has(key)) continue;
      reported.add(key);
      results.errors.push(`${contender.name}: ${counter} = ${count} in ${netns.name}`);
    }
  }
}

/** Datagrams may get lost under overload; they may not be changed or doubled. */
export function checkDatagrams({ results }: Context, what: string, received: Received): void {
  if (received.received === 0) results.errors.push(`${what}: nothing arrived`);
  if (received.corrupt > 0) results.errors.push(`${what}: ${received.corrupt} datagrams were changed`);
  if (received.duplicates > 0) results.errors.push(`${what}: ${received.duplicates} datagrams came twice`);
}
