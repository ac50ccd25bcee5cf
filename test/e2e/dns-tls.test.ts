/** DNS upstreams by TLS: netd reads the authority's file, which the gateway process may not. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { makeDnsCertificates } from "../support/dns-certificates.ts";
import { needs } from "../support/exec.ts";
import { eventually, gatewayLab, poolResource } from "../support/gateway-lab.ts";
import { labAddresses } from "../support/topology.ts";

const tools = needs("root", "tun", "ip", "nft", "dig", "openssl");
const [upstream] = labAddresses.dns;

test("a Pod's question goes to the upstream by TLS only, and status says so", tools, async (t) => {
  const certificates = await makeDnsCertificates();
  t.after(() => certificates.remove());
  chmodSync(certificates.caFile, 0o600);
  const lab = await gatewayLab(t, {
    resources: { "egress.yaml": poolResource.replace(/(dnsNat46PoolIps: ).*/, `$1[${upstream}]`) },
    args: ["--dns-tls", "dns.test", "--dns-tls-ca", certificates.caFile],
  });
  const [pod] = lab.topology.pods;
  const dig = (name: string) =>
    pod.run(["dig", "+tries=1", "+time=4", `@${labAddresses.resolver}`, name, "A"]);
  const upstreamLine = async () => (await lab.command("status")).match(/^upstreams +(.*)$/m)?.[1] ?? "";

  await t.test(
    "without a TLS server: SERVFAIL, nothing in plain text, and the reason in status",
    async () => {
      assert.match(await dig("v6only.example"), /status: SERVFAIL/);
      assert.equal(lab.internet.exchanges.length, 0);
      assert.match(await upstreamLine(), /by tls: .*ECONNREFUSED/);
    },
  );

  const path = (name: string) => join(lab.topology.folder, name);
  writeFileSync(path("tls.crt"), certificates.good.cert);
  writeFileSync(path("tls.key"), certificates.good.key);
  const script = fileURLToPath(new URL("../support/dns-tls-server.js", import.meta.url));
  const [program = "", ...args] = lab.topology.internet.inside([
    ...[process.execPath, script, upstream, "853", path("tls.crt"), path("tls.key")],
  ]);
  const server = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => server.kill());
  const lines: string[] = [];
  createInterface(server.stdout).on("line", (line) => lines.push(line));
  await eventually("TLS server", async () => lines[0] === "ready");

  await t.test("with one: DNS46 answers, over one padded connection", async () => {
    await eventually(
      "an answer",
      async () => /\sA\s+10\.244\.50\.\d+/.test(await dig("v6only.example")),
      10_000,
    );
    assert.match(await dig("v4only.example"), /status: NOERROR/);
    const asked = lines.slice(1).map((line) => JSON.parse(line) as { length: number; connection: number });
    assert.ok(asked.length >= 3 && asked.every(({ length }) => length % 128 === 0), lines.join("\n"));
    assert.deepEqual([...new Set(asked.map(({ connection }) => connection))], [0]);
    assert.equal(lab.internet.exchanges.length, 0);
    assert.match(
      await upstreamLine(),
      /^10\.244\.40\.252 by tls: healthy, \d+ questions, half of the answers/,
    );
  });
});
