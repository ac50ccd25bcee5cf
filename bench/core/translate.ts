/**
 * The engine alone: nanoseconds a packet of process(), without device and pump. 64-byte UDP packets are laid into the
 * receive ring before each call, as a device would; that copying is timed apart and taken off.
 */
import { descriptorOffsets } from "../../src/engine/layout.gen.ts";
import { type Lab, startLab } from "../../test/support/engine.ts";
import {
  type Flow,
  flow44,
  flow46,
  flow66,
  fromPod,
  fromRemote,
  openFlow,
} from "../../test/support/flows.ts";
import { buildPacket } from "../../test/support/packets.ts";

const packets = 128_000;
const rounds = 40;
const batch = 64;
const packetBytes = 12 + 64;
/** What the engine may change: virtio-net header, IPv6 and UDP header; in words. The payload is zero throughout. */
const headerWords = (12 + 40 + 8) >> 2;

const ways: readonly (readonly [string, Flow, "out" | "in"])[] = [
  ["4→6", flow46, "out"],
  ["6→4", flow46, "in"],
  ["4→4 out", flow44, "out"],
  ["4→4 in", flow44, "in"],
  ["6→6 out", flow66, "out"],
  ["6→6 in", flow66, "in"],
];

/** One packet of each flow, one behind the other. */
function packetsOf(lab: Lab, flow: Flow, way: "out" | "in", flows: number): Uint32Array {
  const all = new Uint32Array(flows * headerWords);
  const payload = new Uint8Array(
    64 - 8 - (flow.pod.includes(":") || (flow === flow46 && way === "in") ? 40 : 20),
  );
  for (let i = 0; i < flows; i++) {
    const outer = openFlow(lab, flow, "udp", 10_000 + i);
    const spec =
      way === "out"
        ? fromPod(flow, "udp", 10_000 + i, { payload })
        : fromRemote(flow, "udp", outer, { payload });
    all.set(new Uint32Array(buildPacket(spec).buffer, 0, headerWords), i * headerWords);
  }
  return all;
}

/** ns a packet; `work` false: the copying alone. */
function run(lab: Lab, all: Uint32Array, work: boolean): number {
  const { words, layout, exports } = lab.engine;
  const ring = layout.receiveRing >> 2;
  const descriptor = descriptorOffsets.sizeof >> 2;
  let at = 0;
  const started = process.hrtime.bigint();
  for (let done = 0; done < packets; done += batch) {
    for (let i = 0; i < batch; i++) {
      const place = ring + i * descriptor;
      const target = words[place + (descriptorOffsets.address >> 2)]! >> 2;
      words[place + (descriptorOffsets.length >> 2)] = packetBytes;
      for (let word = 0; word < headerWords; word++) words[target + word] = all[at + word]!;
      at += headerWords;
      if (at === all.length) at = 0;
    }
    if (!work) continue;
    exports.process(batch, 1);
    exports.written();
  }
  return Number(process.hrtime.bigint() - started) / packets;
}

console.log(`64-byte UDP through process(), best of ${rounds} × ${packets} packets`);
for (const [name, flow, way] of ways)
  for (const flows of [1, 10_000]) {
    const lab = await startLab();
    const all = packetsOf(lab, flow, way, flows);
    const dropsBefore = lab.counters().drops.join();
    let copying = Number.POSITIVE_INFINITY;
    let both = Number.POSITIVE_INFINITY;
    for (let round = 0; round < rounds; round++) {
      copying = Math.min(copying, run(lab, all, false));
      both = Math.min(both, run(lab, all, true));
    }
    if (lab.counters().drops.join() !== dropsBefore) throw new Error(`${name}: packets were dropped`);
    const net = (both - copying).toFixed(1).padStart(6);
    console.log(
      `${name.padEnd(8)} ${String(flows).padStart(6)} flows ${net} ns a packet (copying ${copying.toFixed(1)})`,
    );
  }
