import assert from "node:assert/strict";
import { test } from "node:test";
import { poolOf, windowOf } from "../../src/mappings/pool.ts";
import { createSubnets } from "../../src/mappings/subnets.ts";

const host = "2001:db8::1";
const older = poolOf({ subnet: "10.1.0.0/16", reserved: 100 });
const present = poolOf({ subnet: "10.2.0.0/16", reserved: 100 });
const candidate = (pool: typeof older) => windowOf(pool, host)[7]!;
const unlikely = [older.first, older.first + 1].find((nat4) => !windowOf(older, host).includes(nat4))!;

const cases: Record<string, { known: number[]; best: number | undefined; drains?: boolean }> = {
  "nothing known": { known: [], best: undefined },
  "one of the present subnet": { known: [candidate(present)], best: candidate(present) },
  "of both subnets, the present one": {
    known: [candidate(older), candidate(present)],
    best: candidate(present),
  },
  "by hand in the present subnet": { known: [present.network + 5], best: present.network + 5 },
  "by hand, in no subnet ever served": { known: [0x0a90afdc], best: 0x0a90afdc },
  "by hand in the reserved part of the older one": { known: [older.network + 5], best: older.network + 5 },
  "by hand in the older one, no candidate": { known: [unlikely], best: unlikely },
  "by DNS46 in the older one: drains": { known: [candidate(older)], best: candidate(older), drains: true },
  "by DNS46 in the older one, and by hand": {
    known: [candidate(older), 0x0a90afdc],
    best: 0x0a90afdc,
  },
};
for (const [name, { known, best, drains = false }] of Object.entries(cases))
  test(`after a change of the subnet, ${name}`, () => {
    const subnets = createSubnets();
    for (const pool of [older, older, undefined, present]) subnets.serve(pool);
    assert.deepEqual(subnets.best(host, known), best === undefined ? undefined : { nat4: best, drains });
  });

test("back to the older subnet: its addresses are the present ones", () => {
  const subnets = createSubnets();
  for (const pool of [older, present, older]) subnets.serve(pool);
  const known = [candidate(present), candidate(older)];
  assert.deepEqual(subnets.best(host, known), { nat4: candidate(older), drains: false });
  assert.deepEqual(subnets.best(host, [candidate(present)]), { nat4: candidate(present), drains: true });
});

test("without a subnet what is known is answered as it is", () => {
  const subnets = createSubnets();
  for (const pool of [older, undefined]) subnets.serve(pool);
  assert.deepEqual(subnets.best(host, [candidate(older)]), { nat4: candidate(older), drains: false });
});
