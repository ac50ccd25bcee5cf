/** What the compiled module may be: it depends on nothing and never grows. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { createEngine } from "../../../src/engine/engine.ts";
import { layoutHash } from "../../../src/engine/layout.gen.ts";

const wasm = (file: string) => new URL(`../../../wasm/${file}`, import.meta.url);
const bytes = readFileSync(wasm("engine.wasm"));
const text = readFileSync(wasm("engine.wat"), "utf8");
const module = new WebAssembly.Module(bytes);

const functions = [
  "init",
  "process",
  "written",
  "pending",
  "tick",
  "mappingInstall",
  "mappingRemove",
  "mappingUnknown",
  "poolAdd",
  "poolRemove",
  "poolIndex",
  "nat64",
  "replySend",
  "replyStore",
  "dnsFlush",
];

describe("engine.wasm", () => {
  test("imports nothing", () => assert.deepEqual(WebAssembly.Module.imports(module), []));

  test("exports what engine.ts names, and nothing else", () => {
    const exported = WebAssembly.Module.exports(module).map(({ kind, name }) => `${kind} ${name}`);
    const expected = [...functions.map((name) => `function ${name}`), "global layoutHash", "memory memory"];
    assert.deepEqual(exported.sort(), expected.sort());
  });

  for (const word of ["memory.grow", "call_indirect", "~lib/rt/", "__new"])
    test(`no ${word}`, () => assert.equal(text.includes(word), false));

  test("at most 96 KB", () => assert.ok(bytes.length <= 96 * 1024, `${bytes.length} bytes`));

  test("its memory is shared and has the size it will always have", async () => {
    const [, minimum, maximum] = /\(memory \$?\S+ (\d+) (\d+) shared\)/.exec(text) ?? [];
    assert.ok(minimum !== undefined && minimum === maximum, "minimum = maximum");
    const { memory } = (await createEngine()).exports;
    assert.ok(memory.buffer instanceof SharedArrayBuffer);
    assert.equal(memory.buffer.byteLength, Number(minimum) * 65536);
  });

  test("has the layout that the program was built with", async () => {
    assert.equal((await createEngine()).exports.layoutHash.value, layoutHash);
  });

  for (const [name, maxSessions, maxMappings] of [
    ["sessions", 1 << 26, 1 << 10],
    ["sessions, past 32 bits", 0xffff_ffff, 1 << 10],
    ["mappings", 1 << 10, 1 << 28],
  ] as const)
    test(`more ${name} than its memory holds: refused`, () =>
      assert.rejects(createEngine({ maxSessions, maxMappings }), { code: "EG46_ENGINE" }));
});

describe("dns.wasm", () => {
  const dns = new WebAssembly.Module(readFileSync(wasm("dns.wasm")));
  const dnsText = readFileSync(wasm("dns.wat"), "utf8");

  test("imports nothing", () => assert.deepEqual(WebAssembly.Module.imports(dns), []));

  for (const word of ["memory.grow", "call_indirect", "~lib/rt/", "__new"])
    test(`no ${word}`, () => assert.equal(dnsText.includes(word), false));
});
