import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { stringify } from "yaml";
import { type Parsed, parseResources } from "../../../src/config/parse.ts";
import { formatProblem } from "../../../src/config/problem.ts";
import { resolveEgress } from "../../../src/config/resolve.ts";
import { schemaOf } from "../../../src/config/schema.ts";
import { kinds } from "../../../src/config/types.ts";
import { specExample } from "../../support/resources.ts";

/** What holds for any text: no throw, each problem is one line that names a line of the text, what is left resolves. */
function holds(text: string): Parsed {
  const parsed = parseResources("f.yaml", text);
  const last = text.split("\n").length;
  for (const problem of parsed.problems) {
    assert.ok(
      Number.isInteger(problem.line) && problem.line >= 1 && problem.line <= last,
      formatProblem(problem),
    );
    assert.match(formatProblem(problem), /^f\.yaml:\d+: .+$/);
    assert.notEqual(problem.message, "");
  }
  resolveEgress(parsed.resources);
  return parsed;
}

test("any text", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 200 }), (text) => void holds(text)),
    { numRuns: 500, examples: [["\u2028"], ["\u0085"], ["\u009b2J"]] },
  );
});

test("any JSON tree, as JSON and as YAML", () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 5 }), (value) => {
      holds(JSON.stringify(value));
      holds(stringify(value));
    }),
    { numRuns: 300 },
  );
});

test("any value in any field", () => {
  const anything = fc.oneof(
    fc.jsonValue({ maxDepth: 3 }),
    fc.constantFrom(
      "10.0.0.0/24",
      "10.0.0.1",
      "2001:db8::1",
      "",
      "1.2.3.4/33",
      "::/0",
      "0.0.0.0/8",
      -1,
      2 ** 53,
    ),
    fc.array(fc.constantFrom("10.0.0.1", "2001:db8::1", "fe80::1%eth0", "::ffff:10.0.0.1")),
  );
  const resource = fc.constantFrom(...kinds).chain((kind) => {
    const fields = Object.keys(schemaOf(kind).properties!.spec!.properties!);
    const spec = fc.dictionary(fc.oneof(fc.constantFrom(...fields), fc.string()), anything);
    const metadata = fc.record(
      { name: fc.constantFrom("a", "b"), namespace: anything },
      { requiredKeys: ["name"] },
    );
    return fc.record({
      apiVersion: fc.constant("k8s.f5net.com/v1"),
      kind: fc.constant(kind),
      metadata,
      spec,
    });
  });
  fc.assert(
    fc.property(fc.array(resource, { maxLength: 4 }), (resources) => {
      const { resources: valid, problems } = holds(resources.map((each) => stringify(each)).join("---\n"));
      assert.ok(valid.length + problems.length >= resources.length);
      holds(JSON.stringify({ apiVersion: "v1", kind: "List", items: resources }));
    }),
    { numRuns: 300 },
  );
});

test("the specification's examples, mutated", () => {
  const text = fc.constantFrom(...["automap", "automap-template", "snatpool", "dns46"].map(specExample));
  const piece = fc.oneof(
    fc.string({ maxLength: 4 }),
    fc.constantFrom("\n", "---\n", "- ", ": ", "&a ", "*a", "!!", "{", "[", '"', "\t", "#", "<<: "),
  );
  const edits = fc.array(fc.record({ at: fc.nat(), remove: fc.nat(6), insert: piece }), {
    minLength: 1,
    maxLength: 6,
  });
  fc.assert(
    fc.property(text, edits, (original, changes) => {
      holds(
        changes.reduce((now, { at, remove, insert }) => {
          const offset = at % (now.length + 1);
          return now.slice(0, offset) + insert + now.slice(offset + remove);
        }, original),
      );
    }),
    { numRuns: 1000 },
  );
});

test("texts made to exhaust the reader", () => {
  const laughs = Array.from(
    { length: 12 },
    (_, n) => `a${n}: &a${n} [${n ? `*a${n - 1},`.repeat(10) : "x,"}]`,
  );
  const hostile = [
    `${laughs.join("\n")}\n`,
    Array.from({ length: 20_000 }, (_, n) => `k${n}: &a${n} x\nl${n}: *a${n}\n`).join(""),
    "[".repeat(20_000),
    `${"[".repeat(20_000)}${"]".repeat(20_000)}`,
    "- ".repeat(5_000),
    "&a [*a]",
    "kind: F5SPKEgress\nspec: &a\n  vlans: *a\n",
    "&a\nkind: List\nitems: [*a]\n",
    `kind: F5SPKEgress\nspec: {${"x".repeat(100_000)}: 1}`,
    `kind: F5SPKEgress\nspec:\n${Array.from({ length: 50_000 }, (_, n) => `  field${n}: 1\n`).join("")}`,
    "__proto__: {kind: F5SPKEgress}\nkind: F5SPKVlan\nconstructor: 1\n",
  ];
  for (const text of hostile) assert.notEqual(holds(text).problems.length, 0, text.slice(0, 40));
});
