import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { suite, test } from "node:test";
import { parseResources } from "../../../src/config/parse.ts";
import { formatProblem } from "../../../src/config/problem.ts";
import { dns46, projectRoot, specExample, yamlOf } from "../../support/resources.ts";

function texts(text: string): string[] {
  return parseResources("f.yaml", text).problems.map(formatProblem);
}

suite("the specification's examples", () => {
  for (const name of ["automap", "snatpool", "dns46"])
    test(`${name} parses as printed`, () => {
      const { resources, problems } = parseResources("f.yaml", specExample(name));
      assert.deepEqual(problems, []);
      assert.equal(resources.length, 1);
    });

  test("their values arrive", () => {
    const all = ["snatpool", "dns46"].flatMap(
      (name) => parseResources("f.yaml", specExample(name)).resources,
    );
    assert.deepEqual(
      all.map(({ kind, metadata, source }) => [kind, metadata, source.line]),
      [
        ["F5SPKSnatpool", { name: "egress-snatpool", namespace: "spk-ingress" }, 1],
        ["F5SPKEgress", { name: "egress-crd", namespace: "spk-ingress" }, 1],
      ],
    );
    assert.deepEqual(all[0]!.spec, {
      name: "egress_snatpool",
      addressList: [
        ["2001::10:244:100:250", "2001::10:244:100:251"],
        ["2001::10:244:100:252", "2001::10:244:100:253"],
      ],
      sharedSnatAddressEnabled: false,
    });
    assert.deepEqual(all[1]!.spec, {
      dnsNat46Enabled: true,
      dnsNat46Ipv4Subnet: "10.244.50.0/24",
      dnsNat46PoolIps: ["10.244.40.252", "10.244.40.253"],
      egressSnatpool: "egress_snatpool",
      dnsNat46SorryIp: "10.244.40.100",
      dualStackEnabled: false,
      maxDNS46TTL: 120,
      maxReservedStaticIps: 0,
      dnsRateLimit: 0,
      nat64Enabled: false,
      nat64Ipv6Subnet: "64:ff9b::/96",
      maxTmmReplicas: 1,
      debugLogEnabled: false,
    });
  });

  test("the template's placeholders are named one by one", () => {
    assert.deepEqual(texts(specExample("automap-template")), [
      `f.yaml:5: metadata.namespace: expected lower-case letters, digits and '-' such as spk-ingress, got "<project>"`,
      `f.yaml:7: spec.dualStackEnabled: expected true or false, got "<true|false>"`,
    ]);
  });

  test("all of them in one file, separated by ---", () => {
    const text = ["automap", "snatpool", "dns46"].map(specExample).join("---\n");
    assert.equal(parseResources("f.yaml", text).resources.length, 3);
    assert.deepEqual(texts(text), []);
  });
});

test("every file of examples/ parses", () => {
  const folder = new URL("examples/", projectRoot);
  for (const name of readdirSync(folder).filter((each) => each.endsWith(".yaml"))) {
    const { resources, problems } = parseResources(name, readFileSync(new URL(name, folder), "utf8"));
    assert.deepEqual(problems.map(formatProblem), []);
    assert.ok(resources.some(({ kind }) => kind === "F5SPKEgress"));
  }
});

const meta = "metadata:\n  name: a\n";
const egress = `apiVersion: k8s.f5net.com/v1\nkind: F5SPKEgress\n${meta}spec:\n`;
const on =
  "  dnsNat46Enabled: true\n  dnsNat46Ipv4Subnet: 10.244.50.0/24\n  dnsNat46PoolIps: [10.244.40.252]\n";
const pool = `apiVersion: k8s.f5net.com/v1\nkind: F5SPKSnatpool\n${meta}spec:\n  name: p\n  addressList:\n`;
const vlan = `apiVersion: k8s.f5net.com/v1\nkind: F5SPKVlan\n${meta}spec:\n  name: v\n`;

