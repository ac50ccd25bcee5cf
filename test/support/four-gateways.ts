import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { hasCode } from "../../src/errors.ts";
import type { Mappings } from "../../src/mappings/mappings.ts";
import { mappingGateway, storedEntries } from "./gateway-mappings.ts";
import { type StoreLab, until } from "./mapping-stores.ts";

/** As a DNS client does on SERVFAIL: asks again after a while. A busy machine may make a store late. */
export async function mapPatiently(mappings: Mappings, host: string, patienceMs = 20_000) {
  const endMs = performance.now() + patienceMs;
  for (;;)
    try {
      return await mappings.mapHost(host);
    } catch (error) {
      if (performance.now() > endMs || !hasCode(error, "EG46_STORE_UNAVAILABLE")) throw error;
      await delay(500);
    }
}

/** Deterministic order for gateway `seed`. */
export function shuffled<T>(items: readonly T[], seed: number): T[] {
  const all = [...items];
  let state = seed;
  for (let index = all.length - 1; index > 0; index--) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    const other = state % (index + 1);
    [all[index], all[other]] = [all[other]!, all[index]!];
  }
  return all;
}

/**
 * Four gateways are asked for the same hosts at once, each in its order; the server is stopped (SIGSTOP) for `stopMs` in
 * the middle. A ledger of every answer: the same address everywhere, none for two hosts, none in the store that nobody
 * was answered with.
 */
export async function fourAsked(
  lab: StoreLab,
  settings: { subnet: string; reserved: number; hosts: number; stopMs: number },
): Promise<void> {
  const { subnet, reserved, hosts: count, stopMs } = settings;
  await lab.redis?.cli("FLUSHALL");
  const hosts = Array.from({ length: count }, (_, index) => `2001:db8:2::${(index + 1).toString(16)}`);
  const gateways = await Promise.all([1, 2, 3, 4].map(() => mappingGateway(lab, { subnet, reserved })));
  try {
    await Promise.all(gateways.map(({ mappings }) => mappings.start()));
    const ledger = new Map<string, Set<string>>();
    let answers = 0;
    let stopping: Promise<void> | undefined;
    async function stop(): Promise<void> {
      lab.redis?.pause();
      await delay(stopMs);
      lab.redis?.resume();
    }
    await Promise.all(
      gateways.map(async ({ mappings }, index) => {
        const order = shuffled(hosts, index + 1);
        // As many at once as a busy resolver has.
        await Promise.all(
          Array.from({ length: 100 }, async (_, lane) => {
            for (let at = lane; at < order.length; at += 100) {
              const host = order[at]!;
              const answer = await mapPatiently(mappings, host, 30_000 + stopMs);
              const text = answer.kind === "mapped" ? answer.nat4 : answer.kind;
              ledger.set(host, (ledger.get(host) ?? new Set()).add(text));
              if (++answers === count) stopping = stop();
            }
          }),
        );
      }),
    );
    await stopping;
    assert.equal(answers, 4 * count);
    const given = hosts.map((host) => [...(ledger.get(host) ?? [])]);
    assert.deepEqual(
      given.filter((all) => all.length !== 1 || all[0] === "exhausted"),
      [],
      "one address each",
    );
    assert.equal(new Set(given.flat()).size, count, "none for two");
    const stored = await storedEntries(gateways[0]!.store);
    assert.deepEqual(new Set(stored.keys()), new Set(given.flat()), "none leaked, none lost");
    for (const { held } of gateways) await until("every engine has them", () => held.size === count, 10_000);
  } finally {
    lab.redis?.resume();
    for (const each of gateways) await each.close();
  }
}
