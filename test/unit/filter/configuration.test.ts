/** The plugin's configuration: what is wrong is refused, and its place told. deploy/envoy/filter.schema.json says the same. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { Ajv } from "ajv";
import { createHost } from "../../../src/proxy-wasm/host.ts";
import { filterBytes } from "../../support/filter-host.ts";
import { projectRoot } from "../../support/resources.ts";

const module = new WebAssembly.Module(filterBytes);
const schema = JSON.parse(readFileSync(new URL("deploy/envoy/filter.schema.json", projectRoot), "utf8"));
const validate = new Ajv().compile(schema);

/** Undefined: accepted. */
function refusal(text: string): string | undefined {
  const log: string[] = [];
  const vm = createHost({ module, log: (level, line) => log.push(`${level} ${line}`) });
  return vm.plugin("egress46", text) === undefined ? log.join("\n") : undefined;
}

const cases: readonly (readonly [text: string, wrong: RegExp | undefined])[] = [
  ['{"feedCluster": "f"}', undefined],
  [' {"feedCluster":"f","waitMs":100,"logRefusals":false}\n', undefined],
  ['{"waitMs": 5000, "feedCluster": "f", "logRefusals": true}', undefined],
  ["", /there is none/],
  ["null", /character 1: a JSON object is expected/],
  ["[]", /character 1: a JSON object is expected/],
  ["{}", /feedCluster is missing/],
  ['{"feedCluster": ""}', /character 17: feedCluster must have 1 to 64 characters/],
  [`{"feedCluster": "${"x".repeat(65)}"}`, /feedCluster must have 1 to 64 characters/],
  ['{"feedCluster": 1}', /character 17: feedCluster must be a string/],
  ['{"feedCluster": "f"', /character 20: ',' or '}' is expected/],
  ['{"feedCluster": "f"} x', /character 22: nothing may follow/],
  ['{"feedCluster": "f", "waitMs": 99}', /character 32: waitMs must be a whole number from 100 to 5000/],
  ['{"feedCluster": "f", "waitMs": 5001}', /waitMs must be/],
  ['{"feedCluster": "f", "waitMs": 1e3}', /waitMs must be/],
  ['{"feedCluster": "f", "waitMs": "500"}', /waitMs must be/],
  ['{"feedCluster": "f", "logRefusals": 1}', /logRefusals must be true or false/],
  [
    '{"feedCluster": "f", "feedKluster": "f"}',
    /character 22: unknown field 'feedKluster' \(known: feedCluster/,
  ],
  ["{feedCluster: 1}", /character 2: a field's name in quotes is expected/],
];

describe("filter configuration", () => {
  for (const [text, wrong] of cases)
    test(text === "" ? "(empty)" : text.slice(0, 60), () => {
      const said = refusal(text);
      if (wrong === undefined) assert.equal(said, undefined);
      else assert.match(said ?? "accepted", wrong);
    });

  for (const [text, wrong] of cases)
    test(`by the schema: ${text.slice(0, 60)}`, () => {
      let value: unknown;
      try {
        value = JSON.parse(text);
      } catch {
        return assert.notEqual(wrong, undefined);
      }
      // JSON has one kind of number.
      if (text.includes("1e3")) return;
      assert.equal(validate(value), wrong === undefined);
    });
});
