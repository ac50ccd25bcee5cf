/** How many may follow the sessions, and for how long each is counted. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createSessions } from "../../../src/gateway/sessions.ts";
import { startLab } from "../../support/engine.ts";
import { flow44, openFlow } from "../../support/flows.ts";

async function sessionsOf(flows: number) {
  const lab = await startLab();
  for (let port = 1; port <= flows; port++) openFlow(lab, flow44, "udp", port);
  return createSessions([{ buffer: lab.engine.bytes.buffer, layout: lab.engine.layout }]);
}

test("four may follow, also before they ask for the first change; one that leaves makes room", async () => {
  const { watch } = await sessionsOf(0);
  const readers = Array.from({ length: 4 }, () => new AbortController());
  for (const { signal } of readers) watch(undefined, signal);
  const fifth = () => watch(undefined, new AbortController().signal);
  assert.throws(fifth, { code: "EG46_ADMIN_BUSY" });
  readers[0]!.abort();
  fifth();
  assert.throws(fifth, { code: "EG46_ADMIN_BUSY" });
});

test("one that had left before, and one that stopped by itself, are not counted", async () => {
  const { watch } = await sessionsOf(1);
  for (let i = 0; i < 9; i++) watch(undefined, AbortSignal.abort());
  for (let i = 0; i < 9; i++)
    for await (const changes of watch(undefined, new AbortController().signal)) {
      assert.equal(changes[0]?.change, "present");
      break;
    }
});

test("pages: every session once, also when other work has its turn within one", async () => {
  const { page } = await sessionsOf(1500);
  const ids: string[] = [];
  for (let after: string | undefined, first = true; first || after !== undefined; first = false) {
    const { sessions, next } = await page({ limit: 600, ...(after !== undefined && { after }) });
    ids.push(...sessions.map(({ id }) => id));
    after = next;
  }
  assert.equal(new Set(ids).size, 1500);
  assert.equal(ids.length, 1500);
});
