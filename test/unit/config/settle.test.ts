import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { type Snapshot, settle } from "../../../src/config/observe.ts";

/** One file as seen; undefined = not there. */
function look(content: string | undefined): Snapshot {
  return new Map(content === undefined ? [] : [["f", { root: "f", bytes: Buffer.from(content) }]]);
}
function content(snapshot: Snapshot): string | undefined {
  const observation = snapshot.get("f");
  return observation && "bytes" in observation ? Buffer.from(observation.bytes).toString() : undefined;
}

suite("a change counts once two looks agree", () => {
  const rows: [
    name: string,
    inForce: string | undefined,
    looks: (string | undefined)[],
    settled: (string | undefined)[],
  ][] = [
    ["no change", "a", ["a", "a"], ["a", "a"]],
    ["edit", "a", ["b", "b"], ["a", "b"]],
    ["written in steps", "a", ["", "b", "bc", "bc"], ["a", "a", "a", "bc"]],
    ["replaced by way of deletion", "a", [undefined, "b", "b"], ["a", "a", "b"]],
    ["deleted", "a", [undefined, undefined], ["a", undefined]],
    ["created", undefined, ["a", "a"], [undefined, "a"]],
    ["there and back", "a", ["b", "a", "a"], ["a", "a", "a"]],
  ];
  for (const [name, inForce, looks, expected] of rows)
    test(name, () => {
      let [settled, previous] = [look(inForce), look(inForce)];
      const outcome = looks.map((text) => {
        const current = look(text);
        settled = settle(settled, previous, current);
        previous = current;
        return content(settled);
      });
      assert.deepEqual(outcome, expected);
    });

  test("an unchanged file keeps its observation", () => {
    const before = look("a");
    assert.equal(settle(before, before, look("a")).get("f"), before.get("f"));
  });
});
