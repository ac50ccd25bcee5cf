/** Which names are written to the store, and how many of one host at most. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Eg46Error } from "../../src/errors.ts";
import { createNames } from "../../src/mappings/names.ts";
import { nameKey } from "../../src/mappings/record-keys.ts";
import type { RecordStore } from "../../src/mappings/store.ts";
import { quiet, until } from "../support/mapping-stores.ts";

function scene(t: TestContext, most?: number) {
  const written: string[] = [];
  const state = { away: false, refused: 0 };
  const records: RecordStore = {
    getMany: async (keys) => keys.map(() => undefined),
    async put(all) {
      if (state.away) {
        state.refused++;
        throw new Eg46Error("EG46_STORE_UNAVAILABLE", "away");
      }
      written.push(...all.map(({ key }) => key));
    },
    async remove() {},
    async *list() {},
  };
  const names = createNames(records, quiet, most);
  const stop = new AbortController();
  void names.run(stop.signal);
  t.after(() => stop.abort());
  return { written, state, names };
}

test("a host's ninth name is not written, however many names of others came in between", async (t) => {
  const { written, names } = scene(t, 10);
  for (let index = 0; index < 8; index++) names.note(`n${index}.one.example`, ["2001:db8::1"]);
  for (let index = 0; index < 15; index++) names.note(`other${index}.example`, [`2001:db8::2:${index}`]);
  names.note("n8.one.example", ["2001:db8::1"]);
  names.note("last.example", ["2001:db8::3"]);
  await until("written", () => written.includes(nameKey("last.example")));
  assert.equal(written.filter((key) => key.includes(".one.")).length, 8);
});

test("a name that leads elsewhere now makes room for another one of its host before", async (t) => {
  const { written, names } = scene(t);
  for (let index = 0; index < 8; index++) names.note(`n${index}.one.example`, ["2001:db8::1"]);
  names.note("n0.one.example", ["2001:db8::2"]);
  names.note("n8.one.example", ["2001:db8::1"]);
  names.note("n9.one.example", ["2001:db8::1"]);
  await until("written", () => written.includes(nameKey("n8.one.example")));
  assert.ok(!written.includes(nameKey("n9.one.example")));
});

test("what was given up while the store was away is written when it is asked for again", async (t) => {
  const { written, state, names } = scene(t);
  state.away = true;
  for (let index = 0; index < 600; index++) names.note(`n${index}.example`, [`2001:db8::${index + 1}`]);
  await until("refused", () => state.refused > 0);
  state.away = false;
  names.note("n1.example", ["2001:db8::2"]);
  await until("written", () => written.includes(nameKey("n1.example")));
});

test("a name is known for a day, also where nobody asks for any other", async (t) => {
  const { names } = scene(t);
  names.note("a.example", ["2001:db8::1"]);
  const startMs = performance.now();
  for (const [hours, hosts] of [
    [23, ["2001:db8::1"]],
    [25, []],
  ] as const) {
    t.mock.method(performance, "now", () => startMs + hours * 3_600_000);
    assert.deepEqual(await names.hostsOf("A.example."), hosts, `after ${hours} hours`);
    t.mock.restoreAll();
  }
});
