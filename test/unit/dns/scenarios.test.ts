/**
 * What unbound's and BIND's tests of DNS64 look at, mirrored: every kind of host by every way, plain, with EDNS, DO and CD,
 * over a scripted upstream. The rule that says what is due is written out below, apart from the code under test.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { pino } from "pino";
import { type DnsPolicy, defaultPolicy } from "../../../src/dns/policy.ts";
import { createDnsProxy, type DnsProxy, type HostMapping } from "../../../src/dns/proxy.ts";
import { askProxy, type Question, type Reply, ttlsOf } from "../../support/dns-client.ts";
import {
  type HostKind,
  hostKinds,
  hosts,
  mapped,
  nameOf,
  scenarioScript,
  signature,
  soa,
  type Way,
  ways,
  type ZoneKind,
  zones,
} from "../../support/dns-scenarios.ts";
import { type Script, type ScriptedServer, startScriptedServer } from "../../support/scripted-server.ts";

interface Setting {
  readonly proxy: DnsProxy;
  readonly upstream: ScriptedServer;
}

const nat4Of = (host6: string) => `10.46.0.${Number.parseInt(host6.split("::")[1]!, 16) & 255}`;
const mapByAddress = async (host6: string): Promise<HostMapping> => ({ kind: "mapped", nat4: nat4Of(host6) });

async function start(
  script: Script,
  policy: Partial<DnsPolicy> = {},
  hostOf?: (nat4: string) => Promise<string | undefined>,
): Promise<Setting> {
  const upstream = await startScriptedServer(script);
  const proxy = createDnsProxy({
    mapHost: mapByAddress,
    ...(hostOf && { hostOf }),
    log: pino({ level: "silent" }),
    policy: { ...defaultPolicy, ...policy },
    upstreamPort: upstream.port,
  });
  proxy.configure({ upstreams: ["127.0.0.1"], maxTtl: 3600, subnet: "10.46.0.0/24" });
  return { proxy, upstream };
}

async function stop({ proxy, upstream }: Setting): Promise<void> {
  proxy.close();
  await upstream.close();
}

async function withScript(
  script: Script,
  work: (setting: Setting) => Promise<void>,
  policy: Partial<DnsPolicy> = {},
  hostOf?: (nat4: string) => Promise<string | undefined>,
): Promise<void> {
  const setting = await start(script, policy, hostOf);
  try {
    await work(setting);
  } finally {
    await stop(setting);
  }
}

/** The upstream's bytes for this question, under the client's ID and in its letters. */
function assertUnchanged({ upstream }: Setting, { raw }: Reply, { name, type = "A" }: Question): void {
  const exchange = upstream.exchanges.findLast((one) => one.name === name.toLowerCase() && one.type === type);
  assert.ok(exchange?.reply, "the upstream answered");
  const expected = Buffer.from(exchange.reply);
  raw.copy(expected, 0, 0, 2);
  const end = expected.indexOf(0, 12);
  raw.copy(expected, 12, 12, end);
  assert.equal(raw.toString("hex"), expected.toString("hex"));
}

const clients: Readonly<Record<string, Partial<Question>>> = {
  plain: {},
  EDNS: { edns: {} },
  DO: { edns: { dnssecOk: true } },
  CD: { checkingDisabled: true },
  "DO+CD": { edns: { dnssecOk: true }, checkingDisabled: true },
};
const policies: Readonly<Record<string, Partial<DnsPolicy>>> = {
  standard: {},
  "break-dnssec": { breakDnssec: true },
  "A alone": { answer: "a" },
};

function isMade(kind: HostKind, zone: ZoneKind, client: string, policy: string): boolean {
  if (mapped[kind] === undefined || client === "DO+CD") return false;
  return !(zone === "signed" && client === "DO" && policy !== "break-dnssec");
}

function expectedAnswers(kind: HostKind, way: Way, zone: ZoneKind, policy: string): string[] {
  const end = `${kind}.${zone}`;
  const links: Readonly<Record<Way, readonly string[]>> = {
    direct: [],
    cname: [`CNAME ${end}`],
    "two cnames": [`CNAME cname-${end}`, `CNAME ${end}`],
    dname: [`DNAME ${zone}`, `CNAME ${end}`],
  };
  const addresses = mapped[kind] ?? [];
  return [
    ...links[way],
    ...addresses.map((host6) => `A ${nat4Of(host6)}`),
    ...(policy === "A alone" ? [] : addresses.map((host6) => `AAAA ${host6}`)),
  ];
}

