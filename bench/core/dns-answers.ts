/** `node dist/bench/core/dns-answers.js`: nanoseconds of the engine for a question that its cache answers. */
import { AUTHORITATIVE_ANSWER } from "dns-packet";
import { descriptorOffsets } from "../../src/engine/layout.gen.ts";
import { answersOf, queryBytes, replyBytes } from "../../test/support/dns-cache.ts";
import { startLab } from "../../test/support/engine.ts";
import { type Flow, flow44, flow66, fromPod } from "../../test/support/flows.ts";
import { buildPacket } from "../../test/support/packets.ts";

const names = 10_000;
const rounds = 4000;
const edns = { size: 1232 };

const name = (index: number) => `host${index % names}.some-service.example.com`;

async function measure(flow: Flow): Promise<number> {
  const lab = await startLab({ sizes: { maxSessions: 1024, maxMappings: 1024, dnsCache: 1 << 23 } });
  lab.configure({ dns: true });
  const { exports, layout, words, bytes } = lab.engine;
  const question = (index: number) =>
    fromPod(flow, "udp", 4000, { destinationPort: 53, payload: queryBytes({ name: name(index), edns }) });
  for (let index = 0; index < names; index++) {
    const [asked] = lab.push([question(index)]).questions;
    const answers = [answersOf.A!(name(index), 3600)];
    const reply = replyBytes({ name: name(index), edns }, { answers, flags: AUTHORITATIVE_ANSWER });
    lab.pump.keep(asked!.context, reply, { seconds: 3600, synthesized: false }, 0);
  }
  const packets = Array.from({ length: 4096 }, (_, index) => buildPacket(question((index * 7919) % names)));
  const batch = layout.receiveCapacity;
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    for (let place = 0; place < batch; place++) {
      const packet = packets[(round * batch + place) % packets.length]!;
      const descriptor = (layout.receiveRing + place * descriptorOffsets.sizeof) >> 2;
      bytes.set(packet, words[descriptor + (descriptorOffsets.address >> 2)]!);
      words[descriptor + (descriptorOffsets.length >> 2)] = packet.length;
    }
    const started = performance.now();
    const sent = exports.process(batch, 5000);
    // The first rounds are before the compiler has optimized.
    if (round >= rounds / 4) times.push(performance.now() - started);
    if (sent !== batch) throw new Error(`${sent} of ${batch} were answered`);
    exports.written();
  }
  // The median: whatever else the machine does meanwhile is in some of them.
  return (times.sort((a, b) => a - b)[times.length >> 1]! * 1e6) / batch;
}

for (const [family, flow] of [
  ["IPv4", flow44],
  ["IPv6", flow66],
] as const)
  console.log(`${family}: ${(await measure(flow)).toFixed(0)} ns a cached answer, ${names} names`);
