import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { ipv4ToNumber } from "../../src/addresses.ts";
import { encodeValue, keyOf } from "../../src/mappings/codec.ts";
import { openJournal } from "../../src/mappings/journal.ts";
import { needs } from "../support/exec.ts";
import { mappingGateway } from "../support/gateway-mappings.ts";
import { quiet, recorded, redisLab, type StoreLab, until } from "../support/mapping-stores.ts";

describe("a journal for the time that Redis is away", needs("redis-server"), () => {
  const subnet = "10.1.0.0/24";
  let place: StoreLab;
  let dir: string;
  before(async () => {
    place = await redisLab();
    dir = mkdtempSync(join(tmpdir(), "egress46-journal-"));
  });
  after(async () => {
    await place?.stop();
    rmSync(dir, { recursive: true, force: true });
  });
  const folder = (number: number) => join(dir, String(number));

  test("each gateway maps new hosts in its slice; all of it is in Redis afterwards, and a conflict is named", async () => {
    const { log, lines } = recorded();
    const open = async (number: number) => {
      const journal = await openJournal(folder(number), folder(number), { number, count: 2 }, quiet);
      return { journal, ...(await mappingGateway(place, { subnet }, { journal, log })) };
    };
    const [one, two] = [await open(1), await open(2)];
    try {
      await Promise.all([one.mappings.start(), two.mappings.start()]);
      const known = await one.mappings.mapHost("2001:db8::1");
      await place.redis?.kill();
      await until("away", () => [one, two].every(({ mappings }) => !mappings.status().storeConnected));
      assert.deepEqual(await one.mappings.mapHost("2001:db8::1"), known);
      const given = new Map<string, string>();
      for (const [slice, { mappings, held }] of [one, two].entries())
        for (let index = 1; index <= 20; index++) {
          const host6 = `2001:db8:${slice + 1}::${index.toString(16)}`;
          const answer = await mappings.mapHost(host6);
          assert.ok(answer.kind === "mapped");
          assert.equal(ipv4ToNumber(answer.nat4) % 2, slice);
          assert.equal(held.get(answer.nat4), host6);
          assert.deepEqual(await mappings.mapHost(host6), answer);
          assert.equal(given.has(answer.nat4), false);
          given.set(answer.nat4, host6);
        }
      const taken = [...given].find(([, host6]) => host6.startsWith("2001:db8:2:"))![0];
      await place.redis?.restart();
      await place.foreignSet(keyOf(taken), encodeValue("2001:db8::99"));
      for (const [nat4, host6] of given)
        if (nat4 !== taken)
          await until("stored", async () => (await place.foreignGet(keyOf(nat4))) === encodeValue(host6));
      await until("settled", () => [one, two].every(({ journal }) => journal.entries().length === 0));
      await until("the store's", () => two.held.get(taken) === "2001:db8::99");
      await until("named", () => lines.some((line) => line.includes(`mapping conflict: ${taken} `)));
    } finally {
      for (const each of [one, two]) {
        await each.close();
        await each.journal.close();
      }
    }
  });

  test("a break of the command connection alone: what was given out meanwhile is in Redis soon, and nobody else's", async () => {
    const tiny = "10.2.0.0/32";
    const journal = await openJournal(folder(4), folder(4), { number: 1, count: 1 }, quiet);
    const one = await mappingGateway(place, { subnet: tiny }, { journal });
    const other = await mappingGateway(place, { subnet: tiny });
    try {
      await Promise.all([one.mappings.start(), other.mappings.start()]);
      const clients = (await place.redis!.cli("CLIENT", "LIST")).split("\n");
      for (const client of clients.filter((line) => /name=egress46.* sub=0 /.test(line)))
        await place.redis!.cli("CLIENT", "KILL", "ID", /^id=(\d+)/.exec(client)![1]!);
      await until("away", () => !one.store.connected());
      const mapped = { kind: "mapped", nat4: "10.2.0.0" };
      assert.deepEqual(await one.mappings.mapHost("2001:db8:4::1"), mapped);
      await until("settled", () => journal.entries().length === 0);
      assert.deepEqual(await other.mappings.mapHost("2001:db8:4::2"), { kind: "exhausted" });
      assert.deepEqual(await one.mappings.mapHost("2001:db8:4::1"), mapped);
    } finally {
      await Promise.all([one.close(), other.close()]);
      await journal.close();
    }
  });

  for (const knowsFrom of ["its end", "the listing"] as const)
    test(`an address in quarantine is not given to another host while Redis is away: known from ${knowsFrom}`, async () => {
      const tiny = { subnet: knowsFrom === "its end" ? "10.3.0.0/32" : "10.4.0.0/32", maxTtl: 0.2 };
      const nat4 = tiny.subnet.slice(0, -3);
      const life = { leaseMs: 1000, graceMs: 100, quarantineMs: 60_000 };
      const name = folder(knowsFrom === "its end" ? 5 : 6);
      const journal = await openJournal(name, name, { number: 1, count: 1 }, quiet);
      const one = await mappingGateway(place, tiny, { journal, life });
      try {
        if (knowsFrom === "its end") {
          await one.mappings.start();
          assert.deepEqual(await one.mappings.mapHost("2001:db8:5::1"), { kind: "mapped", nat4 });
          await until("the end", () => !one.held.has(nat4), 8000);
        } else {
          const held = { host6: "2001:db8:5::1", entryMs: 1, heldMs: 60_000 };
          await one.store.claim(nat4, encodeValue(held.host6, 1), held);
          await delay(50);
          await one.mappings.start();
        }
        place.redis?.pause();
        await until("away", () => !one.store.connected());
        await assert.rejects(one.mappings.mapHost("2001:db8:5::2"), { code: "EG46_STORE_UNAVAILABLE" });
        assert.deepEqual(await one.mappings.mapHost("2001:db8:5::1"), { kind: "mapped", nat4 });
      } finally {
        place.redis?.resume();
        await one.close();
        await journal.close();
      }
    });

  test("a gateway that is started anew while Redis is away still has what it gave out", async () => {
    const slice = { number: 1, count: 2 };
    const first = await openJournal(folder(3), folder(3), slice, quiet);
    const one = await mappingGateway(place, { subnet }, { journal: first });
    await one.mappings.start();
    place.redis?.pause();
    try {
      await until("away", () => !one.mappings.status().storeConnected);
      const answer = await one.mappings.mapHost("2001:db8:3::1");
      await one.close();
      await first.close();
      const journal = await openJournal(folder(3), folder(3), slice, quiet);
      const again = await mappingGateway(place, { subnet }, { journal });
      await again.mappings.start();
      assert.deepEqual(await again.mappings.mapHost("2001:db8:3::1"), answer);
      place.redis?.resume();
      await until("settled", () => journal.entries().length === 0);
      await again.close();
      await journal.close();
    } finally {
      place.redis?.resume();
    }
  });
});
