/** The ports of the translation to JavaScript and C that the bench measures against: the engine's bytes, packet by packet. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { compareOnRandomPackets } from "../../bench/core/equality.ts";
import { openFlows } from "../../bench/core/flows.ts";
import { translatorInC } from "../../bench/core/translate-c.ts";
import { translatorInJs } from "../../bench/core/translate-js.ts";
import { translatorInWasm } from "../../bench/core/translate-wasm.ts";
import { needs } from "../support/exec.ts";

const seed = Number(process.env.EG46_SEED ?? 46);
const packets = 20_000;

const references = [
  { name: "JavaScript", port: translatorInJs, tools: { skip: false as const } },
  { name: "C", port: translatorInC, tools: needs("gcc") },
];

describe(`references, seed ${seed}`, () => {
  for (const protocol of ["tcp", "udp"] as const)
    for (const { name, port, tools } of references)
      test(`${name}, ${protocol}: ${packets} random packets`, tools, async (t) => {
        const flows = await openFlows(protocol, 1000);
        const translators = [translatorInWasm(flows), port(flows)];
        const { translated, difference } = compareOnRandomPackets(flows, translators, packets, seed);
        assert.equal(difference, undefined);
        t.diagnostic(`${translated} translated`);
        assert.ok(translated > packets * 0.4 && translated < packets, `${translated} translated`);
      });
});
