/** What the compiled filter may be: it needs nothing but the ABI, and is small. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { filterBytes } from "../../support/filter-host.ts";

const module = new WebAssembly.Module(filterBytes);
const text = readFileSync(new URL("../../../wasm/filter.wat", import.meta.url), "utf8");

test("imports functions of the ABI only", () => {
  for (const { module: from, name, kind } of WebAssembly.Module.imports(module)) {
    assert.equal(from, "env");
    assert.match(`${kind} ${name}`, /^function proxy_/);
  }
});

test("exports no callback for data: none of Envoy's reads enters the VM", () => {
  const names = WebAssembly.Module.exports(module).map(({ name }) => name);
  assert.ok(names.includes("proxy_abi_version_0_2_1"));
  assert.deepEqual(
    names.filter((name) => name.endsWith("_data")),
    [],
  );
});

test("at most 32 KB", () => assert.ok(filterBytes.length <= 32 * 1024, `${filterBytes.length} bytes`));

for (const word of ["~lib/rt/", "__new"]) test(`no ${word}`, () => assert.equal(text.includes(word), false));
