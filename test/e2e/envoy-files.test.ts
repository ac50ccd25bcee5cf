/** What is written for Envoy, and what is shipped for it, as Envoy, nft and ip(8) themselves judge it. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { parse, stringify } from "yaml";
import { egress46 } from "../../src/lab/gateway.ts";
import { wasmLayer, writeOciImage } from "../../tools/oci-image.ts";
import { envoyNeeds, envoyProgram } from "../support/envoy.ts";
import { execute, mustExecute } from "../support/exec.ts";
import { buildTopology } from "../support/topology.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));

test("files for Envoy", envoyNeeds, async (t) => {
  const topology = await buildTopology({ prefix: "eg46test", resolver: false });
  t.after(() => topology.close());
  const { gateway, folder } = topology;
  const envoy = await envoyProgram();
  const validate = (file: string) => execute([envoy, "-c", file, "--mode", "validate"]);
  const write = async (out: string, ...more: string[]) => {
    const net = ["--internal", "internal0", "--internal-net", "10.244.1.0/24", "fd00:10:244:1::/64"];
    const args = ["-f", `${root}examples/dns46-snatpool.yaml`, ...net, "--external", "external", ...more];
    await gateway.run([...egress46, "envoy-config", "--out", out, ...args]);
    return out;
  };

  for (const redirect of ["redirect", "tproxy"])
    await t.test(`envoy-config --envoy-redirect ${redirect}`, async () => {
      const log = ["--envoy-access-log", `${folder}/access.log`];
      const out = await write(`${folder}/${redirect}`, "--envoy-redirect", redirect, ...log);
      assert.deepEqual((await validate(`${out}/envoy.yaml`)).code, 0);
      // Envoy looks at what it follows only when it runs: put into the bootstrap it is looked at, too.
      const dynamic = (name: string) =>
        parse(readFileSync(`${out}/${name}.yaml`, "utf8")).resources.map(
          ({ "@type": _, ...resource }: Record<string, unknown>) => resource,
        );
      const bootstrap = parse(readFileSync(`${out}/envoy.yaml`, "utf8"));
      bootstrap.static_resources.listeners = dynamic("listeners");
      bootstrap.static_resources.clusters.push(...dynamic("clusters"));
      delete bootstrap.dynamic_resources;
      const whole = `${out}/whole.yaml`;
      writeFileSync(whole, stringify(bootstrap));
      assert.equal((await validate(whole)).code, 0);
      writeFileSync(whole, stringify(bootstrap).replaceAll("feedCluster", "feedKluster"));
      const bad = await validate(whole);
      assert.equal(bad.code, 1);
      assert.match(bad.stderr, /filter configuration, character 2: unknown field 'feedKluster'/);

      await gateway.run(["nft", "-f", `${out}/redirect.nft`]);
      for (const family of [4, 6])
        await gateway.run(["ip", `-${family}`, "-batch", `${out}/routes${family}`]);
      await gateway.run(["sysctl", "-q", "-p", `${out}/sysctl.conf`]);
    });

  await t.test("the same again changes nothing", async () => {
    const out = `${folder}/redirect`;
    const before = await mustExecute(["stat", "-c", "%i", `${out}/clusters.yaml`]);
    await write(out);
    assert.equal(await mustExecute(["stat", "-c", "%i", `${out}/clusters.yaml`]), before);
  });

  await t.test("deploy/envoy/standalone.yaml", async () => {
    const dir = mkdtempSync(join(tmpdir(), "egress46-standalone-"));
    t.after(() => rmSync(dir, { recursive: true }));
    copyFileSync(`${root}dist/wasm/filter.wasm`, `${dir}/filter.wasm`);
    copyFileSync(`${root}deploy/envoy/standalone.yaml`, `${dir}/standalone.yaml`);
    const command = `cd ${dir} && ${envoy} -c standalone.yaml --mode validate`;
    const { code, stderr } = await execute(["sh", "-c", command]);
    assert.equal(code, 0, stderr);
  });
});

test("Istio's manifests are YAML of the kinds they say", () => {
  for (const [file, kind] of [
    ["envoyfilter", "EnvoyFilter"],
    ["wasmplugin", "WasmPlugin"],
  ]) {
    const manifest = parse(readFileSync(`${root}deploy/envoy/istio/${file}.yaml`, "utf8"));
    assert.equal(manifest.kind, kind);
  }
});

test("the OCI image: every digest is that of its blob", (t) => {
  const dir = mkdtempSync(join(tmpdir(), "egress46-oci-"));
  t.after(() => rmSync(dir, { recursive: true }));
  const sha256 = writeOciImage(dir);
  const blob = (digest: string) => {
    const bytes = readFileSync(join(dir, "blobs/sha256", digest.replace("sha256:", "")));
    assert.equal(`sha256:${createHash("sha256").update(bytes).digest("hex")}`, digest);
    return bytes;
  };
  const index = JSON.parse(readFileSync(join(dir, "index.json"), "utf8"));
  const manifest = JSON.parse(blob(index.manifests[0].digest).toString());
  blob(manifest.config.digest);
  const [layer] = manifest.layers;
  assert.equal(layer.mediaType, wasmLayer);
  assert.deepEqual(blob(layer.digest), readFileSync(`${root}dist/wasm/filter.wasm`));
  assert.equal(layer.digest, `sha256:${sha256}`);
});
