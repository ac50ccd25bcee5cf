import assert from "node:assert/strict";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { largestGap, localPorts, type PortRange } from "../../../src/netd/automap-ports.ts";
import { wantedDnsSockets } from "../../../src/netd/dns-sockets.ts";
import { entryTo } from "../../../src/netd/passages.ts";
import { checkPlan } from "../../../src/netd/plan-check.ts";
import { tunRemedy } from "../../../src/netd/prerequisites.ts";
import { isMapped, prepareStoreFolder, unprivileged } from "../../../src/netd/privileges.ts";
import type { NetworkPlan } from "../../../src/netd/protocol.ts";
import { sysctlName } from "../../../src/netd/sysctl.ts";

describe("automap ports", () => {
  const cases: [string, PortRange[], PortRange | undefined][] = [
    ["nothing in use", [], [16384, 65535]],
    [
      "Linux' defaults and NodePorts",
      [
        [32768, 60999],
        [30000, 32767],
      ],
      [16384, 29999],
    ],
    [
      "a socket in the middle",
      [
        [32768, 65535],
        [20000, 20000],
      ],
      [20001, 32767],
    ],
    ["above is larger", [[16384, 40000]], [40001, 65535]],
    [
      "overlaps and ports below",
      [
        [80, 80],
        [1024, 50000],
        [40000, 45000],
      ],
      [50001, 65535],
    ],
    ["everything in use", [[1024, 65535]], undefined],
    ["one left at the end", [[1024, 65534]], [65535, 65535]],
  ];
  for (const [name, used, expected] of cases) test(name, () => assert.deepEqual(largestGap(used), expected));
  test("local ports of /proc/net/tcp", () => {
    const text = [
      "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode",
      "   0: 0100007F:2356 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0",
      "  10: 00000000000000000000000001000000:0035 00000000000000000000000000000000:0000 0A 00000000:0",
    ].join("\n");
    assert.deepEqual(localPorts(text), [9046, 53]);
  });
});

describe("privileges", () => {
  const all = (1n << 41n) - 1n;
  const command = (id: number | undefined, capabilities: bigint) =>
    unprivileged({ id, setpriv: "/usr/bin/setpriv", capabilities }, "node", ["main.js"]).args.join(" ");
  const base = "--no-new-privs --pdeathsig KILL";
  const cases: [string, number | undefined, bigint, string][] = [
    [
      "root",
      65534,
      all,
      `${base} --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all --ambient-caps=-all --bounding-set=-all -- node main.js`,
    ],
    [
      "user namespace",
      undefined,
      all,
      `${base} --inh-caps=-all --ambient-caps=-all --bounding-set=-all -- node main.js`,
    ],
    [
      "CAP_NET_ADMIN alone",
      undefined,
      1n << 12n,
      `${base} --inh-caps=-all --ambient-caps=-all -- node main.js`,
    ],
  ];
  for (const [name, id, capabilities, expected] of cases)
    test(name, () => assert.equal(command(id, capabilities), expected));
  test("without setpriv spawn changes the user", () =>
    assert.deepEqual(unprivileged({ id: 65534, setpriv: undefined, capabilities: all }, "node", ["x"]), {
      command: "node",
      args: ["x"],
      uid: 65534,
      gid: 65534,
    }));
  test("ids of a user namespace", () => {
    assert.equal(isMapped("         0          0 4294967295\n", 65534), true);
    assert.equal(isMapped("         0       1000          1\n", 65534), false);
    assert.equal(isMapped("0 1000 1\n1 100000 65536\n", 65534), true);
  });
});

describe("passage through closed folders", () => {
  const cases: [path: string, closed: string[], entry: string | undefined][] = [
    ["/srv/egress46/main.js", [], undefined],
    ["/root/egress46/dist/main.js", ["/root"], "/root/egress46"],
    ["/root/a/b/c/main.js", ["/root", "/root/a/b"], "/root/a/b/c"],
    ["/root/node", ["/root"], "/root/node"],
    ["/store", ["/"], "/store"],
  ];
  for (const [path, closed, entry] of cases)
    test(`${path} behind ${closed.join(", ") || "nothing"}`, () =>
      assert.equal(
        entryTo(path, (folder) => !closed.includes(folder)),
        entry,
      ));
});