for (const [policy, policySettings] of Object.entries(policies))
  describe(`A under policy ${policy}`, () => {
    let setting: Setting;
    before(async () => {
      setting = await start(scenarioScript, { excludeHosts: ["2001:db8:eeee::/48"], ...policySettings });
    });
    after(() => stop(setting));
    for (const zone of zones)
      for (const kind of hostKinds)
        for (const way of ways)
          for (const [client, flags] of Object.entries(clients)) {
            const made = isMade(kind, zone, client, policy);
            test(`${zone}, ${kind}, ${way}, ${client}: ${made ? "made" : "unchanged"}`, async () => {
              const question = { name: nameOf(kind, way, zone), ...flags };
              const reply = await askProxy(setting.proxy, question);
              if (!made) return assertUnchanged(setting, reply, question);
              assert.deepEqual(reply.answers, expectedAnswers(kind, way, zone, policy));
              const { packet, errors } = reply;
              assert.equal(packet.rcode, "NOERROR");
              assert.equal(packet.flag_ad || packet.flag_aa || packet.flag_tc, false);
              assert.equal(packet.authorities?.length, 0);
              assert.deepEqual(
                errors.map(({ code }) => code),
                flags.edns === undefined ? [] : [29],
              );
              for (const host6 of mapped[kind] ?? [])
                if (flags.edns) assert.ok(errors[0]!.text.includes(`${nat4Of(host6)} <- ${host6}`));
            });
          }
  });

describe("AAAA", () => {
  for (const addToAaaa of [false, true])
    describe(addToAaaa ? "with the new A added" : "by default", () => {
      let setting: Setting;
      before(async () => {
        setting = await start(scenarioScript, { excludeHosts: ["2001:db8:eeee::/48"], addToAaaa });
      });
      after(() => stop(setting));
      for (const zone of zones)
        for (const kind of hostKinds)
          for (const way of ways)
            for (const [client, flags] of Object.entries(clients)) {
              const made = addToAaaa && isMade(kind, zone, client, "standard");
              test(`${zone}, ${kind}, ${way}, ${client}: ${made ? "made" : "unchanged"}`, async () => {
                const question = { name: nameOf(kind, way, zone), type: "AAAA", ...flags };
                const reply = await askProxy(setting.proxy, question);
                if (!made) return assertUnchanged(setting, reply, question);
                const originals = (hosts as Record<string, { AAAA?: readonly string[] }>)[kind]?.AAAA ?? [];
                const links = expectedAnswers(kind, way, zone, "standard").filter((line) =>
                  /NAME/.test(line),
                );
                assert.deepEqual(reply.answers, [
                  ...links,
                  ...originals.map((host6) => `AAAA ${host6}`),
                  ...(mapped[kind] ?? []).map((host6) => `A ${nat4Of(host6)}`),
                ]);
              });
            }
    });
});

describe("who gets what", () => {
  const excluding: Partial<DnsPolicy> = {
    excludeClients: ["10.9.0.0/16", "2001:db8:9::/48"],
    excludeNames: ["aaaa-only.unsigned"],
  };
  let setting: Setting;
  before(async () => {
    setting = await start(scenarioScript, excluding, async (nat4) =>
      nat4 === "10.46.0.2" ? "2001:db8:46::2" : undefined,
    );
  });
  after(() => stop(setting));
  const cases: [why: string, question: Question, made: boolean][] = [
    ["another client", { name: "aaaa-only.signed" }, true],
    ["an IPv4 client that is excluded", { name: "aaaa-only.signed", client: "10.9.3.4" }, false],
    ["an IPv6 client that is excluded", { name: "aaaa-only.signed", client: "2001:db8:9::7" }, false],
    ["a name that is excluded", { name: "aaaa-only.unsigned" }, false],
    ["a name below it", { name: "cname-aaaa-only.unsigned" }, true],
    ["RD not set", { name: "aaaa-only.signed", recursionDesired: false }, true],
    ["class CHAOS", { name: "aaaa-only.signed", class: "CH" }, false],
    ["type ANY", { name: "aaaa-only.signed", type: "ANY" }, false],
    ["the root", { name: "." }, false],
    [
      "a reverse name asked for by an excluded client",
      { name: "2.0.46.10.in-addr.arpa", type: "PTR", client: "10.9.3.4" },
      false,
    ],
  ];
  for (const [why, question, made] of cases)
    test(`${why}: ${made ? "made" : "unchanged"}`, async () => {
      const reply = await askProxy(setting.proxy, question);
      if (made) assert.ok(reply.answers.some((line) => line.startsWith("A 10.46.")));
      else assertUnchanged(setting, reply, question);
    });
});

