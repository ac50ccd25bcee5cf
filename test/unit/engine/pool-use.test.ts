/** Occupancy, allocations and failures of each SNAT address (RFC 6888), read in the engine's memory. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { addPoolUse, readPoolUse } from "../../../src/engine/pool-use.ts";
import { type Lab, poolEntry, snat4, snat6, startLab } from "../../support/engine.ts";
import { type Flow, flow44, flow46, fromPod } from "../../support/flows.ts";
import { type Protocol, SYN } from "../../support/packets.ts";

const range = { firstPort: 7000, lastPort: 7003 };
const unused = { inUse: 0, allocated: 0, exhausted: 0 };

async function labOfFour(): Promise<Lab> {
  const lab = await startLab();
  lab.configure({ pool: [poolEntry(snat4, range), poolEntry(snat6, range)] });
  return lab;
}

const use = (lab: Lab, address: string) =>
  readPoolUse({ buffer: lab.engine.bytes.buffer, layout: lab.engine.layout }).find(
    (each) => each.address === address,
  ) ?? assert.fail(`${address} is not in the pool`);

const open = (lab: Lab, flow: Flow, protocol: Protocol, count: number, nowMs = 0) =>
  lab.push(
    Array.from({ length: count }, (_, port) => fromPod(flow, protocol, 1000 + port, { tcpFlags: SYN })),
    nowMs,
  );

for (const flow of [flow44, flow46])
  describe(flow.out, () => {
    for (const protocol of ["tcp", "udp", "icmp"] as const)
      test(`${protocol}: taken, refused, given back`, async () => {
        const lab = await labOfFour();
        open(lab, flow, protocol, 7);
        const full = { address: flow.snat, ports: 4, tcp: unused, udp: unused, icmp: unused };
        assert.deepEqual(use(lab, flow.snat), {
          ...full,
          [protocol]: { inUse: 4, allocated: 4, exhausted: 3 },
        });
        lab.sweep(10_000_000);
        open(lab, flow, protocol, 1, 10_000_000);
        assert.deepEqual(use(lab, flow.snat)[protocol], { inUse: 1, allocated: 5, exhausted: 3 });
      });
  });

test("UDP counts bindings, TCP sessions: a second destination", async () => {
  const lab = await labOfFour();
  for (const seen of ["192.0.2.1", "192.0.2.2", "192.0.2.3"])
    for (const protocol of ["tcp", "udp"] as const) open(lab, { ...flow44, seen }, protocol, 2);
  assert.equal(use(lab, snat4).udp.inUse, 2);
  assert.equal(use(lab, snat4).tcp.inUse, 6);
});

test("an address that takes another's place starts at nothing, whatever ends of the other", async () => {
  const lab = await labOfFour();
  for (const protocol of ["tcp", "udp", "icmp"] as const) open(lab, flow44, protocol, 3);
  lab.configure({ pool: [poolEntry("198.51.100.77", range)] });
  open(lab, { ...flow44, pod: "10.1.9.9" }, "udp", 2, 1);
  lab.sweep(1000);
  const { udp, tcp, icmp } = use(lab, "198.51.100.77");
  assert.deepEqual(
    { udp, tcp, icmp },
    { udp: { ...unused, inUse: 2, allocated: 2 }, tcp: unused, icmp: unused },
  );
  assert.throws(() => use(lab, snat4), /is not in the pool/);
});

test("two workers' parts of an address are one", () => {
  const part = {
    address: "a",
    ports: 10,
    tcp: unused,
    udp: { inUse: 1, allocated: 2, exhausted: 3 },
    icmp: unused,
  };
  assert.deepEqual(addPoolUse([[part, { ...part, address: "b" }], [part]]), [
    { ...part, ports: 20, udp: { inUse: 2, allocated: 4, exhausted: 6 } },
    { ...part, address: "b" },
  ]);
});
