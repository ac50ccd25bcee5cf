/** How evenly Pods are spread over SNAT addresses, how few move when the pool changes, and that the engine does just that. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { decode } from "../../support/decode.ts";
import { poolEntry, startLab } from "../../support/engine.ts";
import { flow44, flow66, fromPod } from "../../support/flows.ts";
import { SYN } from "../../support/packets.ts";
import {
  consecutive,
  deviation,
  irregularPatterns,
  type Pattern,
  permutation,
  regularPatterns,
  shareOf,
  shareOut,
} from "../../support/pairing.ts";

const sizes = [1, 2, 3, 4, 7, 8, 16, 100, 255, 256];
const families = [4, 6] as const;
const first = { 4: "198.51.100.0", 6: "2001:db8:5::1" } as const;
const pools = Object.fromEntries(
  families.map((family) => [family, sizes.map((size) => consecutive(first[family], size))]),
) as Record<4 | 6, string[][]>;
const known = new Map<string, string[]>();

function ownersOf(pool: readonly string[]): string[] {
  const key = pool.join();
  const owners = known.get(key) ?? shareOut(pool);
  known.set(key, owners);
  return owners;
}

const sharesOf = (pattern: Pattern, count: number) =>
  Array.from({ length: count }, (_, n) => shareOf(pattern.pod(n)));

/** What a hash gives on the average. */
const chance = (pool: readonly string[], pods: number) => Math.sqrt(pool.length / pods);

describe("10,000 Pods", () => {
  for (const pattern of regularPatterns)
    test(`${pattern.name}: within 5 %`, () => {
      const pods = sharesOf(pattern, 10_000);
      for (const pool of pools[pattern.family]) {
        const { standard, farthest } = deviation(ownersOf(pool), pool, pods);
        // 255: some addresses consist of many small pieces.
        const limit = pool.length < 100 ? 0.012 : pool.length === 255 ? 0.06 : 0.05;
        assert.ok(standard <= limit, `${pool.length} addresses: ${standard}`);
        assert.ok(farthest <= 0.3, `${pool.length} addresses: farthest ${farthest}`);
      }
    });

  for (const pattern of irregularPatterns)
    test(`${pattern.name}: not worse than chance`, () => {
      const pods = sharesOf(pattern, 10_000);
      for (const pool of pools[pattern.family]) {
        const { standard } = deviation(ownersOf(pool), pool, pods);
        assert.ok(
          standard <= Math.max(0.05, 1.1 * chance(pool, 10_000)),
          `${pool.length} addresses: ${standard}`,
        );
      }
    });
});

describe("1,000 Pods", () => {
  for (const pattern of regularPatterns)
    test(`${pattern.name}: better than chance`, () => {
      const pods = sharesOf(pattern, 1000);
      for (const pool of pools[pattern.family]) {
        const { standard } = deviation(ownersOf(pool), pool, pods);
        assert.ok(standard <= 0.95 * chance(pool, 1000), `${pool.length} addresses: ${standard}`);
      }
    });
});

/** Of all Pods, when one of so many addresses goes: its own at least, 1 / size. */
const most = (size: number) => (size > 50 ? 0.06 : size > 8 ? 1.7 / size : 1.4 / size);

describe("shares", () => {
  for (const family of families)
    for (const pool of pools[family])
      test(`IPv${family}, ${pool.length} addresses: as many for each, or one more`, () => {
        const owners = ownersOf(pool);
        const { standard, farthest } = deviation(owners, pool, [...owners.keys()]);
        assert.ok(standard <= farthest && farthest <= pool.length / owners.length);
      });

  for (const family of families)
    for (const pool of pools[family].slice(1))
      test(`IPv${family}, one of ${pool.length} goes, or comes: most Pods stay`, () => {
        const owners = ownersOf(pool);
        for (const index of family === 4 ? [0, pool.length >> 1] : [pool.length - 1]) {
          const others = ownersOf(pool.toSpliced(index, 1));
          const moved = owners.filter((owner, share) => owner !== others[share]).length / owners.length;
          assert.ok(moved <= most(pool.length), `${moved}`);
        }
      });
});

describe("the engine's choice", () => {
  for (const flow of [flow44, flow66])
    for (const size of [1, 2, 7, 255, 256])
      test(`${flow.out}, ${size} addresses`, async () => {
        const family = flow === flow44 ? 4 : 6;
        const pool = consecutive(first[family], size);
        const place = permutation(size);
        const lab = await startLab({ sizes: { maxSessions: 1 << 14, maxMappings: 64 } });
        // Another pool before, and another order: nothing of it may count.
        const other = consecutive(family === 4 ? "203.0.113.1" : "2001:db8:6::1", 9);
        lab.configure({ pool: [...other, ...pool.slice(size >> 1)].map((each) => poolEntry(each)) });
        lab.configure({ pool: pool.map((_, index) => poolEntry(pool[place(index)]!)) });
        const owners = ownersOf(pool);
        const pods = consecutive(family === 4 ? "10.1.0.2" : "fd00:1:0:0::2", 2000);
        const { outputs } = lab.push(
          pods.map((pod) => fromPod({ ...flow, pod }, "tcp", 4000, { tcpFlags: SYN })),
        );
        assert.equal(outputs.length, pods.length);
        for (const [index, packet] of outputs.entries()) {
          const pod = pods[index]!;
          assert.equal(normal(decode(packet).source), normal(owners[shareOf(pod)]!), pod);
        }
      });
});

const normal = (address: string) =>
  address.includes(":") ? new URL(`http://[${address}]`).hostname : address;
