/** The journal's folder: what a gateway finds there after its next start. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { encodeValue } from "../../src/mappings/codec.ts";
import { type Journal, openJournal } from "../../src/mappings/journal.ts";
import { openLmdbStore } from "../../src/mappings/lmdb-store.ts";
import { poolOf } from "../../src/mappings/pool.ts";
import { quiet } from "../support/mapping-stores.ts";

const pool = poolOf({ subnet: "10.1.0.0/24", reserved: 0 });
const free = () => false;

function folder(t: TestContext) {
  const dir = mkdtempSync(join(tmpdir(), "egress46-journal-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return {
    dir,
    async opened<T>(use: (journal: Journal) => Promise<T>): Promise<T> {
      const journal = await openJournal(dir, dir, { number: 1, count: 1 }, quiet);
      try {
        return await use(journal);
      } finally {
        await journal.close();
      }
    },
  };
}

const hostsIn = async (journal: Journal) => journal.entries().map(({ host6 }) => host6);

test("what was noted is there after a start, what was settled is not", async (t) => {
  const { opened } = folder(t);
  await opened(async (journal) => {
    await journal.allocate(pool, "2001:db8::1", free, 0);
    const gone = await journal.allocate(pool, "2001:db8::2", free, 0);
    await journal.settled(gone!.nat4);
  });
  assert.deepEqual(await opened(hostsIn), ["2001:db8::1"]);
});

test("settled while it is only just being written: not there after a start", async (t) => {
  const { opened } = folder(t);
  await opened(async (journal) => {
    const allocated = journal.allocate(pool, "2001:db8::1", free, 0);
    const [entry] = journal.entries();
    await journal.settled(entry!.nat4);
    assert.deepEqual(await allocated, entry);
    assert.deepEqual(journal.entries(), []);
  });
  assert.deepEqual(await opened(hostsIn), []);
});

test("an address whose old note could not be removed: the new host's is what counts", async (t) => {
  const { dir, opened } = folder(t);
  const store = await openLmdbStore(dir, { folder: dir, log: quiet, create: true });
  const host6 = "2001:db8::1";
  await opened(async (journal) => {
    const first = [...Array(256).keys()].map((index) => `10.1.0.${index}`);
    for (const nat4 of first) await store.claim(nat4, encodeValue("2001:db8::99"));
    await journal.allocate(pool, host6, free, 0);
  });
  await store.close();
  assert.equal((await opened(hostsIn)).filter((host) => host === host6).length, 1);
});
