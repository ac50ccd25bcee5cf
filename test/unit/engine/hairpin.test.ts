/** RFC 4787 REQ-9, RFC 5382 REQ-8: Pods that meet at the gateway's own addresses. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { decode } from "../../support/decode.ts";
import { nat4, pod4, poolEntry, snat4, snat6, startLab } from "../../support/engine.ts";
import { type Flow, flow44, flow46, flow64, flow66, fromPod, openFlow } from "../../support/flows.ts";
import { packetSpec, SYN } from "../../support/packets.ts";

const other4 = "10.1.9.9";
const other6 = "fd00:1::99";

interface Meeting {
  readonly name: string;
  readonly flow: Flow;
  readonly second: Flow;
  /** How the outer address of the other is dialled by the first Pod, and by the second. */
  readonly dialled: readonly [string, string];
}
const snat64 = "2001:db8:64::c633:6409";
const meetings: readonly Meeting[] = [
  { name: "4→4", flow: flow44, second: { ...flow44, pod: other4 }, dialled: [snat4, snat4] },
  { name: "6→6", flow: flow66, second: { ...flow66, pod: other6 }, dialled: [snat6, snat6] },
  { name: "6→4→6", flow: flow64, second: { ...flow64, pod: other6 }, dialled: [snat64, snat64] },
  { name: "6→4→4", flow: flow64, second: { ...flow44, pod: other4 }, dialled: [snat64, snat4] },
  { name: "4→4→6", flow: flow44, second: { ...flow64, pod: other6 }, dialled: [snat4, snat64] },
];

for (const { name, flow, second, dialled } of meetings)
  describe(`hairpin ${name}`, () => {
    for (const protocol of ["udp", "tcp"] as const)
      test(`${protocol}: a Pod dials the other's outer address and port without an invitation`, async () => {
        const lab = await startLab();
        const toStranger = openFlow(lab, flow, protocol, 4000);
        const dial = packetSpec({
          source: second.pod,
          destination: dialled[1],
          protocol,
          sourcePort: 5000,
          destinationPort: toStranger,
          tcpFlags: SYN,
        });
        const first = lab.push([dial]);
        // The first Pod has not spoken to the second one: filtering is by endpoint, so it is refused, not leaked.
        assert.deepEqual(first.outputs, []);
        assert.deepEqual(first.drops, { INBOUND_NO_SESSION: 1 });
      });

    test("udp: both have opened the way; each sees the other's outer address", async () => {
      const lab = await startLab();
      const portA = openFlow(lab, flow, "udp", 4000);
      const portB = openFlow(lab, second, "udp", 5000);
      const fromA = {
        ...packetSpec(fromPod(flow, "udp", 4000)),
        destination: dialled[0],
        destinationPort: portB,
      };
      const fromB = {
        ...packetSpec(fromPod(second, "udp", 5000)),
        destination: dialled[1],
        destinationPort: portA,
      };
      lab.push([fromA]);
      lab.push([fromB]);
      const { outputs, drops } = lab.push([fromA]);
      assert.deepEqual(drops, {});
      const arrived = decode(outputs[0]!);
      assert.deepEqual(
        [arrived.source, arrived.sourcePort, arrived.destination, arrived.destinationPort],
        [dialled[1], portA, second.pod, 5000],
      );
    });
  });

test("hairpin by name: a Pod dials a NAT address that stands for our own SNAT address", async () => {
  const lab = await startLab();
  lab.install(nat4, snat6);
  const { outputs, drops } = lab.push([fromPod({ ...flow46, remote: snat6 }, "udp", 4000)]);
  assert.deepEqual(outputs, []);
  assert.deepEqual(drops, { INBOUND_NO_SESSION: 1 });
});

test("a Pod to an automap alias: the host's business, no hairpin", async () => {
  const lab = await startLab();
  lab.configure({ pool: [poolEntry(snat4, { inbound: "192.0.0.128" })] });
  const spec = packetSpec({ ...fromPod(flow44, "udp", 4000), destination: "192.0.0.128" });
  const { outputs } = lab.push([spec]);
  assert.equal(decode(outputs[0]!).destination, snat4);
  assert.equal(decode(outputs[0]!).source, pod4);
});
