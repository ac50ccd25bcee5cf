/** Sessions as other threads read them: the table, its changes, and what a reader sees that is too slow. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, test } from "node:test";
import { Worker } from "node:worker_threads";
import { mappedBytes } from "../../../src/engine/address-form.ts";
import { defaultBehaviour } from "../../../src/engine/behaviour.ts";
import { sessionLogOffsets, sessionOffsets } from "../../../src/engine/layout.gen.ts";
import type { EngineMemory } from "../../../src/engine/memory.ts";
import { decodingCost, openSessionStream, type SessionEvent } from "../../../src/engine/session-stream.ts";
import { openSessionTable, podWords } from "../../../src/engine/session-table.ts";
import { type Lab, pod4, poolEntry, startLab } from "../../support/engine.ts";
import { type Flow, flow44, flow46, flow66, fromPod, fromRemote, openFlow } from "../../support/flows.ts";
import { ACK, buildPacket, FIN, type Protocol, RST, SYN } from "../../support/packets.ts";

const memoryOf = (lab: Lab): EngineMemory => ({ buffer: lab.engine.bytes.buffer, layout: lab.engine.layout });

/** Everything until there is nothing more. */
function drain(stream: ReturnType<typeof openSessionStream>, budget?: number): SessionEvent[] {
  const events: SessionEvent[] = [];
  for (;;) {
    const { events: some, more } = stream.next(budget);
    events.push(...some);
    if (!more) return events;
  }
}

const brief = (event: SessionEvent) =>
  "session" in event
    ? `${event.change} ${event.session.podPort} ${event.session.state ?? ""}`.trim()
    : event.change;
const briefs = (events: readonly SessionEvent[]) => events.map(brief);
const open = (lab: Lab, flow: Flow, protocol: Protocol, port: number, nowMs = 0) =>
  lab.push([fromPod(flow, protocol, port, { tcpFlags: SYN })], nowMs);

describe("a session as it is read", () => {
  for (const [flow, kind] of [
    [flow46, "EGRESS_IPV4_NAT46"],
    [flow44, "EGRESS_IPV4"],
    [flow66, "EGRESS_IPV6"],
  ] as const)
    for (const protocol of ["tcp", "udp", "icmp"] as const)
      test(`${flow.out} ${protocol}`, async () => {
        const lab = await startLab();
        const snatPort = openFlow(lab, flow, protocol, 4000, 5000);
        lab.sweep(65_000 - 5000);
        assert.deepEqual(openSessionTable(memoryOf(lab)).read(0), {
          ...{ place: 0, generation: 1, protocol, kind, pod: flow.pod, podPort: 4000 },
          ...{ destination: flow.seen, snat: flow.snat, snatPort, remote: flow.remote },
          remotePort: protocol === "icmp" ? 0 : 8080,
          ...(protocol === "tcp" && { state: "ESTABLISHED" }),
          ...{ ageMs: 55_000, idleMs: 55_000 },
        });
      });

  test("free places, places never used and dead sessions are none", async () => {
    const lab = await startLab();
    openFlow(lab, flow44, "udp", 1);
    const table = openSessionTable(memoryOf(lab));
    assert.equal(table.places(), 1);
    assert.equal(table.read(1), undefined);
    lab.configure({ pool: [poolEntry("198.51.100.77")] });
    assert.equal(table.read(0), undefined, "its SNAT address has gone");
    lab.sweep(1000);
    assert.equal(table.read(0), undefined);
    assert.equal(table.generation(0), 2);
  });

  test("one Pod's only", async () => {
    const lab = await startLab();
    openFlow(lab, flow44, "udp", 1);
    openFlow(lab, { ...flow44, pod: "10.1.2.4" }, "udp", 2);
    const table = openSessionTable(memoryOf(lab));
    const pod = podWords(mappedBytes(pod4));
    assert.deepEqual(
      [0, 1].map((place) => table.readOf(pod, place)?.podPort),
      [1, undefined],
    );
  });
});