const cases: [name: string, text: string, ...problems: string[]][] = [
  ["empty text", ""],
  ["only comments", "# nothing\n---\n---\n"],
  ["null is absent", `${egress}  dnsNat46Ipv4Subnet: null\n  dualStackEnabled:\n`],
  ["egressSnatpool null", `${egress}  egressSnatpool: null\n`],
  [
    "creationTimestamp null",
    `${egress.replace("name: a", "name: a\n  creationTimestamp: null")}  egressSnatpool: ""\n`,
  ],
  ["no spec", egress, "f.yaml:5: spec: is missing; expected an object"],
  ["spec is a list", `${egress}  - a\n`, "f.yaml:5: spec: expected an object, got a list"],
  [
    "scalar document",
    "hello\n",
    `f.yaml:1: expected a resource (apiVersion, kind, metadata, spec), got "hello"`,
  ],
  ["no kind", "a: 1\n", "f.yaml:1: kind: expected one of F5SPKEgress, F5SPKSnatpool, F5SPKVlan, got nothing"],
  ["foreign kind", "---\nkind: Pod\n", `f.yaml:2: kind: "Pod" is ignored: not a kind that egress46 knows`],
  [
    "misspelt kind",
    "kind: F5SPKEgres\n",
    `f.yaml:1: kind: "F5SPKEgres" is ignored: not a kind that egress46 knows; F5SPKEgress was meant?`,
  ],
  [
    "other version",
    `${egress.replace("/v1", "/v2")}  {}\n`,
    `f.yaml:1: apiVersion: expected k8s.f5net.com/v1, got "k8s.f5net.com/v2"`,
  ],
  [
    "no name",
    egress.replace("  name: a", "  namespace: b").concat("  {}\n"),
    "f.yaml:3: metadata.name: expected lower-case letters, digits, '-' and '.' such as egress-crd, got nothing",
  ],
  [
    "unknown field",
    `${egress}  dnsNat46Enable: true\n`,
    "f.yaml:6: spec.dnsNat46Enable: unknown field; the nearest known one is spec.dnsNat46Enabled",
  ],
  [
    "unknown nested field",
    `${egress}  vlans:\n    vlanlist: []\n`,
    "f.yaml:7: spec.vlans.vlanlist: unknown field; the nearest known one is spec.vlans.vlanList",
  ],
  [
    "unknown top field",
    `${egress}  {}\nspecs: {}\n`,
    "f.yaml:7: specs: unknown field; the nearest known one is spec",
  ],
  [
    "unknown field that is like no other",
    `${egress}  vlans:\n    foo: 1\nfoo: 2\n`,
    "f.yaml:8: foo: unknown field; known ones at the top are apiVersion, kind, metadata, spec, status",
    "f.yaml:7: spec.vlans.foo: unknown field; known ones of spec.vlans are vlanList, disableListedVlans",
  ],
  [
    "YAML 1.1 boolean",
    `${egress}  dualStackEnabled: yes\n`,
    `f.yaml:6: spec.dualStackEnabled: expected true or false, got "yes"`,
  ],
  [
    "number out of range",
    `${egress}  maxDNS46TTL: 0\n`,
    "f.yaml:6: spec.maxDNS46TTL: expected a whole number from 1 to 2147483647, got 0",
  ],
  [
    "fraction",
    `${egress}  dnsRateLimit: 1.5\n`,
    "f.yaml:6: spec.dnsRateLimit: expected a whole number from 0 to 4294967295, got 1.5",
  ],
  [
    "unknown snatType",
    `${egress}  snatType: NONE\n`,
    `f.yaml:6: spec.snatType: expected one of SRC_TRANS_AUTOMAP, SRC_TRANS_SNATPOOL, SRC_TRANS_NONE, got "NONE"`,
  ],
  [
    "not a prefix",
    `${egress}\n  dnsNat46Ipv4Subnet: "10.244.50"\n`,
    `f.yaml:7: spec.dnsNat46Ipv4Subnet: expected an IPv4 prefix such as 10.244.50.0/24, got "10.244.50"`,
  ],
  [
    "IPv6 prefix",
    `${egress}  dnsNat46Ipv4Subnet: 2001:db8::/96\n`,
    `f.yaml:6: spec.dnsNat46Ipv4Subnet: expected an IPv4 prefix such as 10.244.50.0/24, got "2001:db8::/96"`,
  ],
  [
    "octet too large",
    `${egress}  dnsNat46Ipv4Subnet: 10.256.0.0/24\n`,
    `f.yaml:6: spec.dnsNat46Ipv4Subnet: expected an IPv4 prefix such as 10.244.50.0/24, got "10.256.0.0/24"`,
  ],
  [
    "multicast prefix",
    `${egress}  dnsNat46Ipv4Subnet: 224.1.0.0/16\n`,
    `f.yaml:6: spec.dnsNat46Ipv4Subnet: expected an IPv4 prefix that can be used here (this one is multicast), got "224.1.0.0/16"`,
  ],
  [
    "too wide",
    `${egress}  dnsNat46Ipv4Subnet: 10.0.0.0/7\n`,
    `f.yaml:6: spec.dnsNat46Ipv4Subnet: expected an IPv4 prefix such as 10.244.50.0/24, of length 8 to 32, got "10.0.0.0/7"`,
  ],
  ...[32, 40, 48, 56, 64, 96].map((length): [string, string] => [
    `NAT64 prefix of length ${length}`,
    `${egress}  nat64Ipv6Subnet: 2001:db8::/${length}\n`,
  ]),
  ...(
    [
      ["64:ff9b::/97", " such as 64:ff9b::/96, of length 32, 40, 48, 56, 64 or 96 (RFC 6052)"],
      ["64:ff9b::/95", " such as 64:ff9b::/96, of length 32, 40, 48, 56, 64 or 96 (RFC 6052)"],
      ["2001:db8:0:0:100::/96", " such as 64:ff9b::/96, with bits 64 to 71 zero (RFC 6052)"],
      ["10.0.0.0/32", " such as 64:ff9b::/96"],
      ["64:ff9b:::/96", " such as 64:ff9b::/96"],
      ["ff0e::/96", " that can be used here (this one is multicast)"],
      ["fe80::/64", " that can be used here (this one is linkLocal)"],
      ["::ffff:0.0.0.0/96", " that can be used here (this one is ipv4Mapped)"],
      ["::/96", " that can be used here (this one is unspecified)"],
    ] as const
  ).map(([prefix, expected]): [string, string, string] => [
    `NAT64 prefix ${prefix}`,
    `${egress}  nat64Ipv6Subnet: "${prefix}"\n`,
    `f.yaml:6: spec.nat64Ipv6Subnet: expected an IPv6 prefix${expected}, got "${prefix}"`,
  ]),
  [
    "NAT64 without a SNAT",
    `${egress}  nat64Enabled: true\n  snatType: SRC_TRANS_NONE\n`,
    "f.yaml:7: spec.snatType: expected a SNAT as nat64Enabled is true (an IPv6 Pod has no IPv4 source), got SRC_TRANS_NONE",
  ],
  [
    "upstream is a name",
    `${egress}  dnsNat46PoolIps:\n    - 10.0.0.1\n    - dns.example\n`,
    `f.yaml:8: spec.dnsNat46PoolIps[1]: expected an IPv4 or IPv6 address such as 10.244.40.252, got "dns.example"`,
  ],
  [
    "upstreams are one string",
    `${egress}  dnsNat46PoolIps: 10.0.0.1\n`,
    `f.yaml:6: spec.dnsNat46PoolIps: expected a list, got "10.0.0.1"`,
  ],
  [
    "sorry IP is IPv6",
    `${egress}  dnsNat46SorryIp: 2001:db8::1\n`,
    `f.yaml:6: spec.dnsNat46SorryIp: expected an IPv4 address such as 10.244.40.100, got "2001:db8::1"`,
  ],
  [
    "sorry IP in the other spelling",
    `${egress}  dnsNat46SorryIP: 10.1.1\n`,
    `f.yaml:6: spec.dnsNat46SorryIP: expected an IPv4 address such as 10.244.40.100, got "10.1.1"`,
  ],
  ["both spellings, same", `${egress}  dnsNat46SorryIP: 10.1.1.1\n  dnsNat46SorryIp: 10.1.1.1\n`],
  [
    "both spellings, different",
    `${egress}  dnsNat46SorryIP: 10.1.1.1\n  dnsNat46SorryIp: 10.1.1.2\n`,
    "f.yaml:6: spec.dnsNat46SorryIP: expected 10.1.1.2 as in dnsNat46SorryIp, got 10.1.1.1",
  ],
  [
    "DNS46 without its fields",
    `${egress}  dnsNat46Enabled: true\n`,
    "f.yaml:5: spec.dnsNat46Ipv4Subnet: is missing; dnsNat46Enabled needs an IPv4 prefix such as 10.244.50.0/24",
    "f.yaml:5: spec.dnsNat46PoolIps: is missing; dnsNat46Enabled needs the address of at least one DNS server",
  ],
  [
    "all reserved",
    `${egress}${on}  maxReservedStaticIps: 256\n`,
    "f.yaml:9: spec.maxReservedStaticIps: expected less than the 256 addresses of 10.244.50.0/24, got 256",
  ],
  [
    "upstream inside the subnet",
    `${egress}${on.replace("40.252", "50.2")}`,
    "f.yaml:8: spec.dnsNat46PoolIps[0]: expected a DNS server outside dnsNat46Ipv4Subnet 10.244.50.0/24, got 10.244.50.2",
  ],
  [
    "sorry IP would be handed out",
    `${egress}${on}  dnsNat46SorryIp: 10.244.50.9\n`,
    "f.yaml:9: spec.dnsNat46SorryIp: expected an address that is never handed out for a host, outside 10.244.50.0/24 or among its first maxReservedStaticIps, got 10.244.50.9",
  ],
  ["sorry IP is reserved", `${egress}${on}  dnsNat46SorryIp: 10.244.50.9\n  maxReservedStaticIps: 10\n`],
  [
    "automap against a pool",
    `${egress}  snatType: SRC_TRANS_AUTOMAP\n  egressSnatpool: p\n`,
    "f.yaml:6: spec.snatType: expected SRC_TRANS_SNATPOOL (or no snatType) as egressSnatpool is set, got SRC_TRANS_AUTOMAP",
  ],
  [
    "pool wanted, none named",
    `${egress}  snatType: SRC_TRANS_SNATPOOL\n`,
    "f.yaml:5: spec.egressSnatpool: is missing; snatType SRC_TRANS_SNATPOOL needs a pool's spec.name",
  ],
  [
    "no SNAT with DNS46",
    `${egress}${on}  snatType: SRC_TRANS_NONE\n`,
    "f.yaml:9: spec.snatType: expected a SNAT as dnsNat46Enabled is true (an IPv4 Pod has no IPv6 source), got SRC_TRANS_NONE",
  ],
  [
    "pool without addresses",
    `${pool.replace("addressList:", "addressList: []")}`,
    "f.yaml:7: spec.addressList: expected at least 1 entry, got 0",
  ],
  ["flat pool", `${pool}    - 10.0.0.1\n`, `f.yaml:8: spec.addressList[0]: expected a list, got "10.0.0.1"`],
  [
    "pool with a loopback address",
    `${pool}    - - ::1\n`,
    `f.yaml:8: spec.addressList[0][0]: expected an IPv4 or IPv6 address that can be used here (this one is loopback), got "::1"`,
  ],
  [
    "overlapping lists, spelt differently",
    `${pool}    - - 2001:db8::1\n    - - 2001:db8::2\n      - 2001:DB8:0::1\n`,
    "f.yaml:10: spec.addressList[1][1]: expected an address that is listed once, got 2001:DB8:0::1, which is spec.addressList[0][0] too",
  ],
  [
    "pool by metadata.name only",
    pool.replace("  name: p\n  addr", "  addr").concat("    - [10.0.0.1]\n"),
    "f.yaml:5: spec.name: is missing; expected a string",
  ],
  [
    "self IP of the wrong family",
    `${vlan}  selfip_v4s: ["2001:db8::1"]\n`,
    `f.yaml:7: spec.selfip_v4s[0]: expected an IPv4 address such as 10.244.100.2, got "2001:db8::1"`,
  ],
  [
    "MTU too small",
    `${vlan}  mtu: 1400\n`,
    "f.yaml:7: spec.mtu: expected a whole number from 1500 to 9000, got 1400",
  ],
  [
    "duplicate key",
    `${egress}  egressSnatpool: a\n  egressSnatpool: b\n`,
    'f.yaml:7: key "egressSnatpool" stands here a second time, first on line 6',
  ],
  [
    "broken YAML in the second document",
    `${egress}  {}\n---\na: [1\n`,
    "f.yaml:9: is not YAML: Flow sequence in block collection must be sufficiently indented and end with a ]",
  ],
  [
    "alias to nowhere",
    "a: *b\n",
    "f.yaml:1: cannot be read: Unresolved alias (the anchor must be set before the alias): b",
  ],
  [
    "list item",
    `kind: List\nitems:\n- kind: F5SPKVlan\n  apiVersion: k8s.f5net.com/v1\n  metadata: {name: a}\n  spec:\n    tag: x\n`,
    `f.yaml:7: items[0].spec.tag: expected a whole number from 0 to 4094, got "x"`,
    "f.yaml:6: items[0].spec.name: is missing; expected a string",
  ],
];

