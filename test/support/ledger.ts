/** What Pods were told: the ledger of every answer, and what must hold of it. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { decodeValue, keyPrefix } from "../../src/mappings/codec.ts";
import { mustExecute } from "./exec.ts";
import type { TestRedis } from "./redis.ts";
import type { Netns } from "./topology.ts";

export interface LedgerLine {
  /** Since the client's start. */
  readonly ms: number;
  readonly name: string;
  /** An address, an RCODE, `late` (no reply within its time), or `nothing` (it was never answered). */
  readonly answer: string;
}

const program = fileURLToPath(new URL("./ask-many.js", import.meta.url));

/** A client inside `pod` that asks for all names, spread over `spreadMs`; see ask-many.ts. */
export async function askAll(
  pod: Netns,
  server: string,
  names: readonly string[],
  spreadMs = 0,
): Promise<LedgerLine[]> {
  const argv = pod.inside([process.execPath, program, server, JSON.stringify(names), String(spreadMs)]);
  const output = await mustExecute(argv, { timeoutMs: spreadMs + 60_000 });
  return output
    .trim()
    .split("\n")
    .map((line) => {
      const [ms = "", name = "", answer = ""] = line.split(" ");
      return { ms: Number(ms), name, answer };
    });
}

const isAddress = (answer: string) => /^[\d.]+$/.test(answer);

/** What a server holds, as NAT address → host. */
export async function storedMappings(redis: TestRedis): Promise<Map<string, string>> {
  const keys = (await redis.cli("KEYS", `${keyPrefix}*`)).split("\n").filter(Boolean);
  const values = (await redis.cli("MGET", ...keys)).split("\n");
  return new Map(
    keys.map((key, index) => [
      key.slice(keyPrefix.length),
      decodeValue(values[index] ?? "")?.host6 ?? "no mapping",
    ]),
  );
}

/** The lines that tell of a question without an address. */
export const refusalsIn = (ledgers: readonly (readonly LedgerLine[])[]) =>
  ledgers.flat().filter(({ answer }) => !isAddress(answer));

/**
 * Every name has one address, everywhere and always, and no address is two names'. Returns address by name. `stored` is
 * what the store holds at the end: NAT address → host.
 */
export function assertOneMeaning(
  ledgers: readonly (readonly LedgerLine[])[],
  names: ReadonlyMap<string, string>,
  stored: ReadonlyMap<string, string>,
): void {
  const byName = new Map<string, string>();
  const byAddress = new Map<string, string>();
  for (const ledger of ledgers)
    for (const { name, answer } of ledger) {
      if (!isAddress(answer)) continue;
      assert.equal(byName.get(name) ?? answer, answer, `${name} has one address`);
      assert.equal(byAddress.get(answer) ?? name, name, `${answer} means one name`);
      byName.set(name, answer);
      byAddress.set(answer, name);
    }
  for (const [name, host] of names) {
    const address = byName.get(name);
    assert.ok(address !== undefined, `${name} was answered`);
    assert.equal(stored.get(address), host, `${address} of ${name} is in the store`);
  }
  assert.equal(stored.size, names.size, "no address was leaked");
}