describe("errors", () => {
  const aaaa = (name: string, address = "2001:db8:46::1") =>
    ({ type: "AAAA", name, ttl: 300, class: "IN", data: address }) as const;
  const script: Script = ({ name, type }) => {
    const [a = "", both = ""] = name.split(".");
    const outcome = type === "A" ? a : both;
    if (outcome === "mute") return undefined;
    if (outcome === "data") return { answers: type === "AAAA" ? [aaaa(name)] : [] };
    if (outcome === "nodata") return { authorities: [soa("example")] };
    return { rcode: Number(outcome.slice(5)) };
  };
  let setting: Setting;
  before(async () => {
    setting = await start(script);
  });
  after(() => stop(setting));
  // A's outcome, then AAAA's; what the client gets.
  const cases: [name: string, expected: "unchanged" | "made" | "SERVFAIL"][] = [
    ["nodata.data.example", "made"],
    ["nodata.nodata.example", "unchanged"],
    ["rcode2.data.example", "unchanged"],
    ["rcode3.data.example", "unchanged"],
    ["rcode5.data.example", "unchanged"],
    ["rcode4.data.example", "unchanged"],
    ["rcode1.data.example", "unchanged"],
    ["rcode9.data.example", "unchanged"],
    ["nodata.rcode3.example", "unchanged"],
    ["nodata.rcode2.example", "SERVFAIL"],
    ["nodata.rcode5.example", "SERVFAIL"],
    ["nodata.rcode1.example", "SERVFAIL"],
    ["rcode3.rcode2.example", "unchanged"],
  ];
  for (const [name, expected] of cases)
    test(`A ${name.replace(/\.example$/, "").replace(".", ", AAAA ")}: ${expected}`, async () => {
      const reply = await askProxy(setting.proxy, { name, edns: {} });
      if (expected === "unchanged") return assertUnchanged(setting, reply, { name });
      assert.equal(reply.packet.rcode, expected === "made" ? "NOERROR" : "SERVFAIL");
      assert.equal(reply.errors.length, 1, "an extended error says why");
    });
});

describe("the TTL of the new A", () => {
  const cases: [why: string, aaaa: number, soa: [minimum: number, ttl: number] | undefined, ttl: number][] = [
    ["less than 600, no SOA", 500, undefined, 500],
    ["more than 600, no SOA", 700, undefined, 600],
    ["less than the SOA's MINIMUM", 1100, [1200, 9000], 1100],
    ["more than the SOA's MINIMUM", 1300, [1200, 9000], 1200],
    ["more than the SOA's TTL", 1300, [1200, 1000], 1000],
    ["more than maxDNS46TTL", 5000, [5000, 5000], 3600],
    ["0", 0, [1200, 1000], 0],
  ];
  for (const [why, aaaa, soaTimes, expected] of cases)
    test(`AAAA ${aaaa}: ${why}: ${expected}`, () =>
      withScript(
        ({ name, type }) =>
          type === "AAAA"
            ? { answers: [{ type: "AAAA", name, ttl: aaaa, class: "IN", data: "2001:db8:46::1" }] }
            : { authorities: soaTimes ? [soa("example", ...soaTimes)] : [] },
        async ({ proxy }) => {
          const reply = await askProxy(proxy, { name: "www.example" });
          assert.deepEqual(ttlsOf(reply, "A"), [expected]);
          assert.deepEqual(ttlsOf(reply, "AAAA"), [Math.min(aaaa, 3600)]);
        },
      ));

  test("an alias keeps its own, and doesn't shorten the A's", () =>
    withScript(
      ({ name, type }) => {
        const alias = { type: "CNAME", name, ttl: 7, class: "IN", data: "end.example" } as const;
        const host = {
          type: "AAAA",
          name: "end.example",
          ttl: 200,
          class: "IN",
          data: "2001:db8:46::1",
        } as const;
        return { answers: type === "AAAA" ? [alias, host] : [alias], authorities: [soa("example", 900)] };
      },
      async ({ proxy }) => {
        const reply = await askProxy(proxy, { name: "www.example" });
        assert.deepEqual([ttlsOf(reply, "CNAME"), ttlsOf(reply, "A")], [[7], [200]]);
      },
    ));
});