describe("last seen, written by somebody else", () => {
  const at = (lab: Lab) => (lab.engine.layout.sessions + sessionOffsets.lastSeenMs) >> 2;
  for (const [name, seen, alive] of [
    ["kept alive", 290_000, 1],
    ["left alone", 0, 0],
    ["a little ahead of the engine", 301_500, 1],
  ] as const)
    test(name, async () => {
      const lab = await startLab();
      openFlow(lab, flow44, "udp", 1);
      Atomics.store(lab.engine.words, at(lab), seen);
      lab.sweep(301_000);
      assert.equal(lab.counters().alive[1], alive);
    });
});

describe("the stream", () => {
  test("what exists, then what changes", async () => {
    const lab = await startLab();
    openFlow(lab, flow44, "udp", 1);
    const stream = openSessionStream(memoryOf(lab));
    assert.deepEqual(briefs(drain(stream)), ["present 1"]);
    assert.deepEqual(drain(stream), []);
    open(lab, flow46, "tcp", 2);
    assert.deepEqual(briefs(drain(stream)), ["created 2 INIT"]);
    const outer = openFlow(lab, flow46, "tcp", 2);
    assert.deepEqual(briefs(drain(stream)), ["changed 2 ESTABLISHED"]);
    lab.push([fromPod(flow46, "tcp", 2, { tcpFlags: FIN | ACK })]);
    lab.push([fromRemote(flow46, "tcp", outer, { tcpFlags: ACK })]);
    assert.deepEqual(drain(stream), []);
    lab.push([fromRemote(flow46, "tcp", outer, { tcpFlags: FIN | ACK })]);
    assert.deepEqual(briefs(drain(stream)), ["changed 2 BOTH_FIN"]);
    lab.sweep(241_000);
    assert.deepEqual(drain(stream), [{ change: "ended", place: 1, generation: 1 }]);
    lab.sweep(302_000);
    assert.deepEqual(drain(stream), [{ change: "ended", place: 0, generation: 1 }]);
  });

  test("opened from outside (--eif): by its first state", async () => {
    const lab = await startLab();
    lab.configure({ behaviour: { ...defaultBehaviour, eim: ["tcp", "icmp"], eif: ["tcp"] } });
    const outer = openFlow(lab, flow44, "tcp", 1);
    const stream = openSessionStream(memoryOf(lab));
    drain(stream);
    const other = { ...flow44, seen: "192.0.2.222", remote: "192.0.2.222" };
    lab.push([fromRemote(other, "tcp", outer, { tcpFlags: SYN })]);
    assert.deepEqual(briefs(drain(stream)), ["created 1 OUTER_INIT"]);
  });

  test("RST, and back", async () => {
    const lab = await startLab();
    openFlow(lab, flow44, "tcp", 1);
    const stream = openSessionStream(memoryOf(lab));
    drain(stream);
    lab.push([fromPod(flow44, "tcp", 1, { tcpFlags: RST })]);
    assert.deepEqual(briefs(drain(stream)), ["changed 1 TRANS"]);
    lab.push([fromPod(flow44, "tcp", 1, { tcpFlags: ACK })]);
    assert.deepEqual(briefs(drain(stream)), ["changed 1 ESTABLISHED"]);
  });

  test("a place that changed hands between two looks: the one ended, the other began", async () => {
    const lab = await startLab();
    openFlow(lab, flow44, "udp", 1);
    const stream = openSessionStream(memoryOf(lab));
    drain(stream);
    lab.sweep(301_000);
    open(lab, flow44, "udp", 2, 301_000);
    lab.sweep(602_000);
    open(lab, flow44, "udp", 3, 602_000);
    assert.deepEqual(briefs(drain(stream)), ["ended", "created 3"], "2 was over before it could be read");
  });

  test("one Pod's only, also what ends", async () => {
    const lab = await startLab();
    const stream = openSessionStream(memoryOf(lab), podWords(mappedBytes(pod4)));
    openFlow(lab, { ...flow44, pod: "10.1.2.4" }, "udp", 2);
    openFlow(lab, flow44, "udp", 1);
    assert.deepEqual(briefs(drain(stream)), ["present 1"]);
    openFlow(lab, { ...flow44, pod: "10.1.2.4" }, "udp", 4);
    openFlow(lab, flow44, "udp", 3);
    assert.deepEqual(briefs(drain(stream)), ["created 3"]);
    lab.sweep(301_000);
    assert.deepEqual(briefs(drain(stream)), ["ended", "ended"]);
  });

  test("too slow: a gap, then the difference", async () => {
    const lab = await startLab();
    const stream = openSessionStream(memoryOf(lab));
    openFlow(lab, flow44, "udp", 1);
    openFlow(lab, flow44, "udp", 2);
    drain(stream);
    // More changes than the ring holds: RST, ACK, RST, …
    openFlow(lab, flow44, "tcp", 9);
    const half = [RST, ACK].map((tcpFlags) => buildPacket(fromPod(flow44, "tcp", 9, { tcpFlags })));
    const packets = Array.from({ length: 32 }, () => half).flat();
    for (let i = 0; i <= lab.engine.layout.changeCapacity / 64; i++) lab.push(packets, 200_000);
    open(lab, flow44, "udp", 2, 200_000);
    lab.sweep(301_000);
    open(lab, flow44, "udp", 5, 301_000);
    assert.deepEqual(
      briefs(drain(stream)),
      ["gap"],
      "a pause: reading on at once, it would fall behind again",
    );
    assert.deepEqual(
      briefs(drain(stream, 7)),
      ["ended", "present 5", "present 9 ESTABLISHED"],
      "not what it was told before",
    );
    assert.deepEqual(drain(stream), []);
  });

  test("after a gap a state that changed meanwhile is told, one that is the same again isn't", async () => {
    const lab = await startLab();
    for (const port of [1, 2, 3]) openFlow(lab, flow44, "tcp", port);
    const stream = openSessionStream(memoryOf(lab));
    drain(stream);
    const half = [RST, ACK].map((tcpFlags) => buildPacket(fromPod(flow44, "tcp", 1, { tcpFlags })));
    const packets = Array.from({ length: 32 }, () => half).flat();
    for (let i = 0; i <= lab.engine.layout.changeCapacity / 64; i++) lab.push(packets);
    lab.push([fromPod(flow44, "tcp", 2, { tcpFlags: RST })]);
    drain(stream);
    assert.deepEqual(briefs(drain(stream)), ["changed 2 TRANS"]);
  });

  test("a call decodes no more sessions than its budget has room for", async () => {
    const lab = await startLab();
    for (let port = 1; port <= 20; port++) openFlow(lab, flow44, "udp", port);
    const stream = openSessionStream(memoryOf(lab));
    const told = [1, 2, 3].map(() => stream.next(8 * decodingCost).events.length);
    assert.deepEqual(told, [8, 8, 4]);
  });

  test("sequence numbers pass 2³²", async () => {
    const lab = await startLab();
    lab.engine.words[(lab.engine.layout.sessionLog + sessionLogOffsets.written) >> 2] = 0xffff_fffe;
    const stream = openSessionStream(memoryOf(lab));
    drain(stream);
    for (const port of [1, 2, 3, 4]) openFlow(lab, flow44, "udp", port);
    assert.deepEqual(briefs(drain(stream)), ["created 1", "created 2", "created 3", "created 4"]);
  });
});

