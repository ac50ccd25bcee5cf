import assert from "node:assert/strict";
import { after, before, describe, mock, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { encodeValue } from "../../src/mappings/codec.ts";
import { lmdbLab, type StoreLab, until } from "../support/mapping-stores.ts";

const host6 = "2001:db8::1";
const value = encodeValue(host6, 1);
const hour = 3_600_000;

describe("LMDB and a clock that is set", () => {
  let lab: StoreLab;
  let apartMs = 0;
  const { now } = Date;
  before(async () => {
    lab = await lmdbLab();
    mock.method(Date, "now", () => now() + apartMs);
  });
  after(async () => {
    mock.restoreAll();
    await lab?.stop();
  });

  for (const [index, byMs] of [4 * hour, -hour, 4 * hour].entries())
    test(`by ${byMs / hour} h, the ${index + 1}. time: what is leased and what rests stays, then ends in its time`, async () => {
      const [leased, resting] = [`10.1.${index}.1`, `10.1.${index}.2`];
      const [one, other] = [await lab.open(), await lab.open()];
      try {
        await delay(600);
        await one.claim(leased, value, { host6, entryMs: 4000, heldMs: 6000 });
        await one.claim(resting, value, { host6, entryMs: 1, heldMs: 60_000 });
        await until("ended", async () => (await one.get(resting)) === undefined);
        apartMs += byMs;
        const holder = async () => (await other.window([resting]))[0]?.heldFor;
        assert.equal(await holder(), host6, "at once");
        await delay(1500);
        assert.equal(await other.get(leased), value);
        assert.equal(await holder(), host6);
        if (byMs > 0) await until("its end", async () => (await other.get(leased)) === undefined, 8000);
      } finally {
        await Promise.all([one.close(), other.close()]);
      }
    });
});
