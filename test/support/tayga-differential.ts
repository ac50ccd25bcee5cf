/** The same packets through tayga and through the translator. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { createTranslator } from "../../src/translate/translator.ts";
import { needs } from "./exec.ts";
import { generate } from "./siit-packets.ts";
import { throughTayga } from "./tayga.ts";
import { type Case, type ClassName, classNames, explain, own4 } from "./tayga-classes.ts";

const eams = [77, 154, 231].map((host, index) => ({
  v4: `10.0.0.${index + 1}`,
  v6: `2001:db8:1::${host.toString(16)}`,
}));
/** One for each length of RFC 6052. */
const prefixes = [
  "2001:db8::/32",
  "2001:db8:100::/40",
  "2001:db8:122::/48",
  "2001:db8:122:300::/56",
  "2001:db8:122:344::/64",
  "2001:db8:122:344::/96",
];

export function taygaDifferential(packetsEach: number, seed: number): void {
  describe("tayga and the translator", needs("root", "tun", "tayga", "ip", "unshare"), () => {
    const tally = new Map<ClassName | "same", number>();
    prefixes.forEach((pool6, index) => {
      test(`${packetsEach} packets, ${pool6}, seed ${seed + index}: each difference is of a known class`, async (t) => {
        const counts = await compare(pool6, seed + index, packetsEach);
        for (const [name, count] of counts) tally.set(name, (tally.get(name) ?? 0) + count);
        t.diagnostic([...counts].map(([name, count]) => `${name} ${count}`).join(", "));
      });
    });
    test("each class occurs", () => {
      for (const name of classNames) assert.ok((tally.get(name) ?? 0) > 0, name);
    });
  });

  test("docs/rfc.md explains each class, and no other", () => {
    const text = readFileSync(new URL("../../../docs/rfc.md", import.meta.url), "utf8");
    const table = text.split("## Against tayga")[1]?.split("\n## ")[0] ?? "";
    const named = [...table.matchAll(/^\| ([^|]+?) \|/gm)].map(([, name]) => name).slice(1);
    assert.deepEqual(named, [...classNames]);
    assert.ok(classNames.length <= 20);
  });
}

async function compare(pool6: string, seed: number, count: number) {
  const packets = generate({ pool6, eams: pool6.endsWith("/32") ? [] : eams }, seed, count);
  const world = { own4, pool6, eams: pool6.endsWith("/32") ? [] : eams, mtu: 1500 };
  const theirs = await throughTayga(world, packets);
  const translator = await createTranslator({ ...world, pool6791v4: own4 });
  const counts = new Map<ClassName | "same", number>();
  packets.forEach((packet, index) => {
    const { outputs, drop } = translator.translate(packet);
    const one: Case = { packet, ours: outputs, theirs: theirs[index]!, drop };
    const { classes, unexplained } = explain(one);
    assert.deepEqual(unexplained, [], `packet ${index}\n${describeCase(one)}`);
    for (const name of classes.length === 0 ? (["same"] as const) : classes)
      counts.set(name, (counts.get(name) ?? 0) + 1);
  });
  return counts;
}

function describeCase({ packet, ours, theirs, drop }: Case): string {
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
  return [
    `input  ${hex(packet)}`,
    ...ours.map((output) => `ours   ${hex(output)}`),
    `drop   ${drop ?? "none"}`,
    ...theirs.map((output) => `tayga  ${hex(output)}`),
  ].join("\n");
}