test("while the engine runs in another thread every session that is read is whole", async () => {
  const worker = new Worker(new URL("../../support/session-churn.js", import.meta.url));
  try {
    const [memory] = (await once(worker, "message")) as [EngineMemory];
    const table = openSessionTable(memory);
    const stream = openSessionStream(memory);
    const generations = new Set<number>();
    const alive = new Map<number, number>();
    const deadline = performance.now() + 10_000;
    while (generations.size < 300 && performance.now() < deadline) {
      for (let place = 0; place < table.places(); place++) {
        const session = table.read(place);
        if (session === undefined) continue;
        generations.add(session.generation);
        const { pod, podPort, destination, remotePort } = session;
        const n = podPort / 257;
        assert.deepEqual([pod, destination, remotePort], [`10.1.${n}.${n}`, `192.0.${n}.${n}`, podPort]);
      }
      for (const event of stream.next().events) {
        if (event.change === "gap") continue;
        const { place, generation } = "session" in event ? event.session : event;
        if (event.change === "ended") assert.equal(alive.get(place), generation);
        else if (event.change !== "changed") assert.equal(alive.get(place), undefined, brief(event));
        if (event.change === "ended") alive.delete(place);
        else alive.set(place, generation);
      }
    }
    assert.ok(generations.size >= 300, `only ${generations.size} generations seen`);
  } finally {
    await worker.terminate();
  }
});
