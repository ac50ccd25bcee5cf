/** What LMDB's watch must not miss: what is committed while it looks, and what comes and goes between two looks. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { open } from "lmdb";
import pino from "pino";
import { encodeValue, keyOf } from "../../src/mappings/codec.ts";
import { snapshotId } from "../../src/mappings/lmdb-snapshot.ts";
import { openLmdbStore } from "../../src/mappings/lmdb-store.ts";
import { pollChanges } from "../../src/mappings/poll-watch.ts";

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "egress46-lmdb-"));
  t.after(() => rmSync(path, { recursive: true }));
  return path;
}

/** Puts each number that it is told; says it again once it is committed. */
const writer = `
import { open } from "lmdb";
const db = open({ path: process.argv[1], encoding: "string", noSubdir: false, eventTurnBatching: false });
process.stdin.setEncoding("utf8").on("data", (text) => {
  for (const n of text.trim().split("\\n")) db.transactionSync(() => void db.put("n", n));
  process.stdout.write(text);
});
process.stdout.write("0\\n");`;

test("who lists at each new snapshot has every commit of another process", async (t) => {
  const path = folder(t);
  const db = open<string, string>({ path, encoding: "string", noSubdir: false, eventTurnBatching: false });
  const child = spawn(process.execPath, ["--input-type=module", "-e", writer, path], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  t.after(async () => {
    child.kill("SIGKILL");
    await db.close();
  });
  let committed = -1;
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    committed = Number(text.trim().split("\n").at(-1));
  });
  await once(child.stdout, "data");
  let seen = Number.NaN;
  let listed = 0;
  for (let n = 1; n <= 100; n++) {
    child.stdin.write(`${n}\n`);
    for (let looksAfter = 0; listed !== n; await nextTurn()) {
      const snapshot = snapshotId(db);
      if (snapshot !== seen) listed = Number(db.get("n"));
      seen = snapshot;
      if (committed === n)
        assert.ok(looksAfter++ < 3, `commit ${n}: the snapshot is known, the entry is not`);
    }
  }
});

test("an entry that this process was told of, and that goes before the next look, is told as gone", async (t) => {
  const path = folder(t);
  const options = { folder: path, log: pino({ level: "silent" }), create: true };
  const store = await openLmdbStore(path, options);
  t.after(() => store.close());
  const behind = open<string, string>({
    path,
    encoding: "string",
    noSubdir: false,
    eventTurnBatching: false,
  });
  t.after(() => behind.close());
  const gone = new Set<string>();
  let inPlace = () => {};
  const resynced = new Promise<void>((resolve) => {
    inPlace = resolve;
  });
  const changed = (nat4: string, value: string | undefined) => {
    if (value === undefined) gone.add(nat4);
  };
  void store.watch({ changed, resync: inPlace }, AbortSignal.timeout(20_000));
  await resynced;
  const value = encodeValue("2001:db8::1");
  const ways = {
    claimed: (nat4: string) => store.claim(nat4, value),
    "looked up": async (nat4: string) => {
      await behind.put(keyOf(nat4), value);
      assert.equal(await store.get(nat4), value);
    },
  };
  for (const [n, [name, way]] of Object.entries(ways).entries())
    await t.test(name, async () => {
      const nat4 = `10.0.0.${n + 1}`;
      for (let round = 0; round < 5; round++) {
        gone.clear();
        await way(nat4);
        behind.transactionSync(() => void behind.remove(keyOf(nat4)));
        while (!gone.has(nat4)) await new Promise((resolve) => setTimeout(resolve, 20));
      }
    });
});

test("poll: an address that was told and is gone between two looks, and one that was gone and is back", async () => {
  let told = new Map<string, string | undefined>();
  const seen: unknown[] = [];
  const end = new AbortController();
  let looks = 0;
  const source = {
    intervalMs: 1,
    version: () => 1,
    told: () => {
      const taken = told;
      told = new Map();
      if (++looks === 3)
        told = new Map([
          ["10.0.0.1", "a"],
          ["10.0.0.2", undefined],
          ["10.0.0.3", "c"],
        ]);
      if (looks === 6) end.abort();
      return taken;
    },
    async *list() {
      yield ["10.0.0.2", "b"] as const;
      yield ["10.0.0.3", "c"] as const;
    },
  };
  const listener = { changed: (...change: unknown[]) => void seen.push(change), resync: () => {} };
  await pollChanges(source, listener, end.signal);
  assert.deepEqual(seen, [
    ["10.0.0.2", "b"],
    ["10.0.0.1", undefined],
  ]);
});
