import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdtempSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { ipv6ToBytes } from "../../src/addresses.ts";
import type { HostFacts, NetworkPlan } from "../../src/netd/protocol.ts";
import { needs } from "../support/exec.ts";
import { buildTopology, capture, labAddresses, type Topology } from "../support/topology.ts";

const host = fileURLToPath(new URL("./netd-host.js", import.meta.url));
const self4 = labAddresses.gateway.external4;
const self6 = labAddresses.gateway.external6;
const { router4, router6 } = labAddresses.internet;
const pool4 = router4.replace(/\d+$/, "77");
const pool6 = router6.replace(/::.*$/, "::7777");
/** On the external link; nobody has it. */
const host6 = router6.replace(/::.*$/, "::99");
const ports: readonly [number, number] = [20000, 20999];
const quiet: NetworkPlan = { workers: 1, natSubnets: [], snatPool: [], automap: [], dnsIntercept: false };
const full: NetworkPlan = {
  ...quiet,
  natSubnets: ["10.46.0.0/16"],
  snatPool: [
    { address: pool4, worker: 0 },
    { address: pool6, worker: 0 },
  ],
  automap: [
    { address: self4, alias: "100.64.46.1", worker: 0, ports },
    { address: self6, alias: "fd46::1", worker: 0, ports },
  ],
};

/** A route that ours to the same address would collide with. */
const someoneElses = "route add 192.0.2.200 dev external metric 46";
const conflicting = [
  { address: "192.0.2.201", worker: 0 },
  { address: "192.0.2.200", worker: 0 },
];

interface Note {
  readonly start?: HostFacts;
  readonly facts?: HostFacts;
  readonly uid?: number;
  readonly status?: string;
  readonly tun?: string;
  readonly packet?: string;
  readonly planned?: number;
  readonly error?: string;
  readonly tcp?: string;
  readonly wrote?: number;
}

interface Seen {
  readonly tun: string;
  /** The virtio header. */
  readonly vnet: Buffer;
  /** From the IP header on. */
  readonly ip: Buffer;
}

let topology: Topology;

interface Netd {
  readonly child: ChildProcess;
  readonly exited: Promise<unknown>;
  stderr(): string;
  /** What the gateway noted down since the last call of `forget`. */
  notes(): Note[];
  forget(): void;
  plan(plan: NetworkPlan): Promise<Note>;
  /** Makes the gateway write a packet, without its virtio header, to the TUN. */
  inject(packet: Buffer, vnet?: Buffer): void;
  /** Makes the next gateway die at its start, in the phase named. */
  dieNext(phase: string): void;
  packet(what: string, matches: (seen: Seen) => boolean): Promise<Seen>;
}

async function startNetd(plan: NetworkPlan, more: object = {}, workers = 1): Promise<Netd> {
  const folder = mkdtempSync(join(topology.folder, "netd-"));
  chmodSync(folder, 0o777);
  const file = join(folder, "plan.json");
  writeFileSync(file, JSON.stringify(plan));
  writeFileSync(`${file}.log`, "");
  chmodSync(`${file}.log`, 0o666);
  const options = {
    topology: { internal: topology.internal, internalNets: [], external: [topology.external] },
    cleanup: false,
    gateway: {
      files: [file],
      store: `lmdb:${folder}/store`,
      workers,
      admin: "127.0.0.1:9046",
      logLevel: "debug",
    },
    ...more,
  };
  const [program = "", ...args] = topology.gateway.inside([process.execPath, host, JSON.stringify(options)]);
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  const exited = once(child, "exit");
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  topology.cleanup.defer(() => child.kill("SIGKILL"));
  let from = 0;
  let plans = 1;
  const notes = () =>
    readFileSync(`${file}.log`, "utf8")
      .split("\n")
      .slice(from)
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Note);
  const netd: Netd = {
    child,
    exited,
    stderr: () => stderr,
    notes,
    forget() {
      from = readFileSync(`${file}.log`, "utf8").split("\n").length - 1;
    },
    async plan(next) {
      plans++;
      writeFileSync(`${file}.new`, JSON.stringify(next));
      renameSync(`${file}.new`, file);
      return eventually(`answer to plan ${plans}`, () => notes().find((note) => note.planned === plans));
    },
    inject(packet, vnet = Buffer.alloc(12)) {
      writeFileSync(`${file}.hex`, Buffer.concat([vnet, packet]).toString("hex"));
      renameSync(`${file}.hex`, `${file}.echo`);
    },
    dieNext(phase) {
      writeFileSync(`${file}.die`, phase);
    },
    packet: (what, matches) => eventually(what, () => seen(notes()).find(matches)),
  };
  await Promise.race([
    eventually("the ready line", () => (stdout.includes("egress46 ready") ? true : undefined)),
    exited.then(() => {
      throw new Error(`netd ended: ${stderr}`);
    }),
  ]).catch((error) => {
    throw new Error(`${error}\n${stderr}`);
  });
  assert.equal(stdout, "egress46 ready (test)\n");
  return netd;
}