suite("problems", () => {
  for (const [name, text, ...problems] of cases)
    test(name, () => assert.deepEqual(texts(text).toSorted(), problems.toSorted()));

  test("one bad resource does not hide its neighbours", () => {
    const text = [
      yamlOf("F5SPKEgress", dns46),
      yamlOf("F5SPKVlan", {}),
      yamlOf("F5SPKVlan", { name: "v" }),
    ].join("---\n");
    const { resources, problems } = parseResources("f.yaml", text);
    assert.deepEqual(
      resources.map(({ kind, source }) => `${kind} ${source.line}`),
      ["F5SPKEgress 1", "F5SPKVlan 19"],
    );
    assert.equal(problems.length, 1);
  });

  test("a Kubernetes list", () => {
    const items = [
      JSON.parse(
        '{"apiVersion":"k8s.f5net.com/v1","kind":"F5SPKEgress","metadata":{"name":"a","uid":"x"},"spec":{},"status":{"y":1}}',
      ),
    ];
    const { resources, problems } = parseResources(
      "f.json",
      JSON.stringify({ apiVersion: "v1", kind: "List", items }),
    );
    assert.deepEqual(problems, []);
    assert.equal(resources[0]!.metadata.namespace, "default");
  });

  test("an ignored kind is information, not an error", () => {
    assert.equal(parseResources("f.yaml", "kind: Pod\n").problems[0]!.level, "info");
  });
});
