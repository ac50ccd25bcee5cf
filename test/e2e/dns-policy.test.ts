/** Rules, log, metrics, reverse names and dig of a whole gateway: what only the way through the engine can show. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { DigResult } from "../../src/dns/dig.ts";
import { needs } from "../support/exec.ts";
import { gatewayLab } from "../support/gateway-lab.ts";
import { labAddresses } from "../support/topology.ts";

test("DNS46 by the operator's rules", needs("root", "tun", "ip", "nft", "curl", "dig"), async (t) => {
  const args = ["--dns-log", "all", "--dns46-exclude-name", "www.example", "--dns46-max-hosts", "2"];
  const lab = await gatewayLab(t, { args });
  const [pod] = lab.topology.pods;
  const dig = async (...options: string[]) =>
    (await pod.run(["dig", "+short", "+tries=1", "+time=4", `@${labAddresses.resolver}`, ...options])).trim();
  const steps = async (name: string) => {
    const result = JSON.parse(await lab.command("dig", name, "--json")) as DigResult;
    return { result, names: result.steps.map(({ step }) => step) };
  };

  const first = await steps("v6only.example");
  await t.test("dig: a claim in the store, then what is known; the answer that a Pod gets", async () => {
    assert.deepEqual(new Set(first.names), new Set(["upstream", "policy", "candidate", "SETNX", "engine"]));
    const again = await steps("v6only.example");
    assert.deepEqual(new Set(again.names), new Set(["upstream", "policy", "known", "engine"]));
    const nat4 = first.result.answer?.records[0]?.data;
    assert.equal((await dig("v6only.example", "A")).split("\n")[0], nat4);
  });

  await t.test("the reverse name of a NAT address leads to that of its host", async () => {
    const nat4 = first.result.answer?.records[0]?.data ?? "";
    assert.match(await dig("-x", nat4), /^0\.8\.0\.0\.[0-9a-f.]*\.8\.b\.d\.0\.1\.0\.0\.2\.ip6\.arpa\.$/);
    assert.match(
      await pod.run(["dig", `@${labAddresses.resolver}`, "-x", "10.244.50.254"]),
      /status: NXDOMAIN/,
    );
  });

  await t.test("a name that is left out gets no address, one with many hosts two", async () => {
    assert.doesNotMatch(await dig("www.example", "A"), /10\.244\.50\./);
    assert.equal((await dig("many.example", "A")).match(/10\.244\.50\./g)?.length, 2);
  });

  await t.test("the log names the Pod, whichever way the question came", async () => {
    await dig("+tcp", "dual.example", "A");
    await dig("+notcp", "v4only.example", "A");
    const lines = lab.gateway
      .stderr()
      .split("\n")
      .filter((line) => line.includes('"DNS question"'))
      .map((line) => JSON.parse(line).dns as { client: string; name: string; proto: string; source: string });
    for (const [name, proto] of [
      ["dual.example", "tcp"],
      ["v4only.example", "udp"],
    ])
      assert.ok(
        lines.some((line) => line.name === name && line.proto === proto && line.client === pod.ipv4),
        `${name} over ${proto}`,
      );
  });

  await t.test("metrics by type, response code and source, and no name among them", async () => {
    const text = await lab.topology.gateway.run(["curl", "-s", "http://127.0.0.1:9046/metrics"]);
    assert.match(text, /^egress46_dns_requests_total\{type="A",proto="tcp"\} 1$/m);
    assert.match(text, /^egress46_dns_responses_total\{rcode="NXDOMAIN",source="local"\} 1$/m);
    assert.match(text, /^egress46_dns_responses_total\{rcode="NOERROR",source="synthesized"\} [1-9]/m);
    assert.match(text, /^egress46_dns_request_duration_seconds_bucket\{le="2\.5"\} [1-9]/m);
    assert.doesNotMatch(text, /v6only/);
  });
});
