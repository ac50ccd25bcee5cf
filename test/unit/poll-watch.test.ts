import assert from "node:assert/strict";
import { test } from "node:test";
import { pollChanges } from "../../src/mappings/poll-watch.ts";
import { until } from "../support/mapping-stores.ts";

type Write = readonly [nat4: string, value: string | undefined];

/** A store with numbered transactions, of which it knows the addresses of its own ones only. */
function store() {
  const entries = new Map([["10.0.0.1", "old"]]);
  const own = new Set<number>();
  let version = 1;
  let told = new Map<string, string | undefined>();
  let lists = 0;
  return {
    /** The next transaction passes for one of ours, whoever makes it. */
    mistake: () => void own.add(version + 1),
    lists: () => lists,
    write(writes: readonly Write[], ours: boolean) {
      version++;
      for (const [nat4, value] of writes) {
        if (value === undefined) entries.delete(nat4);
        else entries.set(nat4, value);
        if (ours) told.set(nat4, value);
      }
      if (ours) own.add(version);
    },
    source: {
      intervalMs: 1,
      version: async () => version,
      told() {
        const taken = told;
        told = new Map();
        return taken;
      },
      onlyTold(after: number, upTo: number) {
        for (let id = after + 1; id <= upTo; id++) if (!own.has(id)) return false;
        return true;
      },
      get: (nat4: string) => entries.get(nat4),
      async *list() {
        lists++;
        yield* [...entries];
      },
    },
  };
}

for (const [what, changes] of [
  ["a new entry", [["10.0.0.2", "new"]]],
  ["a changed one", [["10.0.0.1", "new"]]],
  ["one that goes", [["10.0.0.1", undefined]]],
  [
    "several",
    [
      ["10.0.0.1", undefined],
      ["10.0.0.3", "x"],
    ],
  ],
] as const satisfies readonly (readonly [string, readonly Write[]])[])
  for (const [whose, lists] of [
    ["our own: reported without a listing", 0],
    ["another's: reported by one listing", 1],
    ["another's, and then one of ours: reported by one listing", 1],
  ] as const)
    test(`${what}, ${whose}`, async () => {
      const { source, write, lists: listed } = store();
      const stop = new AbortController();
      const reported = new Map<string, string | undefined>();
      let ready = false;
      const watching = pollChanges(
        source,
        {
          changed: (nat4, value) => void reported.set(nat4, value),
          resync() {
            ready = true;
          },
        },
        stop.signal,
      );
      await until("the first listing", () => ready);
      const before = listed();
      write(changes, lists === 0);
      if (whose.endsWith("one of ours: reported by one listing")) write([["10.0.0.9", "ours"]], true);
      await until("the reports", () => changes.every(([nat4]) => reported.has(nat4)));
      assert.deepEqual(
        changes.map(([nat4]) => [nat4, reported.get(nat4)]),
        changes.map((change) => [...change]),
      );
      assert.equal(listed() - before, lists);
      stop.abort();
      await watching;
    });

test("another's that passes for ours is reported within a second", async () => {
  const { source, write, mistake } = store();
  const stop = new AbortController();
  const reported = new Map<string, string | undefined>();
  let ready = false;
  const listener = {
    changed: (nat4: string, value: string | undefined) => void reported.set(nat4, value),
    resync() {
      ready = true;
    },
  };
  const watching = pollChanges(source, listener, stop.signal);
  await until("the first listing", () => ready);
  mistake();
  write([["10.0.0.7", "another's"]], false);
  await until("the report", () => reported.get("10.0.0.7") === "another's", 3000);
  stop.abort();
  await watching;
});
