/** What a new session costs when few, and when nearly all ports of a pool of one address are in use. */

import type { Engine } from "../../src/engine/engine.ts";
import { descriptorOffsets } from "../../src/engine/layout.gen.ts";
import { type Context, interleave, type Part } from "../part.ts";
import { addSample, median } from "../results.ts";
import { type FlowProtocol, headersOf, packetBytes, pool, startEngine } from "./flows.ts";

const usablePorts = 65536 - 1024;
const batch = 64;
/** 512 new sessions, of some 645 ports that are left at 99 %. */
const timedBatches = 8;
const loads = [
  { name: "10 %", share: 0.1 },
  { name: "99 %", share: 0.99 },
];

export const ports: Part = async (context) => {
  for (const protocol of ["udp", "tcp"] as const) {
    context.say(` ${protocol}`);
    const title = `new ${protocol.toUpperCase()} session with so many of a pool's ports in use`;
    await interleave(context, loads, async ({ name, share }) => {
      const each = await timeAt(context, protocol, share);
      addSample(context.results, { id: `ports.${protocol}`, title, unit: "ns" }, name, each);
      return `${each.toFixed(0)} ns a session`;
    });
  }
};

/** ns a session, median of the batches. A port that isn't found while some are free is an error. */
async function timeAt({ results }: Context, protocol: FlowProtocol, share: number): Promise<number> {
  const engine = await startEngine(pool.slice(0, 1), { maxSessions: 1 << 17, maxMappings: 1 << 10 });
  const before = Math.floor((usablePorts * share) / batch) * batch;
  let opened = 0;
  for (let i = 0; i < before; i += batch) opened += openBatch(engine, protocol, i).opened;
  const times: number[] = [];
  for (let i = 0; i < timedBatches; i++) {
    const result = openBatch(engine, protocol, before + i * batch);
    opened += result.opened;
    times.push(result.ns / batch);
  }
  const failed = before + timedBatches * batch - opened;
  if (failed > 0) results.errors.push(`${protocol}: ${failed} sessions got no port though some were free`);
  return median(times);
}

/** Flows `first` … `first` + batch - 1. */
function openBatch(engine: Engine, protocol: FlowProtocol, first: number): { opened: number; ns: number } {
  const { words, bytes, layout, exports } = engine;
  for (let i = 0; i < batch; i++) {
    const place = (layout.receiveRing + i * descriptorOffsets.sizeof) >> 2;
    const address = words[place + (descriptorOffsets.address >> 2)]!;
    bytes.fill(0, address, address + packetBytes);
    words.set(headersOf(protocol, first + i, true), address >> 2);
    words[place + (descriptorOffsets.length >> 2)] = packetBytes;
  }
  const started = performance.now();
  const opened = exports.process(batch, 1);
  const ns = (performance.now() - started) * 1e6;
  exports.written();
  return { opened, ns };
}
