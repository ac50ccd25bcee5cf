/** NAT addresses and the packets that wait for one; questions for the DNS proxy; what automap gives back to the host. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { decode } from "../../support/decode.ts";
import { host6, nat4, pod4, poolEntry, snat4, snat6, startLab } from "../../support/engine.ts";
import { flow44, flow46, flow66, fromPod, fromRemote, only, openFlow } from "../../support/flows.ts";
import { ACK, buildPacket, type PacketSpec, SYN } from "../../support/packets.ts";

const fresh = "10.244.50.99";
const otherHost = "2001:db8:46::81";
const flowFresh = { ...flow46, seen: fresh };
const numbered = (index: number): Partial<PacketSpec> => ({ payload: Uint8Array.of(index) });

describe("mappings", () => {
  test("replaced: an old session goes on, a new one goes to the new host", async () => {
    const lab = await startLab();
    const outer = openFlow(lab, flow46, "tcp", 4000);
    lab.install(nat4, otherHost);
    assert.equal(decode(only(lab, fromPod(flow46, "tcp", 4000))).destination, host6);
    assert.equal(decode(only(lab, fromRemote(flow46, "tcp", outer))).source, nat4);
    openFlow(lab, { ...flow46, remote: otherHost }, "tcp", 4001);
  });

  test("removed: an old session goes on, a new one asks", async () => {
    const lab = await startLab();
    openFlow(lab, flow46, "tcp", 4000);
    lab.remove(nat4);
    only(lab, fromPod(flow46, "tcp", 4000));
    const { outputs, asked } = lab.push([fromPod(flow46, "tcp", 4001, { tcpFlags: SYN })]);
    assert.deepEqual([outputs.length, asked], [0, [nat4]]);
  });

  test("outside every pool: a mapping made by hand counts as well", async () => {
    const lab = await startLab();
    lab.install("10.144.175.220", "2002::10:20:2:206");
    openFlow(lab, { ...flow46, seen: "10.144.175.220", remote: "2002::10:20:2:206" }, "tcp", 4000);
  });
});

describe("packets that wait", () => {
  test("one question; the mapping releases all, in order", async () => {
    const lab = await startLab();
    const packets = Array.from({ length: 8 }, (_, index) => fromPod(flowFresh, "udp", 4000, numbered(index)));
    const others = ["10.244.50.97", "10.244.50.98"].map((seen) => fromPod({ ...flow46, seen }, "udp", 4000));
    const held = lab.push([others[0]!, ...packets.slice(0, 3), others[1]!, ...packets.slice(3)]);
    assert.deepEqual(held, {
      outputs: [],
      drops: {},
      questions: [],
      asked: ["10.244.50.97", fresh, "10.244.50.98"],
    });
    const { outputs, drops } = lab.install(fresh, host6, 5);
    assert.deepEqual(drops, {});
    assert.deepEqual(
      outputs.map((output) => decode(output).payload[0]),
      [0, 1, 2, 3, 4, 5, 6, 7],
    );
    assert.deepEqual(lab.sweep(2001).drops, { MAPPING_TIMEOUT: 2 });
  });

  test("what waits keeps its offload state, and is judged when it goes on", async () => {
    const lab = await startLab();
    const large = { checksum: "partial", payload: new Uint8Array(9000) } as const;
    lab.push([fromPod(flowFresh, "udp", 4000, { checksum: "none" })]);
    lab.push([fromPod(flowFresh, "udp", 4001, { ...large, gsoSize: 1400 })]);
    lab.push([fromPod(flowFresh, "udp", 4002, { ...large, gsoSize: 1460 })]);
    const { outputs, drops } = lab.install(fresh, host6);
    assert.deepEqual(drops, { PACKET_TOO_BIG: 1 });
    const [completed, segmented, error] = outputs.map((output) => decode(output));
    assert.deepEqual([completed?.checksum, segmented?.gsoSize, error?.icmp?.type], ["partial", 1400, 3]);
  });

  for (const [timeout, reason] of [
    [false, "MAPPING_UNKNOWN"],
    [true, "MAPPING_TIMEOUT"],
  ] as const)
    test(`the store's answer is ${timeout ? "none" : "no"}: ${reason}, believed for 300 ms`, async () => {
      const lab = await startLab();
      const packet = fromPod(flowFresh, "udp", 4000);
      lab.push([packet, packet], 1000);
      assert.deepEqual(lab.unknown(fresh, timeout, 1000).drops, { [reason]: 2 });
      assert.deepEqual(lab.push([packet], 1299).drops, { MAPPING_UNKNOWN: 1 });
      assert.deepEqual(lab.push([packet], 1300).asked, [fresh]);
    });

  test("a mapping that comes after the 'no' counts at once", async () => {
    const lab = await startLab();
    lab.unknown(fresh, false, 0);
    lab.install(fresh, host6, 0);
    openFlow(lab, flowFresh, "tcp", 4000);
    lab.remove(fresh);
    assert.deepEqual(lab.push([fromPod(flowFresh, "udp", 4001)]).asked, [fresh], "the 'no' is forgotten");
  });

  test("no answer: dropped after two seconds", async () => {
    const lab = await startLab();
    lab.push([fromPod(flowFresh, "udp", 4000)], 10);
    assert.deepEqual(lab.sweep(2010).drops, {});
    assert.deepEqual(lab.sweep(2011).drops, { MAPPING_TIMEOUT: 1 });
  });

  test("a scan can't take the slots: everything else goes on, and nothing is lost for good", async () => {
    const lab = await startLab();
    for (let round = 0; round < 20; round++) {
      const now = round * 10_000;
      const scan = Array.from({ length: 200 }, (_, index) =>
        fromPod({ ...flow46, seen: `10.244.50.${10 + index}` }, "udp", 4000),
      );
      const { drops, asked } = lab.push(scan, now);
      assert.deepEqual([drops, asked.length], [{ MAPPING_QUEUE_FULL: 136 }, 64]);
      openFlow(lab, flow46, "tcp", 4000, now);
      assert.deepEqual(lab.sweep(now + 2001).drops, { MAPPING_TIMEOUT: 64 });
    }
  });
});

describe("DNS", () => {
  const question = Uint8Array.from({ length: 33 }, (_, index) => index);
  const answer = Uint8Array.from({ length: 44 }, (_, index) => 200 - index);
  for (const flow of [flow44, flow66])
    for (const length of [0, 1, 44, 1232, 65_000])
      test(`${flow === flow44 ? "IPv4" : "IPv6"}: question to the host, answer of ${length} bytes back`, async () => {
        const lab = await startLab();
        lab.configure({ dns: true });
        const asked = { ...fromPod(flow, "udp", 4000, { destinationPort: 53, payload: question }) };
        const { outputs, drops, questions } = lab.push([asked]);
        assert.deepEqual([outputs.length, drops, questions[0]?.question], [0, {}, question]);
        const payload = new Uint8Array(length).map((_, index) => answer[index % answer.length]!);
        const reply = lab.observe(() => lab.pump.reply(questions[0]!.context, payload));
        const packet = decode(reply.outputs[0]!);
        assert.deepEqual(
          [packet.source, packet.destination, packet.sourcePort, packet.destinationPort, packet.hops],
          [flow.remote, flow.pod, 53, 4000, 64],
        );
        assert.deepEqual(packet.payload, payload);
        assert.equal(packet.checksum, "complete");
      });

  test("an answer that no packet can hold is not sent, and harms nothing", async () => {
    const lab = await startLab();
    lab.configure({ dns: true });
    const asked = () => lab.push([fromPod(flow44, "udp", 4000, { destinationPort: 53 })]).questions[0]!;
    const long = lab.observe(() => lab.pump.reply(asked().context, new Uint8Array(65_535).fill(0xee)));
    assert.equal(long.outputs.length, 0);
    assert.equal(lab.observe(() => lab.pump.reply(asked().context, answer)).outputs.length, 1);
    openFlow(lab, flow46, "tcp", 4000);
  });

  test("more answers than there are slots, without a packet in between", async () => {
    const lab = await startLab();
    lab.configure({ dns: true });
    const { context } = lab.push([fromPod(flow44, "udp", 4000, { destinationPort: 53 })]).questions[0]!;
    const replies = lab.observe(() => {
      for (let i = 0; i < 1000; i++) lab.pump.reply(context, answer);
    });
    assert.equal(replies.outputs.length, 1000);
    const numbers = replies.outputs.map((output) => decode(output).identification);
    assert.equal(new Set(numbers).size, 1000, "each may be fragmented (RFC 6864)");
  });

  test("a super-packet is as many questions as it has segments", async () => {
    const lab = await startLab();
    lab.configure({ dns: true });
    const details = { destinationPort: 53, checksum: "partial", gsoSize: 20 } as const;
    const { questions } = lab.push([fromPod(flow44, "udp", 4000, { ...details, payload: question })]);
    assert.deepEqual(
      questions.map((each) => each.question),
      [question.slice(0, 20), question.slice(20)],
    );
  });

  test("not the proxy's: port 53 is plain traffic, TCP always", async () => {
    const lab = await startLab();
    only(lab, fromPod(flow44, "udp", 4000, { destinationPort: 53 }));
    lab.configure({ dns: true });
    only(lab, fromPod(flow44, "tcp", 4000, { destinationPort: 53, tcpFlags: SYN }));
  });
});

describe("automap", () => {
  const aliases = { 4: "192.168.46.9", 6: "fd46::9" };
  const automap = async () => {
    const lab = await startLab();
    lab.configure({
      pool: [poolEntry(snat4, { inbound: aliases[4] }), poolEntry(snat6, { inbound: aliases[6] })],
    });
    return lab;
  };
  for (const flow of [flow46, flow44, flow66]) {
    const arriving = { ...flow, snat: flow === flow44 ? aliases[4] : aliases[6] };
    for (const protocol of ["tcp", "udp", "icmp"] as const)
      test(`${flow.in}, ${protocol}: answers arrive at the alias`, async () => {
        const lab = await automap();
        const outer = openFlow(lab, flow, "udp", 4000);
        assert.equal(decode(only(lab, fromRemote(arriving, "udp", outer))).destination, flow.pod);
        const port = decode(only(lab, fromPod(flow, protocol, 4001, { tcpFlags: SYN }))).sourcePort;
        const back = decode(only(lab, fromRemote(arriving, protocol, port, { tcpFlags: SYN | ACK })));
        assert.deepEqual([back.source, back.destination], [flow.seen, flow.pod]);
      });

    for (const protocol of ["tcp", "udp", "icmp"] as const)
      for (const checksum of ["complete", "partial", "none"] as const) {
        if (checksum === "partial" && protocol === "icmp") continue;
        if (checksum === "none" && (protocol !== "udp" || flow !== flow44)) continue;
        test(`${flow.in}, ${protocol}, checksum ${checksum}: nobody's session goes to the host unchanged`, async () => {
          const lab = await automap();
          const details = { checksum, echoReply: false };
          const handed = only(lab, fromRemote(arriving, protocol, 5000, details));
          assert.deepEqual(handed, buildPacket(fromRemote(flow, protocol, 5000, details)));
        });
      }
  }
  test("a Pod's packet to the alias goes to the host too, not outside", async () => {
    const lab = await automap();
    const { destination, source } = decode(only(lab, fromPod({ ...flow44, seen: aliases[4] }, "udp", 4000)));
    assert.deepEqual([source, destination], [pod4, snat4]);
  });
});