describe("several hosts", () => {
  const script: Script = ({ name, type }) => ({
    answers:
      type === "AAAA"
        ? [9, 3, 7, 1, 5].map(
            (n) => ({ type: "AAAA", name, ttl: 60, class: "IN", data: `2001:db8:46::${n}` }) as const,
          )
        : [],
  });
  for (const [maxHosts, expected] of [
    [1, [9]],
    [3, [9, 3, 7]],
    [5, [9, 3, 7, 1, 5]],
    [64, [9, 3, 7, 1, 5]],
  ] as const)
    test(`at most ${maxHosts}: ${expected.length}, order kept`, () =>
      withScript(
        script,
        async ({ proxy }) => {
          const { answers } = await askProxy(proxy, { name: "www.example" });
          assert.deepEqual(
            answers.filter((line) => line.startsWith("A ")),
            expected.map((n) => `A 10.46.0.${n}`),
          );
        },
        { maxHosts },
      ));
});

describe("reverse names", () => {
  const host6 = "2001:db8:46::2";
  const reverse6 = "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.4.0.0.8.b.d.0.1.0.0.2.ip6.arpa";
  const pointer = { type: "PTR", name: reverse6, ttl: 77, class: "IN", data: "v6only.example" } as const;
  const script =
    (rcode: number): Script =>
    ({ name, type, dnssecOk }) => {
      if (name !== reverse6) return { rcode: 3, authorities: [soa("in-addr.arpa")] };
      if (rcode !== 0) return { rcode, authorities: rcode === 3 ? [soa("ip6.arpa", 33)] : [] };
      if (type !== "PTR") return { authorities: [soa("ip6.arpa", 33)] };
      return { answers: dnssecOk ? [pointer, signature(pointer)] : [pointer] };
    };
  const hostOf = async (nat4: string) => {
    if (nat4 === "10.46.0.99") throw new Error("the store is away");
    return nat4 === "10.46.0.2" || nat4 === "10.144.175.220" ? host6 : undefined;
  };
  type Case = [
    why: string,
    question: Question,
    rcode: string,
    answers: string[] | "unchanged",
    code?: number,
  ];
  const alias = `CNAME ${reverse6}`;
  const cases: Case[] = [
    ["ours", { name: "2.0.46.10.in-addr.arpa", type: "PTR" }, "NOERROR", [alias, "PTR v6only.example"], 29],
    [
      "in capitals",
      { name: "2.0.46.10.IN-ADDR.ARPA", type: "PTR" },
      "NOERROR",
      [alias, "PTR v6only.example"],
      29,
    ],
    [
      "made by hand, outside the subnet",
      { name: "220.175.144.10.in-addr.arpa", type: "PTR" },
      "NOERROR",
      [alias, "PTR v6only.example"],
      29,
    ],
    ["in the subnet without a mapping", { name: "3.0.46.10.in-addr.arpa", type: "PTR" }, "NXDOMAIN", [], 0],
    ["in the subnet, the store away", { name: "99.0.46.10.in-addr.arpa", type: "PTR" }, "SERVFAIL", [], 14],
    ["elsewhere", { name: "2.1.46.10.in-addr.arpa", type: "PTR" }, "NXDOMAIN", "unchanged"],
    ["of the alias itself", { name: "2.0.46.10.in-addr.arpa", type: "CNAME" }, "NOERROR", [alias], 29],
    ["ANY", { name: "2.0.46.10.in-addr.arpa", type: "ANY" }, "NOERROR", [alias], 29],
    ["another type", { name: "2.0.46.10.in-addr.arpa", type: "TXT" }, "NOERROR", [alias], 29],
    [
      "with signatures",
      { name: "2.0.46.10.in-addr.arpa", type: "PTR", edns: { dnssecOk: true } },
      "NOERROR",
      [alias, "PTR v6only.example", "RRSIG"],
      29,
    ],
    ["three labels", { name: "0.46.10.in-addr.arpa", type: "PTR" }, "NXDOMAIN", "unchanged"],
    ["five labels", { name: "9.2.0.46.10.in-addr.arpa", type: "PTR" }, "NXDOMAIN", "unchanged"],
    ["a leading zero", { name: "02.0.46.10.in-addr.arpa", type: "PTR" }, "NXDOMAIN", "unchanged"],
    ["no octet", { name: "300.0.46.10.in-addr.arpa", type: "PTR" }, "NXDOMAIN", "unchanged"],
    ["no number", { name: "x.0.46.10.in-addr.arpa", type: "PTR" }, "NXDOMAIN", "unchanged"],
    ["a look-alike", { name: "2.0.46.10.in-addr.arpa.example", type: "PTR" }, "NXDOMAIN", "unchanged"],
    ["class CHAOS", { name: "2.0.46.10.in-addr.arpa", type: "PTR", class: "CH" }, "NXDOMAIN", "unchanged"],
  ];
  for (const transport of ["udp", "tcp"] as const)
    for (const [why, asked, rcode, answers, code] of cases)
      test(`${why} over ${transport}: ${rcode}`, () =>
        withScript(
          script(0),
          async (setting) => {
            const question = { edns: {}, ...asked, transport };
            const reply = await askProxy(setting.proxy, question);
            assert.equal(reply.packet.rcode, rcode);
            if (answers === "unchanged") return assertUnchanged(setting, reply, question);
            assert.deepEqual(reply.answers, answers);
            assert.deepEqual(
              reply.errors.map((error) => error.code),
              code === undefined ? [] : [code],
            );
            if (code === 29) assert.match(reply.errors[0]!.text, /^DNS46 10\.[\d.]+ -> 2001:db8:46::2$/);
            assert.equal(reply.packet.questions?.[0]?.name, asked.name);
          },
          {},
          hostOf,
        ));
  for (const rcode of [2, 3, 5])
    test(`the upstream's RCODE ${rcode} behind the alias comes with it`, () =>
      withScript(
        script(rcode),
        async ({ proxy }) => {
          const reply = await askProxy(proxy, { name: "2.0.46.10.in-addr.arpa", type: "PTR", edns: {} });
          assert.equal(reply.raw[3]! & 15, rcode);
          assert.deepEqual(reply.answers, [alias]);
          assert.equal(reply.packet.authorities?.length, rcode === 3 ? 1 : 0);
        },
        {},
        hostOf,
      ));
});

describe("EDNS", () => {
  let setting: Setting;
  before(async () => {
    setting = await start(scenarioScript);
  });
  after(() => stop(setting));
  for (const version of [1, 2, 255])
    test(`version ${version}: BADVERS, and the upstream is not asked`, async () => {
      const asked = setting.upstream.exchanges.length;
      const { packet, raw } = await askProxy(setting.proxy, { name: "aaaa-only.signed", edns: { version } });
      const [opt] = packet.additionals ?? [];
      assert.ok(opt?.type === "OPT");
      assert.deepEqual([raw[3]! & 15, opt.extendedRcode, opt.ednsVersion], [0, 1, 0]);
      assert.equal(setting.upstream.exchanges.length, asked);
      assert.equal(setting.proxy.stats().responses.BADVERS! > 0, true);
    });
  test("no EDNS asked, none answered", async () => {
    const { packet } = await askProxy(setting.proxy, { name: "aaaa-only.signed" });
    assert.equal(packet.additionals?.length, 0);
  });
});
