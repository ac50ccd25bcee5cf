import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { ipv4ToNumber, numberToIpv4 } from "../../src/addresses.ts";
import { hasCode } from "../../src/errors.ts";
import { needs } from "../support/exec.ts";
import { type MappingGateway, mappingGateway } from "../support/gateway-mappings.ts";
import { lmdbLab, redisLab, type StoreLab } from "../support/mapping-stores.ts";

const life = { leaseMs: 1000, graceMs: 300, quarantineMs: 300 };
const maxTtl = 0.2;
const usableMs = maxTtl * 1000 + life.graceMs;
const runMs = 5000;
/** So few addresses that they go round: more hosts than either subnet has. */
const subnets = ["10.1.0.0/27", "10.1.0.16/28", "10.2.0.0/28"] as const;
const hosts = Array.from({ length: 60 }, (_, index) => `2001:db8::${(index + 1).toString(16)}`);

/** Park and Miller's generator. */
function random(seed: number) {
  let state = seed;
  return (below: number) => {
    state = (state * 48271) % 0x7fffffff;
    return state % below;
  };
}

/** Who may still use which address: answers by their time, sessions while they last. */
function createLedger() {
  const uses = new Map<string, { host6: string; untilMs: number }[]>();
  const violations: string[] = [];
  return {
    violations,
    use(nat4: string, host6: string, untilMs: number): { untilMs: number } {
      const now = performance.now();
      const alive = (uses.get(nat4) ?? []).filter((use) => use.untilMs > now);
      const other = alive.find((use) => use.host6 !== host6);
      if (other !== undefined)
        violations.push(
          `${nat4}: for ${host6}, while ${other.host6} may use it for ${other.untilMs - now} ms`,
        );
      const use = { host6, untilMs };
      uses.set(nat4, [...alive, use]);
      return use;
    },
    /** A hand took the address away: what was given out for it counts no more. */
    clear: (nat4: string) => void uses.delete(nat4),
  };
}

const seed = Number(process.env.EG46_SEED ?? 46);
const labs: Record<string, { needs: string[]; start: () => Promise<StoreLab> }> = {
  lmdb: { needs: [], start: lmdbLab },
  redis: { needs: ["redis-server"], start: redisLab },
};

for (const [name, lab] of Object.entries(labs))
  describe(`four gateways on one ${name}, seed ${seed}`, needs(...lab.needs), () => {
    test("claims, sessions, deletions and subnet changes: no address means two hosts while anybody may use it", async () => {
      const place = await lab.start();
      const pick = random(seed);
      const ledger = createLedger();
      const gateways: MappingGateway[] = [];
      const counts = { mapped: 0, exhausted: 0, deleted: 0, sessions: 0, failed: 0 };
      try {
        for (let index = 0; index < 4; index++)
          gateways.push(await mappingGateway(place, { subnet: subnets[0], maxTtl }, { life }));
        await Promise.all(gateways.map(({ mappings }) => mappings.start()));
        const endMs = performance.now() + runMs;

        async function client(): Promise<void> {
          const one = gateways[pick(4)]!;
          const host6 = hosts[pick(hosts.length)]!;
          try {
            const answer = await one.mappings.mapHost(host6);
            counts[answer.kind]++;
            if (answer.kind !== "mapped") return;
            ledger.use(answer.nat4, host6, performance.now() + usableMs);
            if (pick(4) !== 0) return;
            // A connection within the answer's life, through any of the gateways, that may last longer than a lease.
            await delay(pick(usableMs - 100));
            const through = gateways[pick(4)]!;
            if (through.held.get(answer.nat4) !== host6) return;
            counts.sessions++;
            const nat4 = ipv4ToNumber(answer.nat4);
            if (through.sessions.has(nat4)) return;
            through.sessions.add(nat4);
            const use = ledger.use(answer.nat4, host6, Number.POSITIVE_INFINITY);
            await delay(pick(2500));
            use.untilMs = performance.now();
            through.sessions.delete(nat4);
          } catch (error) {
            if (!hasCode(error, "EG46_STORE_UNAVAILABLE")) throw error;
            counts.failed++;
          }
        }

        async function operator(): Promise<void> {
          while (performance.now() < endMs) {
            await delay(200 + pick(300));
            if (pick(3) === 0) {
              const subnet = subnets[pick(subnets.length)]!;
              for (const { mappings } of gateways) mappings.setPool({ subnet, reserved: pick(2), maxTtl });
            } else {
              const nat4 = numberToIpv4(0x0a010000 + pick(32));
              ledger.clear(nat4);
              if (await gateways[0]!.store.release(nat4)) counts.deleted++;
              ledger.clear(nat4);
            }
          }
        }

        const clients: Promise<void>[] = [];
        const operating = operator();
        while (performance.now() < endMs) {
          clients.push(client());
          await delay(pick(8));
        }
        await Promise.all([operating, ...clients]);
        assert.deepEqual(ledger.violations, []);
        assert.ok(counts.mapped > 200 && counts.exhausted > 10 && counts.deleted > 0, JSON.stringify(counts));
        // Nothing leaks: when nobody uses anything any more, the pool is empty.
        const left = async () => {
          const all: string[] = [];
          for await (const [nat4] of gateways[0]!.store.list()) all.push(nat4);
          return all;
        };
        const idleMs = performance.now();
        while ((await left()).length > 0 && performance.now() - idleMs < 10_000) await delay(100);
        assert.deepEqual(await left(), []);
      } finally {
        await Promise.all(gateways.map((one) => one.close()));
        await place.stop();
      }
    });
  });