function seen(notes: readonly Note[]): Seen[] {
  return notes.flatMap(({ tun, packet }) => {
    if (tun === undefined || packet === undefined) return [];
    const bytes = Buffer.from(packet, "hex");
    return [{ tun, vnet: bytes.subarray(0, 12), ip: bytes.subarray(12) }];
  });
}

async function eventually<Result>(what: string, look: () => Result | undefined): Promise<Result> {
  for (const until = performance.now() + 10_000; performance.now() < until; await sleep(20)) {
    const result = look();
    if (result !== undefined) return result;
  }
  throw new Error(`${what} did not come within 10 s`);
}

const v4 = (address: string) => Buffer.from(address.split(".").map(Number));
const v6 = (address: string) => Buffer.from(ipv6ToBytes(address));
const isTo4 =
  (address: string, protocol: number) =>
  ({ ip }: Seen) =>
    ip[0] === 0x45 && ip[9] === protocol && ip.subarray(16, 20).equals(v4(address));
const isTo6 =
  (address: string, protocol: number) =>
  ({ ip }: Seen) =>
    ip[0]! >> 4 === 6 && ip[6] === protocol && ip.subarray(24, 40).equals(v6(address));

function checksum(...parts: Buffer[]): number {
  const bytes = Buffer.concat(parts);
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += (bytes[at]! << 8) | (bytes[at + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

function pseudoHeaderSum(ip: Buffer): number {
  const four = ip[0]! >> 4 === 4;
  const length = Buffer.alloc(4);
  length.writeUInt16BE(ip.length - (four ? 20 : 40), 0);
  length.writeUInt16BE(17, 2);
  return ~checksum(four ? ip.subarray(12, 20) : ip.subarray(8, 40), length) & 0xffff;
}

/** An IP packet with the payload's checksum filled in at `checksumAt`. */
function packet(from: string, to: string, protocol: number, payload: Buffer, checksumAt: number): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt16BE(payload.length, 0);
  length.writeUInt16BE(protocol, 2);
  if (from.includes(":")) {
    const header = Buffer.alloc(40);
    header[0] = 0x60;
    header.writeUInt16BE(payload.length, 4);
    header[6] = protocol;
    header[7] = 64;
    v6(from).copy(header, 8);
    v6(to).copy(header, 24);
    payload.writeUInt16BE(checksum(header.subarray(8), length, payload), checksumAt);
    return Buffer.concat([header, payload]);
  }
  const header = Buffer.alloc(20);
  header[0] = 0x45;
  header.writeUInt16BE(20 + payload.length, 2);
  header[8] = 64;
  header[9] = protocol;
  v4(from).copy(header, 12);
  v4(to).copy(header, 16);
  header.writeUInt16BE(checksum(header), 10);
  const pseudo = protocol === 1 ? [] : [header.subarray(12), length];
  payload.writeUInt16BE(checksum(...pseudo, payload), checksumAt);
  return Buffer.concat([header, payload]);
}

function udp(from: string, to: string, sourcePort: number, destinationPort: number): Buffer {
  const payload = Buffer.alloc(12, "data");
  payload.writeUInt16BE(sourcePort, 0);
  payload.writeUInt16BE(destinationPort, 2);
  payload.writeUInt16BE(12, 4);
  payload.writeUInt16BE(0, 6);
  return packet(from, to, 17, payload, 6);
}

function echoRequest(from: string, to: string, id: number): Buffer {
  const payload = Buffer.alloc(16);
  payload[0] = from.includes(":") ? 128 : 8;
  payload.writeUInt16BE(id, 4);
  return packet(from, to, from.includes(":") ? 58 : 1, payload, 2);
}

async function snapshot(): Promise<string> {
  const { gateway } = topology;
  const commands = [
    "ip -4 rule",
    "ip -6 rule",
    "ip -4 route show table all",
    "ip -6 route show table all",
    "nft list ruleset",
    "ip -br link",
    "ip -4 neigh show proxy",
    "ip -6 neigh show proxy",
  ];
  return (
    await Promise.all(commands.map(async (line) => `${line}\n${await gateway.run(line.split(" "))}`))
  ).join("\n");
}

const bash = (script: string) => ["timeout", "5", "bash", "-c", script];
const tcpHello = (to: string) => bash(`exec 3<>/dev/tcp/${to}/53; head -1 <&3`);
const udpHello = (to: string) => bash(`exec 3<>/dev/udp/${to}/53; echo >&3; head -1 <&3`);
const udpTo = (to: string, port: number) => bash(`echo hello > /dev/udp/${to}/${port}`);

describe(
  "netd in a network namespace",
  needs("root", "tun", "ip", "nft", "tcpdump", "ping", "bash", "timeout"),
  () => {
    let untouched: string;
    let netd: Netd;

    before(async () => {
      topology = await buildTopology({ prefix: "netd", podIpv6: true, resolver: false });
      untouched = await snapshot();
      netd = await startNetd(full);
    });
    after(() => topology?.close());

    const pod = () => topology.pods[0];
    const { internet } = { internet: () => topology.internet };

    test("the gateway runs without privileges and knows the host", () => {
      const start = netd.notes().find((note) => note.start !== undefined);
      assert.equal(start?.uid, 65534);
      const field = (name: string) => new RegExp(`^${name}:\\s*(\\S+)`, "m").exec(start?.status ?? "")?.[1];
      for (const set of ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"])
        assert.match(field(set)!, /^0+$/, set);
      assert.equal(field("NoNewPrivs"), "1");
      assert.deepEqual(
        start?.start?.internalNets,
        [pod().net4, pod().net6].map((net) => net),
      );
      assert.deepEqual(start?.start?.external, [
        { name: "external", mtu: 1500, addresses: [`${self4}/24`, `${self6}/64`] },
      ]);
      assert.ok(start?.start?.automapPorts);
    });

    test("IPv4 of a Pod enters the TUN behind a virtio header", async () => {
      await pod().run(udpTo("203.0.113.9", 4000));
      const { vnet, ip } = await netd.packet("UDP", isTo4("203.0.113.9", 17));
      assert.equal(vnet.length, 12);
      assert.equal(ip.readUInt16BE(2), ip.length);
    });

    test("IPv6 of a Pod enters the TUN", async () => {
      await pod().run(udpTo("2001:db8:ffff::9", 4000));
      await netd.packet("UDP", isTo6("2001:db8:ffff::9", 17));
    });

    for (const [name, address, is] of [
      ["IPv4", pool4, isTo4],
      ["IPv6", pool6, isTo6],
    ] as const)
      test(`${name} from outside to a pool address is asked for on the link and enters the TUN`, async () => {
        await internet().run(udpTo(address, 4001));
        await netd.packet("UDP", is(address, 17));
      });

    for (const [name, address, alias, is] of [
      ["IPv4", self4, "100.64.46.1", isTo4],
      ["IPv6", self6, "fd46::1", isTo6],
    ] as const) {
      test(`automap ${name}: UDP to a port of ours arrives at the alias, checksum right`, async () => {
        await internet().run(udpTo(address, 20005));
        const { vnet, ip } = await netd.packet("UDP", is(alias, 17));
        // VIRTIO_NET_HDR_F_NEEDS_CSUM: the field holds the sum over the pseudo header, with the alias in it.
        assert.equal(vnet[0], 1);
        assert.equal(ip.readUInt16BE(vnet.readUInt16LE(6) + 6), pseudoHeaderSum(ip));
      });
      test(`automap ${name}: TCP to a port of ours arrives at the alias`, async () => {
        await internet().execute(bash(`timeout 0.5 bash -c 'exec 3<>/dev/tcp/${address}/20006'`));
        await netd.packet("SYN", is(alias, 6));
      });
      test(`automap ${name}: another port is the host's`, async () => {
        netd.forget();
        await internet().run(udpTo(address, 19999));
        await internet().run(udpTo(address, 20007));
        await netd.packet("UDP", is(alias, 17));
        assert.equal(seen(netd.notes()).filter(is(alias, 17)).length, 1);
      });
      test(`automap ${name}: an echo reply by identifier`, async () => {
        netd.forget();
        netd.inject(echoRequest(address, name === "IPv4" ? router4 : router6, 20010));
        await netd.packet("echo reply", is(alias, name === "IPv4" ? 1 : 58));
      });
      test(`automap ${name}: an ICMP error about a datagram of ours`, async () => {
        netd.forget();
        netd.inject(udp(address, name === "IPv4" ? router4 : router6, 20011, 9));
        await netd.packet("port unreachable", is(alias, name === "IPv4" ? 1 : 58));
      });
      test(`automap ${name}: what the engine hands back is the host's`, async () => {
        const wire = await capture(
          topology.internet,
          "eth0",
          name === "IPv4" ? "icmp[icmptype] == 0" : "icmp6[icmp6type] == 129",
        );
        netd.inject(echoRequest(name === "IPv4" ? router4 : router6, address, 7));
        await sleep(500);
        assert.equal((await wire.stop()).length, 1);
      });
    }

    test("a NAT subnet inside the Pods' own link is answered for there", async () => {
      const natSubnets = [pod().net4.replace("0/24", "192/26")];
      assert.equal((await netd.plan({ ...full, natSubnets })).error, undefined);
      const address = pod().net4.replace("0/24", "200");
      await pod().run(udpTo(address, 4000));
      await netd.packet("UDP", isTo4(address, 17));
      assert.equal((await netd.plan(full)).error, undefined);
    });

    test("TCP to port 53 is traffic like any other without interception", async () => {
      await pod().execute(bash("timeout 0.5 bash -c 'exec 3<>/dev/tcp/1.2.3.4/53'"));
      await netd.packet("SYN", isTo4("1.2.3.4", 6));
    });

    test("DNS interception: TCP to any resolver and UDP to the gateway's own addresses reach the child", async () => {
      assert.equal((await netd.plan({ ...full, dnsIntercept: true })).error, undefined);
      assert.equal(await pod().run(tcpHello("1.2.3.4")), "tcp 1.2.3.4\n");
      assert.equal(await pod().run(tcpHello("2001:db8:dead::53")), "tcp 2001:db8:dead::53\n");
      assert.equal(await pod().run(tcpHello(pod().gateway4)), `tcp ${pod().gateway4}\n`);
      assert.equal(await pod().run(udpHello(pod().gateway4)), `udp ${pod().gateway4}\n`);
      assert.equal(await pod().run(udpHello(pod().gateway6)), `udp ${pod().gateway6}\n`);
    });

    test("DNS interception: refused from outside", async () => {
      assert.notEqual((await topology.internet.execute(tcpHello(self4))).code, 0);
      assert.notEqual((await topology.internet.execute(tcpHello(self6))).code, 0);
    });

    test("DNS interception: an address that comes later is served, and told to the gateway", async () => {
      netd.forget();
      await topology.gateway.ip([`addr add 172.30.0.1/24 dev ${topology.internal[0]}`]);
      await eventually("facts", () =>
        netd.notes().find((note) => note.facts?.internalNets.includes("172.30.0.0/24")),
      );
      try {
        // The gateway hears of the address and opens its socket: a moment after it was told.
        let answer = "";
        for (let tries = 0; tries < 20 && answer === ""; tries++, await sleep(100))
          answer = (await pod().execute(udpHello("172.30.0.1"))).stdout;
        assert.equal(answer, "udp 172.30.0.1\n");
      } finally {
        await topology.gateway.ip([`addr del 172.30.0.1/24 dev ${topology.internal[0]}`]);
      }
    });

    test("DNS interception: a respawned gateway gets the sockets again", async () => {
      netd.forget();
      const start = await findChild(netd);
      process.kill(start, "SIGKILL");
      await eventually("a new start", () => netd.notes().find((note) => note.planned === 1));
      assert.equal(await pod().run(tcpHello("1.2.3.4")), "tcp 1.2.3.4\n");
    });

    test("a gateway that dies early: the log says what it was doing", async () => {
      netd.forget();
      netd.dieNext("opening the store lmdb:/nowhere");
      process.kill(await findChild(netd), "SIGKILL");
      await eventually("a new start", () => netd.notes().find((note) => note.planned === 1));
      assert.match(
        netd.stderr(),
        /ended \(SIGKILL\) while opening the store lmdb:\/nowhere; traffic is refused/,
      );
    });

    test("DNS interception ends", async () => {
      netd = await restart(netd);
      netd.forget();
      await pod().execute(bash("timeout 0.5 bash -c 'exec 3<>/dev/tcp/1.2.3.4/53'"));
      await netd.packet("SYN", isTo4("1.2.3.4", 6));
      assert.notEqual((await pod().execute(tcpHello(pod().gateway4))).code, 0);
    });

    test("a plan that cannot be carried out is undone and says why", async () => {
      await topology.gateway.ip([someoneElses]);
      const before = await snapshot();
      const answer = await netd.plan({ ...full, snatPool: [...full.snatPool, ...conflicting] });
      assert.match(answer.error ?? "", /route add 192\.0\.2\.200 .*File exists/);
      assert.equal(await snapshot(), before);
      await topology.gateway.ip([someoneElses.replace("add", "del")]);
      assert.match((await netd.plan({ ...full, workers: 2 })).error ?? "", /workers 2 is not in 1–1/);
      assert.equal((await netd.plan(full)).error, undefined);
    });

    test("DNS interception: a port that another process has is named", async () => {
      const script = `require("net").createServer().listen(53, "${pod().gateway4}", () => console.log("listens"))`;
      const [program = "", ...args] = topology.gateway.inside([process.execPath, "-e", script]);
      const other = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
      await once(other.stdout, "data");
      const { error } = await netd.plan({ ...full, dnsIntercept: true });
      other.kill("SIGKILL");
      await once(other, "exit");
      assert.match(error ?? "", /cannot serve DNS at tcp port 53 on internal0 .*: another process has it/);
      assert.equal((await netd.plan(full)).error, undefined);
    });

    test("a second gateway in the namespace is refused and changes nothing", async () => {
      const before = await snapshot();
      await assert.rejects(startNetd(quiet), /EG46_ALREADY_RUNNING: another gateway runs/);
      assert.equal(await snapshot(), before);
    });

    test("kill -9: no inner source on the external wire while the Pod keeps sending; a restart works over the remains", async () => {
      const wire = await capture(topology.internet, "eth0", `src net ${pod().net4} or src net ${pod().net6}`);
      const control = await capture(topology.internet, "eth0", "udp port 4444");
      const flood = pod().run(
        bash(
          `for i in $(seq 150); do echo x > /dev/udp/${router4}/4444; echo x > /dev/udp/${host6}/4444; sleep 0.02; done`,
        ),
      );
      await sleep(300);
      const child = await findChild(netd);
      netd.child.kill("SIGKILL");
      await netd.exited;
      await eventually("the end of the child", () => (existsSync(`/proc/${child}`) ? undefined : true));
      await flood;
      assert.deepEqual(await wire.stop(), []);
      assert.deepEqual(await control.stop(), []);
      const remains = await snapshot();
      assert.match(remains, /blackhole default table 4600/);
      assert.match(remains, /chain guard/);
      netd = await startNetd(full);
      await pod().run(udpTo("203.0.113.10", 4000));
      await netd.packet("UDP", isTo4("203.0.113.10", 17));
    });

    test("kill -9 and no rule left: the guard alone keeps inner sources off the external wire", async () => {
      netd.child.kill("SIGKILL");
      await netd.exited;
      await topology.gateway.run(["ip", "-4", "rule", "flush", "protocol", "46"]);
      await topology.gateway.run(["ip", "-6", "rule", "flush", "protocol", "46"]);
      const wire = await capture(topology.internet, "eth0", `src net ${pod().net4} or src net ${pod().net6}`);
      for (const to of [router4, host6]) await pod().run(udpTo(to, 4444));
      assert.deepEqual(await wire.stop(), []);
      assert.match(
        await topology.gateway.run(["nft", "list", "table", "inet", "egress46"]),
        /counter guard \{\s+packets [1-9]/,
      );
      netd = await startNetd(full);
    });

    test("a firewall reload that flushes everything: the guard comes back by itself", async () => {
      await topology.gateway.run(["nft", "flush", "ruleset"]);
      const until = performance.now() + 20_000;
      while (!(await snapshot()).includes("chain guard") && performance.now() < until) await sleep(200);
      assert.match(await snapshot(), /chain guard/);
    });

    test("SIGTERM ends it within 2 s; without --cleanup traffic stays refused", async () => {
      const began = performance.now();
      netd.child.kill("SIGTERM");
      assert.deepEqual(await netd.exited, [0, null]);
      assert.ok(performance.now() - began < 2000);
      assert.match(await snapshot(), /chain guard/);
    });

    test("two workers: each Pod stays on its worker; --cleanup leaves nothing", async () => {
      netd = await startNetd({ ...full, workers: 2, dnsIntercept: true }, { cleanup: true }, 2);
      const sources = Array.from({ length: 8 }, (_, index) =>
        pod().ipv4.replace(/\d+$/, String(100 + index)),
      );
      await pod().ip(sources.map((source) => `addr add ${source}/24 dev eth0`));
      for (const source of [...sources, ...sources])
        await pod().execute(["ping", "-c", "1", "-W", "0.1", "-I", source, "203.0.113.11"]);
      const pings = await eventually("16 echo requests", () => {
        const all = seen(netd.notes()).filter(isTo4("203.0.113.11", 1));
        return all.length === 16 ? all : undefined;
      });
      const tunsOf = (source: string) =>
        new Set(pings.filter(({ ip }) => ip.subarray(12, 16).equals(v4(source))).map(({ tun }) => tun)).size;
      assert.deepEqual(
        sources.map(tunsOf),
        sources.map(() => 1),
      );
      assert.deepEqual(new Set(pings.map(({ tun }) => tun)), new Set(["eg46-0", "eg46-1"]));
      netd.child.kill("SIGINT");
      assert.deepEqual(await netd.exited, [0, null]);
      assert.equal(await snapshot(), untouched);
      // With nothing left the kernel forwards again: what the captures above didn't see was there to be seen.
      const wire = await capture(topology.internet, "eth0", `src net ${pod().net4} and udp port 4444`);
      await pod().run(udpTo(router4, 4444));
      assert.equal((await wire.stop()).length, 1);
    });

    test("one interface for both sides: Pods are told by their prefix", async () => {
      const inner = "10.77.0.0/24";
      await topology.gateway.ip([`addr add 10.77.0.1/24 dev ${topology.external}`]);
      await topology.internet.ip([
        "addr add 10.77.0.10/24 dev eth0",
        "route add 203.0.113.0/24 via 10.77.0.1 src 10.77.0.10",
        `route add 203.0.112.0/24 via ${self4} src ${router4}`,
        "route add 1.2.3.4 via 10.77.0.1 src 10.77.0.10",
        `route add 1.2.3.5 via ${self4} src ${router4}`,
      ]);
      const egress = { address: "10.77.0.200", worker: 0 };
      netd = await startNetd(
        { ...quiet, snatPool: [egress], dnsIntercept: true },
        { topology: { internal: [], internalNets: [inner], external: [] }, cleanup: true },
      );
      await topology.internet.run(udpTo("203.0.112.9", 4000));
      await topology.internet.run(udpTo("203.0.113.9", 4000));
      await netd.packet("UDP", isTo4("203.0.113.9", 17));
      assert.deepEqual(seen(netd.notes()).filter(isTo4("203.0.112.9", 17)), []);
      assert.equal(await topology.internet.run(tcpHello("1.2.3.4")), "tcp 1.2.3.4\n");
      assert.notEqual((await topology.internet.execute(tcpHello(self4))).code, 0);
      // Out of the TUN: an egress address inside the inner prefix passes the guard, a Pod's address doesn't.
      const wire = await capture(topology.internet, "eth0", "udp port 4555");
      netd.inject(udp("10.77.0.10", router4, 4555, 9));
      await eventually("the first packet", () => netd.notes().find((note) => note.wrote !== undefined));
      netd.inject(udp(egress.address, router4, 4555, 9));
      await sleep(500);
      const lines = await wire.stop();
      assert.equal(lines.length, 1);
      assert.match(lines[0]!, /10\.77\.0\.200/);
      netd.child.kill("SIGTERM");
      await netd.exited;
      await topology.gateway.ip([`addr del 10.77.0.1/24 dev ${topology.external}`]);
    });

    test("a start that fails is undone, sysctls too", async () => {
      await topology.gateway.ip([someoneElses]);
      await topology.gateway.sysctl({ "ipv4/ip_forward": 0 });
      const before = await snapshot();
      await assert.rejects(startNetd({ ...full, snatPool: conflicting }), /netd ended: [\s\S]*File exists/);
      assert.equal(await snapshot(), before);
      assert.equal((await topology.gateway.run(["cat", "/proc/sys/net/ipv4/ip_forward"])).trim(), "0");
    });

    async function restart(old: Netd): Promise<Netd> {
      old.child.kill("SIGTERM");
      await old.exited;
      return startNetd(full);
    }
  },
);

/** The gateway process of a netd. */
async function findChild(netd: Netd): Promise<number> {
  const text = await topology.gateway.run(["ip", "netns", "pids", topology.gateway.name]);
  const others = text
    .split("\n")
    .filter(Boolean)
    .map(Number)
    .filter((pid) => pid !== netd.child.pid);
  const child = others.find(
    (pid) =>
      existsSync(`/proc/${pid}/status`) &&
      /^PPid:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] === String(netd.child.pid),
  );
  assert.ok(child !== undefined, "there is a gateway process");
  return child;
}
