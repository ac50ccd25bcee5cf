import { descriptorOffsets } from "../../src/engine/layout.gen.ts";
import { type Flows, headerWords, packetBytes } from "./flows.ts";
import type { Translator } from "./translator.ts";

const SIZE = descriptorOffsets.sizeof >> 2;
const ADDRESS = descriptorOffsets.address >> 2;
const LENGTH = descriptorOffsets.length >> 2;

/** The loop of `run` in translate.c, around what is called from JavaScript. */
export function runner(
  { engine, packets, count }: Flows,
  process: (batch: number) => void,
): Translator["run"] {
  const { words } = engine;
  const ring = engine.layout.receiveRing >> 2;
  return (batch, total, work) => {
    let at = 0;
    const started = performance.now();
    for (let done = 0; done < total; done += batch) {
      for (let i = 0; i < batch; i++) {
        const descriptor = ring + i * SIZE;
        const target = words[descriptor + ADDRESS]! >> 2;
        words[descriptor + LENGTH] = packetBytes;
        for (let word = 0; word < headerWords; word++) words[target + word] = packets[at + word]!;
        at += headerWords;
        if (at === count * headerWords) at = 0;
      }
      if (work) process(batch);
    }
    return (performance.now() - started) * 1e6;
  };
}
