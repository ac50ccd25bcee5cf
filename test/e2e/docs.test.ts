/** Every command that the documentation shows is run, in the namespace of a running gateway. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { needs } from "../support/exec.ts";
import { gatewayLab } from "../support/gateway-lab.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const documents = [
  "README.md",
  "CONTRIBUTING.md",
  "ARCHITECTURE.md",
  ...readdirSync(`${root}docs`, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
];

/** What can't run inside a test, and what runs it instead. */
const elsewhere: Readonly<Record<string, string>> = {
  "npm start": "test/e2e/lab.test.ts runs what it runs; .ci/run makes the fresh clone",
  "npm test": "it is running now",
  "egress46 run -f examples/dns46-snatpool.yaml --internal internal0 --external external":
    "the gateway of this test",
  "egress46 run -f examples/dns46-snatpool.yaml --internal internal0 --external external --data-plane envoy --envoy-dir /run/egress46/envoy":
    "test/e2e/envoy.test.ts",
  "envoy -c /run/egress46/envoy/envoy.yaml": "test/e2e/envoy.test.ts",
};

function commandsOf(document: string): string[] {
  const blocks = readFileSync(root + document, "utf8").matchAll(/```sh\n([\s\S]*?)```/g);
  return [...blocks].flatMap(([, text = ""]) => text.split("\n").filter(Boolean));
}

test("commands in the documentation", needs("root", "tun", "ip", "nft", "curl"), async (t) => {
  const lab = await gatewayLab(t, {
    resources: { "all.yaml": readFileSync(`${root}examples/dns46-snatpool.yaml`, "utf8") },
  });
  const { topology, store } = lab;
  // As installed: egress46 and tmctl on the PATH.
  const bin = `${topology.folder}/bin`;
  mkdirSync(bin);
  symlinkSync(`${root}dist/src/main.js`, `${bin}/egress46`);
  symlinkSync(`${root}dist/src/tmctl.js`, `${bin}/tmctl`);
  for (const document of documents)
    for (const line of commandsOf(document))
      await t.test(`${document}: ${line}`, async (each) => {
        if (line in elsewhere) return each.diagnostic(elsewhere[line]!);
        const command = line.startsWith("egress46 mappings") ? `${line} --store ${store}` : line;
        const script = `cd ${root} && PATH=${bin}:$PATH && ${command}`;
        const { code, stdout, stderr } = await topology.gateway.execute(["sh", "-c", script]);
        assert.equal(code, 0, stderr);
        assert.notEqual(
          stdout + stderr,
          /mappings (add|rm)/.test(line) ? undefined : "",
          "it prints something",
        );
      });
});

test("every link of the documentation leads to a file", () => {
  for (const document of documents) {
    const links = readFileSync(root + document, "utf8").matchAll(/\]\((?!https?:)([^)#]+)\)/g);
    for (const [, target = ""] of links) {
      const url = new URL(target, new URL(document, `file://${root}`));
      assert.ok(existsSync(fileURLToPath(url)), `${document}: ${target}`);
    }
  }
});
