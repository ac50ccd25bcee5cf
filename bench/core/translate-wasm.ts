import { descriptorOffsets } from "../../src/engine/layout.gen.ts";
import type { Flows } from "./flows.ts";
import { runner } from "./runner.ts";
import type { Translator } from "./translator.ts";

/** process() of the engine itself. */
export function translatorInWasm(flows: Flows): Translator {
  const { exports, words, layout } = flows.engine;
  const at = (i: number, field: number) =>
    words[(layout.transmitRing + i * descriptorOffsets.sizeof + field) >> 2]!;
  return {
    name: "wasm",
    process(count, nowMs) {
      const produced = exports.process(count, nowMs);
      exports.written();
      return produced;
    },
    output: (i) => ({ address: at(i, descriptorOffsets.address), length: at(i, descriptorOffsets.length) }),
    run: runner(flows, (batch) => {
      exports.process(batch, 1);
      exports.written();
    }),
  };
}
