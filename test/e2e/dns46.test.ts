/** The gateway's main job, seen from the Pod by the tools that everybody has. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { decode, encode, RECURSION_DESIRED } from "dns-packet";
import { aged } from "../support/dns-cache.ts";
import { needs } from "../support/exec.ts";
import { automapResource, gatewayLab } from "../support/gateway-lab.ts";
import { labAddresses } from "../support/topology.ts";

const tools = needs("root", "tun", "ip", "nft", "curl", "dig", "ping");

test("a Pod reaches an IPv6-only host by name", tools, async (t) => {
  const lab = await gatewayLab(t);
  const [pod] = lab.topology.pods;

  await t.test("curl by the system's resolver; the server sees an address of the SNAT pool", async () => {
    const page = await pod.run(["curl", "-sS", "--max-time", "10", "http://v6only.example/"]);
    assert.match(page, /Welcome to v6only\.example at 2001:db8:46::80\./);
    const visit = lab.internet.visits.at(-1);
    assert.ok(labAddresses.snatPool.ipv6.includes(visit?.source as never), `source ${visit?.source}`);
  });

  for (const transport of ["+notcp", "+tcp"])
    for (const server of [labAddresses.resolver, pod.gateway4])
      await t.test(`dig ${transport} @${server}: new A and original AAAA`, async () => {
        const answer = await pod.run([
          "dig",
          transport,
          "+noall",
          "+answer",
          `@${server}`,
          "v6only.example",
          "A",
        ]);
        assert.match(answer, /v6only\.example\.\s+\d+\s+IN\s+A\s+10\.244\.50\.\d+/);
        assert.match(answer, /v6only\.example\.\s+\d+\s+IN\s+AAAA\s+2001:db8:46::80/);
      });

  await t.test("ping to the NAT address", async () => {
    const nat4 = (await pod.run(["dig", "+short", "v6only.example", "A"])).split("\n")[0] ?? "";
    const before = await lab.connections();
    const output = await pod.run(["ping", "-c", "3", "-i", "0.2", "-W", "2", nat4]);
    assert.match(output, /3 packets transmitted, 3 received/);
    const after = await lab.connections();
    assert.equal(
      (after["egress-ipv4-nat46"] ?? 0) - (before["egress-ipv4-nat46"] ?? 0),
      1,
      "a ping counts one",
    );
  });

  for (const [name, types] of [
    ["v4only.example", ["A", "AAAA"]],
    ["dual.example", ["A", "AAAA"]],
  ] as const)
    for (const type of types)
      for (const tcp of [false, true])
        await t.test(
          `${name} ${type} over ${tcp ? "TCP" : "UDP"}: the upstream's bytes but for the ID, and TTLs from a cache`,
          async () => {
            const id = 4660;
            const query = encode({
              type: "query",
              id,
              flags: RECURSION_DESIRED,
              questions: [{ type, name }],
            });
            const script = tcp ? askTcp : askUdp;
            const hex = await pod.run([
              process.execPath,
              "-e",
              script,
              labAddresses.resolver,
              query.toString("hex"),
            ]);
            const reply = Buffer.from(hex.trim(), "hex");
            const upstream = lab.internet.exchanges.filter(({ query: asked }) =>
              sameQuestion(Buffer.from(asked), query),
            );
            assert.ok(upstream.length > 0, "the upstream was asked");
            const bytes = Buffer.from(upstream.at(-1)!.reply!);
            const ages = Array.from({ length: 10 }, (_, seconds) => aged(bytes, query, seconds));
            assert.ok(
              ages.some((each) => each.equals(reply)),
              reply.toString("hex"),
            );
          },
        );

  await t.test("a chain of aliases ends at the IPv6-only host", async () => {
    const page = await pod.run(["curl", "-sS", "--max-time", "10", "http://www.example/"]);
    assert.match(page, /Welcome to v6only\.example/);
  });

  await t.test("nothing was refused on the way", async () => {
    const drops = await lab.drops();
    for (const reason of [
      "SNAT_ADDRESS_MISSING",
      "MAPPING_UNKNOWN",
      "SOURCE_NOT_INTERNAL",
      "OFFLOAD_INVALID",
    ])
      assert.equal(drops[reason], undefined, reason);
  });
});

function sameQuestion(a: Buffer, b: Buffer): boolean {
  const [x] = decode(a).questions ?? [];
  const [y] = decode(b).questions ?? [];
  return x?.name.toLowerCase() === y?.name.toLowerCase() && x?.type === y?.type;
}

const askUdp = `
const s = require("node:dgram").createSocket("udp4");
s.on("message", (m) => { console.log(m.toString("hex")); s.close(); });
s.send(Buffer.from(process.argv[2], "hex"), 53, process.argv[1]);
setTimeout(() => process.exit(1), 5000).unref();`;
const askTcp = `
const q = Buffer.from(process.argv[2], "hex");
const s = require("node:net").connect(53, process.argv[1], () => s.write(Buffer.concat([Buffer.from([0, q.length]), q])));
let all = Buffer.alloc(0);
s.on("data", (d) => {
  all = Buffer.concat([all, d]);
  if (all.length >= 2 && all.length >= 2 + all.readUInt16BE(0)) { console.log(all.subarray(2).toString("hex")); s.destroy(); }
});
setTimeout(() => process.exit(1), 5000).unref();`;

test("the specification's first CR: automap for both families, counted exactly", tools, async (t) => {
  const lab = await gatewayLab(t, { podIpv6: true, resources: { "egress.yaml": automapResource } });
  const [pod] = lab.topology.pods;
  const { web, gateway } = labAddresses;
  for (let i = 0; i < 3; i++) await pod.run(["curl", "-sS", "--max-time", "10", `http://${web.v4only}/`]);
  for (let i = 0; i < 2; i++) await pod.run(["curl", "-sS", "--max-time", "10", `http://[${web.v6only}]/`]);
  const sources = lab.internet.visits.map(({ source }) => source);
  assert.deepEqual(sources, [...Array(3).fill(gateway.external4), ...Array(2).fill(gateway.external6)]);
  assert.deepEqual(await lab.connections(), { "egress-ipv6": 2, "egress-ipv4": 3 });

  await t.test("UDP and ping leave from the interface's address and come back", async () => {
    for (const address of [web.v4only, web.v6only])
      assert.match(await pod.run(["ping", "-c", "2", "-i", "0.2", "-W", "2", address]), /2 received/);
    const dig = ["dig", "+short", "+tries=1", "+time=3", `@${labAddresses.dns[0]}`, "v4only.example", "A"];
    assert.equal(
      (await pod.run(dig)).trim(),
      web.v4only,
      "port 53 is plain traffic while dnsNat46Enabled is false",
    );
  });

  await t.test("the host's own traffic is its own: ping and TCP from the gateway", async () => {
    const output = await lab.topology.gateway.run(["ping", "-c", "3", "-i", "0.2", "-W", "2", web.v4only]);
    assert.match(output, /3 received/);
    const page = await lab.topology.gateway.run([
      "curl",
      "-sS",
      "--max-time",
      "5",
      `http://[${web.v6only}]/`,
    ]);
    assert.match(page, /Welcome to v6only/);
  });
});
