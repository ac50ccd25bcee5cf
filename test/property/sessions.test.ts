/** Whoever applies the stream of changes has the table, however slow he is. EG46_SEED repeats a run. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { openSessionStream } from "../../src/engine/session-stream.ts";
import { openSessionTable, type SessionRecord } from "../../src/engine/session-table.ts";
import { poolEntry, snat4, snat6, startLab } from "../support/engine.ts";
import { flow44, flow46, flow66, fromPod } from "../support/flows.ts";
import { ACK, FIN, type Protocol, RST, SYN } from "../support/packets.ts";

const seed = Number(process.env.EG46_SEED ?? 46);

const step = fc.oneof(
  {
    weight: 20,
    arbitrary: fc.record({
      flow: fc.constantFrom(flow44, flow46, flow66),
      protocol: fc.constantFrom<Protocol>("tcp", "udp", "icmp"),
      port: fc.integer({ min: 1, max: 30 }),
      tcpFlags: fc.constantFrom(SYN, SYN, ACK, FIN | ACK, RST),
    }),
  },
  { weight: 3, arbitrary: fc.record({ pause: fc.constantFrom(10, 1000, 7000, 61_000, 301_000) }) },
  { weight: 1, arbitrary: fc.record({ pool: fc.boolean() }) },
  { weight: 6, arbitrary: fc.record({ read: fc.integer({ min: 1, max: 20 }) }) },
);

test(`the stream of changes leads to the table, seed ${seed}`, async () => {
  const lab = await startLab();
  const memory = { buffer: lab.engine.bytes.buffer, layout: lab.engine.layout };
  const table = openSessionTable(memory);
  let now = 0;
  const property = fc.property(fc.array(step, { minLength: 50, maxLength: 200, size: "max" }), (steps) => {
    const stream = openSessionStream(memory);
    const model = new Map<number, SessionRecord>();
    function read(budget: number): boolean {
      const { events, more } = stream.next(budget);
      for (const event of events) {
        if (event.change === "gap") assert.fail("so many changes there are not");
        if (event.change === "ended") {
          assert.equal(model.get(event.place)?.generation, event.generation);
          model.delete(event.place);
          continue;
        }
        const { session, change } = event;
        const known = model.get(session.place);
        assert.equal(known?.generation, change === "changed" ? session.generation : undefined);
        model.set(session.place, session);
      }
      return more;
    }
    for (const chosen of steps) {
      if ("read" in chosen) read(chosen.read);
      else if ("pause" in chosen) {
        now += chosen.pause;
        lab.sweep(now);
      } else if ("pool" in chosen)
        lab.configure({
          pool: chosen.pool ? [poolEntry(snat4), poolEntry(snat6)] : [poolEntry("198.51.100.77")],
        });
      else {
        const { flow, protocol, port, tcpFlags } = chosen;
        lab.push([fromPod(flow, protocol, port, { tcpFlags })], now);
      }
    }
    // Dead sessions go with the next sweep.
    lab.sweep(now);
    while (read(9));
    const places = Array.from({ length: table.places() }, (_, place) => table.read(place));
    const essence = (session: SessionRecord) => [
      session.place,
      session.generation,
      session.protocol,
      session.snatPort,
      session.state,
    ];
    assert.deepEqual(
      [...model.values()].sort((a, b) => a.place - b.place).map(essence),
      places.filter((session) => session !== undefined).map(essence),
    );
    assert.equal(
      model.size,
      lab.counters().alive.reduce((sum, count) => sum + count, 0),
    );
  });
  fc.assert(property, { seed, numRuns: 60 });
});
