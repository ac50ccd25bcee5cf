/** RFC 4787 REQ-9, RFC 5382 REQ-8: Pods that meet at the gateway's own addresses. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { decode } from "../../support/decode.ts";
import { nat4, pod4, poolEntry, snat4, snat6, startLab } from "../../support/engine.ts";
import {
  type Flow,
  flow44,
  flow46,
  flow64,
  flow66,
  fromPod,
  fromRemote,
  openFlow,
} from "../../support/flows.ts";
import { buildError } from "../../support/icmp.ts";
import { packetSpec, SYN } from "../../support/packets.ts";
import { VNET_BYTES } from "../../support/vnet.ts";

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

describe("the address that it came back from is gone: its packets leave", () => {
  for (const { name, flow, dialled } of meetings)
    for (const protocol of ["udp", "tcp"] as const)
      test(`${name}, ${protocol}`, async () => {
        const lab = await startLab();
        const own = flow.snat.includes(":") ? ["2001:db8:5::a", snat6] : ["198.51.100.10", snat4];
        const pool = own.map((address) => poolEntry(address));
        lab.configure({ pool });
        // A pool of two: the Pod's own address is one of them, it dials the other.
        const dial = (destination: string) => ({
          ...packetSpec(fromPod(flow, protocol, 4000, { tcpFlags: SYN })),
          destination,
        });
        const mine = decode(lab.push([dial(flow.seen)]).outputs[0]!).source;
        const gone = own.find((address) => address !== mine)!;
        const seen = dialled[0] === snat64 ? `2001:db8:64::${gone}` : gone;
        assert.deepEqual(lab.push([dial(seen)]).drops, { INBOUND_NO_SESSION: 1 });
        lab.configure({ pool: [poolEntry(mine)] });
        const { outputs, drops } = lab.push([dial(seen)]);
        assert.deepEqual(drops, {});
        const { source, destination } = decode(outputs[0]!);
        assert.deepEqual([source, destination], [mine, gone]);
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

describe("an address that workers share: its other ports are another worker's", () => {
  const slice = { firstPort: 1024, lastPort: 33_279 };
  const dial = (port: number, protocol: "udp" | "tcp") =>
    packetSpec({
      ...fromPod(flow44, protocol, 4000, { tcpFlags: SYN }),
      ...{ destination: snat4, destinationPort: port },
    });
  for (const protocol of ["udp", "tcp"] as const)
    for (const [port, leaves] of [
      [80, false],
      [1024, false],
      [33_279, false],
      [33_280, true],
      [65_535, true],
    ] as const)
      test(`${protocol} to port ${port} ${leaves ? "leaves, for the kernel to bring there" : "comes back"}`, async () => {
        const lab = await startLab();
        lab.configure({ pool: [poolEntry(snat4, slice)] });
        const { outputs, drops } = lab.push([dial(port, protocol)]);
        assert.deepEqual(drops, leaves ? {} : { INBOUND_NO_SESSION: 1 });
        assert.deepEqual(
          outputs
            .map(decode)
            .map(({ source, destination, destinationPort }) => [source, destination, destinationPort]),
          leaves ? [[snat4, snat4, port]] : [],
        );
      });

  for (const internal of [false, true])
    test(`what the other worker's Pod sends to nobody ends here${internal ? ", be the address in an internal network" : ""}`, async () => {
      const lab = await startLab();
      lab.configure({
        pool: [poolEntry(snat4, slice)],
        internalNets: internal ? ["10.1.0.0/16", "198.51.100.0/24"] : ["10.1.0.0/16"],
      });
      for (const destinationPort of [80, 5000, 40_000]) {
        const stray = packetSpec({ ...dial(destinationPort, "udp"), source: snat4, sourcePort: 50_000 });
        const { outputs, drops } = lab.push([stray]);
        assert.deepEqual([outputs, drops], [[], { INBOUND_NO_SESSION: 1 }]);
      }
    });

  test("a Pod's ICMP error about a packet from there leaves, too", async () => {
    const lab = await startLab();
    lab.configure({ pool: [poolEntry(snat4, slice)] });
    const far = { ...flow44, seen: snat4, remote: snat4 };
    const port = 50_000;
    const opened = lab.push([{ ...fromPod(far, "udp", 4000), destinationPort: port }]);
    const outer = decode(opened.outputs[0]!).sourcePort;
    const arrived = lab.push([{ ...fromRemote(far, "udp", outer), sourcePort: port }]).outputs[0]!;
    const error = {
      ...{ source: pod4, destination: snat4, type: 3, code: 3 },
      body: arrived.subarray(VNET_BYTES),
    };
    const { outputs, drops } = lab.push([buildError(error)]);
    assert.deepEqual(drops, {});
    assert.equal(decode(outputs[0]!).destination, snat4);
  });
});
