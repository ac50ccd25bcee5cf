import assert from "node:assert/strict";
import { test } from "node:test";
import { pino } from "pino";
import { createPoolAlarm, levelOf } from "../../src/mappings/pool-alarm.ts";

const steps: Record<string, { before: number; share: number; level: number }> = {
  empty: { before: 0, share: 0, level: 0 },
  "just below the first": { before: 0, share: 0.79, level: 0 },
  "the first": { before: 0, share: 0.8, level: 1 },
  "the second at a leap": { before: 0, share: 0.96, level: 2 },
  full: { before: 1, share: 1, level: 3 },
  "a little below the first again": { before: 1, share: 0.76, level: 1 },
  "well below the first again": { before: 1, share: 0.74, level: 0 },
  "one address free again": { before: 3, share: 0.99, level: 3 },
  "some free again": { before: 3, share: 0.94, level: 2 },
  "many free again": { before: 3, share: 0.85, level: 1 },
};
for (const [name, { before, share, level }] of Object.entries(steps))
  test(`pool level: ${name}`, () => assert.equal(levelOf(before, share), level));

test("pool alarm: each level is logged once, a swing at its edge not again, the end once", () => {
  const lines: { level: number; msg: string }[] = [];
  const alarm = createPoolAlarm(pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) }));
  const look = (used: number, refused = false) =>
    alarm.look({ subnet: "10.0.0.0/24", size: 200, used, refused });
  for (const used of [100, 160, 161, 159, 160, 190, 189, 190, 200, 199, 200]) look(used);
  const warned = lines.map(({ level, msg }) => [level, msg]);
  assert.deepEqual(warned, [
    [40, "DNS46 pool 10.0.0.0/24 is 80 % used (160 of 200 addresses)"],
    [40, "DNS46 pool 10.0.0.0/24 is 95 % used (190 of 200 addresses)"],
    [
      40,
      "DNS46 pool 10.0.0.0/24 is exhausted: names that need a new mapping get the sorry IP or SERVFAIL (200 of 200 addresses)",
    ],
  ]);
  assert.match(alarm.note() ?? "", /exhausted.*\(200 of 200/);
  look(100);
  assert.equal(alarm.note(), undefined);
  assert.deepEqual(lines.at(-1)?.msg, "DNS46 pool 10.0.0.0/24 has addresses to spare again");
  assert.equal(lines.length, 4);
});

test("pool alarm: a host without a free candidate means exhausted, also in a pool with free addresses", () => {
  const alarm = createPoolAlarm(pino({ level: "silent" }));
  alarm.look({ subnet: "10.0.0.0/16", size: 65_534, used: 63_000, refused: true });
  assert.match(alarm.note() ?? "", /exhausted/);
});

test("pool alarm: another subnet starts anew, none has nothing to say", () => {
  const alarm = createPoolAlarm(pino({ level: "silent" }));
  alarm.look({ subnet: "10.0.0.0/30", size: 2, used: 2, refused: false });
  alarm.look({ subnet: "10.1.0.0/24", size: 254, used: 240, refused: false });
  assert.match(alarm.note() ?? "", /10\.1\.0\.0\/24 is 80 %/);
  alarm.look(undefined);
  assert.equal(alarm.note(), undefined);
});