describe("store folder", () => {
  const folder = mkdtempSync(join(tmpdir(), "netd-unit-"));
  test("is created with its parents, for the gateway alone", () => {
    prepareStoreFolder(join(folder, "a", "b"), undefined);
    assert.equal(statSync(join(folder, "a", "b")).mode & 0o777, 0o700);
    prepareStoreFolder(join(folder, "a", "b"), undefined);
  });
  test("is not a folder with other things in it", () => {
    writeFileSync(join(folder, "passwd"), "");
    assert.throws(() => prepareStoreFolder(folder, undefined), {
      code: "EG46_STORE_FOLDER",
      message: /is no mapping store: the folder holds '(a|passwd)'/,
    });
  });
  for (const [name, path, message] of [
    ["a file", "passwd", /passwd is a file, or lies below one; the store is a folder/],
    ["below a file", "passwd/x", /x is a file, or lies below one/],
    ["two below a file", "passwd/x/y", /y is a file, or lies below one/],
  ] as const)
    test(`is not ${name}`, () =>
      assert.throws(() => prepareStoreFolder(join(folder, path), undefined), {
        code: "EG46_STORE_FOLDER",
        message,
      }));
  test("is not on a read-only file system", () =>
    assert.throws(() => prepareStoreFolder("/sys/eg46/store", undefined), { code: "EG46_STORE_FOLDER" }));
  after(() => rmSync(folder, { recursive: true }));
});

describe("plan from the unprivileged side", () => {
  const plan: NetworkPlan = { workers: 1, natSubnets: [], snatPool: [], automap: [], dnsIntercept: false };
  const route = { address: "192.0.2.2", alias: "100.64.46.1", worker: 0, ports: [20000, 29999] } as const;
  test("comes out in canonical text", () =>
    assert.deepEqual(
      checkPlan(
        {
          ...plan,
          natSubnets: ["10.9.1.1/16"],
          snatPool: [{ address: "2001:DB8:0::7", worker: 0 }],
          shared: { addresses: ["2001:DB8:0::7"], slices: [{ worker: 0, ports: [1, 2] }] },
          automap: [route],
        },
        1,
      ),
      {
        ...plan,
        natSubnets: ["10.9.0.0/16"],
        snatPool: [{ address: "2001:db8::7", worker: 0 }],
        shared: { addresses: ["2001:db8::7"], slices: [{ worker: 0, ports: [1, 2] }] },
        automap: [route],
      },
    ));
  const text = "20000; flush ruleset" as unknown as number;
  const refused: [string, Partial<NetworkPlan>, RegExp][] = [
    ["workers", { workers: 2 }, /workers 2 is not in 1–1/],
    ["a worker that isn't", { snatPool: [{ address: "192.0.2.7", worker: 1 }] }, /worker 1 is not in 0–0/],
    [
      "a prefix as address",
      { snatPool: [{ address: "192.0.2.0/24", worker: 0 }] },
      /'192\.0\.2\.0\/24' is not an address/,
    ],
    [
      "commands as address",
      { snatPool: [{ address: "192.0.2.7\nrule flush", worker: 0 }] },
      /not an address prefix/,
    ],
    [
      "commands as port",
      { automap: [{ ...route, ports: [text, text] }] },
      /automap port .* is not in 1–65535/,
    ],
    [
      "ports backwards",
      { automap: [{ ...route, ports: [30000, 20000] }] },
      /automap port 20000 is not in 30000–65535/,
    ],
    [
      "commands as shared address",
      { shared: { addresses: ["192.0.2.7 accept"], slices: [] } },
      /not an address prefix/,
    ],
    [
      "commands as shared port",
      { shared: { addresses: [], slices: [{ worker: 0, ports: [1, text] }] } },
      /shared port .* is not in 1–65535/,
    ],
    ["alias of the other family", { automap: [{ ...route, alias: "fd46::1" }] }, /of another family/],
    ["no subnet", { natSubnets: ["ten"] }, /'ten' is not an address prefix/],
  ];
  for (const [name, change, message] of refused)
    test(`refused: ${name}`, () =>
      assert.throws(() => checkPlan({ ...plan, ...change }, 1), { code: "EG46_HOST_NETWORK", message }));
});

describe("texts", () => {
  for (const [code, words] of [
    ["ENOENT", /modprobe tun/],
    ["EACCES", /may not be opened \(EACCES\)/],
    ["EPERM", /c 10:200/],
  ] as const)
    test(`/dev/net/tun ${code}`, () => assert.match(tunRemedy(code), words));
  test("sysctl names of interfaces with a dot", () =>
    assert.equal(sysctlName("net/ipv4/conf/eth0.7/rp_filter"), "net.ipv4.conf.eth0/7.rp_filter"));
  test("DNS sockets: TCP for any address on each interface, UDP for each own address", () => {
    const facts = { name: "in0", mtu: 1500, addresses: ["10.0.0.1/24", "fd00::1/64"] };
    assert.deepEqual(
      wantedDnsSockets([facts], true).map(
        ({ transport, device, address }) => `${transport} ${device} ${address}`,
      ),
      ["tcp in0 0.0.0.0", "tcp in0 ::", "udp in0 10.0.0.1", "udp in0 fd00::1"],
    );
    assert.equal(
      wantedDnsSockets([facts], false).filter(({ family, transport }) => family === 6 && transport === "tcp")
        .length,
      0,
    );
  });
});
