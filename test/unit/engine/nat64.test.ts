/** NAT64's own rules (RFC 6146, RFC 6052): prefix lengths, changes of the prefix, bindings. The rest is in the matrices. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { VirtualServer } from "../../../src/engine/layout.gen.ts";
import { readPoolUse } from "../../../src/engine/pool-use.ts";
import { decode } from "../../support/decode.ts";
import { far4, type Lab, poolEntry, snat4, snat6, startLab } from "../../support/engine.ts";
import {
  checkIn,
  checkOut,
  type Flow,
  flow44,
  flow64,
  flow66,
  fromPod,
  fromRemote,
  only,
  openFlow,
} from "../../support/flows.ts";
import { SYN } from "../../support/packets.ts";

const alive = (lab: Lab) => lab.counters().alive[VirtualServer.EGRESS_IPV6_NAT64];

describe("prefix lengths: the examples of RFC 6052 §2.4", () => {
  const remote = "192.0.2.33";
  for (const [prefix, seen] of [
    ["2001:db8::/32", "2001:db8:c000:221::"],
    ["2001:db8:100::/40", "2001:db8:1c0:2:21::"],
    ["2001:db8:122::/48", "2001:db8:122:c000:2:2100::"],
    ["2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"],
    ["2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100::"],
    ["2001:db8:122:344::/96", "2001:db8:122:344::c000:221"],
  ] as const)
    for (const protocol of ["tcp", "udp", "icmp"] as const)
      test(`${prefix}, ${protocol}: ${seen}`, async () => {
        const lab = await startLab();
        // The lab's own IPv6 addresses lie in the shortest of the prefixes.
        lab.configure({ nat64: prefix, pool: [poolEntry(snat4)] });
        const flow: Flow = { ...flow64, seen, remote };
        const outer = openFlow(lab, flow, protocol, 4000);
        checkOut(lab, flow, fromPod(flow, protocol, 4000), outer);
        checkIn(lab, flow, fromRemote(flow, protocol, outer), 4000);
      });
  test("64:ff9b::/96", async () => {
    const lab = await startLab();
    lab.configure({ nat64: "64:ff9b::/96" });
    const hosts = ["1.1.1.1", "9.255.255.255", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1"];
    for (const remote of [...hosts, "192.0.1.1", "192.167.0.1", "198.17.0.1", "198.20.0.1", "203.0.114.1"])
      openFlow(lab, { ...flow64, seen: `64:ff9b::${remote}`, remote }, "udp", 4000);
  });
});

describe("another prefix", () => {
  const flow: Flow = { ...flow64, seen: "2001:db8:65::c000:250" };
  const nat64 = "2001:db8:65::/96";

  test("sessions of the old one end: no packet reaches a Pod from where it never sent one", async () => {
    const lab = await startLab();
    const outer = openFlow(lab, flow64, "udp", 4000);
    lab.configure({ nat64 });
    assert.deepEqual(lab.push([fromRemote(flow64, "udp", outer)]).drops, { INBOUND_NO_SESSION: 1 });
    lab.sweep(0);
    assert.equal(alive(lab), 0);
  });

  for (const protocol of ["tcp", "udp", "icmp"] as const)
    test(`${protocol}: the same ends meet again by the new one, also back and forth`, async () => {
      const lab = await startLab();
      openFlow(lab, flow64, protocol, 4000);
      for (const [prefix, now] of [
        [nat64, flow],
        ["2001:db8:64::/96", flow64],
        [nat64, flow],
      ] as const) {
        lab.configure({ nat64: prefix });
        const outer = openFlow(lab, now, protocol, 4000);
        checkOut(lab, now, fromPod(now, protocol, 4000), outer);
        checkIn(lab, now, fromRemote(now, protocol, outer), 4000);
      }
      lab.sweep(0);
      assert.equal(alive(lab), 1);
      const memory = { buffer: lab.engine.bytes.buffer, layout: lab.engine.layout };
      const use = readPoolUse(memory).find(({ address }) => address === snat4);
      assert.deepEqual(use?.[protocol], { inUse: 1, allocated: 4, exhausted: 0 });
    });

  test("two changes before the sweep, and a pool address that goes: nothing comes back to life", async () => {
    const lab = await startLab();
    const outer = openFlow(lab, flow64, "udp", 4000);
    lab.configure({ nat64 });
    lab.configure({ nat64: "2001:db8:66::/96" });
    lab.configure({ pool: [poolEntry(snat6)] });
    lab.configure({ pool: [poolEntry(snat4), poolEntry(snat6)] });
    assert.deepEqual(lab.push([fromRemote(flow64, "udp", outer)]).drops, { INBOUND_NO_SESSION: 1 });
  });

  test("other sessions go on; so do its own when other settings change", async () => {
    const lab = await startLab();
    const others = [flow44, flow66].map((each) => [each, openFlow(lab, each, "udp", 4000)] as const);
    const outer = openFlow(lab, flow64, "udp", 4000);
    lab.configure({ dualStack: false, mtuInner: 1400 });
    only(lab, fromRemote(flow64, "udp", outer));
    lab.configure({ nat64: undefined });
    for (const [each, port] of others) only(lab, fromRemote(each, "udp", port));
    assert.deepEqual(lab.push([fromRemote(flow64, "udp", outer)]).drops, { INBOUND_NO_SESSION: 1 });
    assert.deepEqual(lab.push([fromPod(flow64, "udp", 4000)]).drops, { DUAL_STACK_DISABLED: 1 });
  });
});

describe("bindings", () => {
  const at = (host: number): Flow => ({
    ...flow64,
    seen: `2001:db8:64::c000:2${host.toString(16).padStart(2, "0")}`,
    remote: `192.0.2.${host}`,
  });
  for (const protocol of ["udp", "icmp"] as const)
    test(`${protocol}: one outer port for all IPv4 hosts (RFC 6146 §3.5.1, RFC 4787 REQ-1)`, async () => {
      const lab = await startLab();
      const ports = Array.from({ length: 20 }, (_, index) => openFlow(lab, at(index + 1), protocol, 4000));
      assert.equal(new Set(ports).size, 1);
      assert.notEqual(openFlow(lab, at(1), protocol, 4001), ports[0]);
    });

  test("a Pod's one endpoint has a port in each IP version", async () => {
    const lab = await startLab();
    const ports = { four: openFlow(lab, flow64, "udp", 4000), six: openFlow(lab, flow66, "udp", 4000) };
    checkIn(lab, flow64, fromRemote(flow64, "udp", ports.four), 4000);
    checkIn(lab, flow66, fromRemote(flow66, "udp", ports.six), 4000);
  });

  test("tcp: IPv4 and IPv6 Pods share the ports of an address, each has its own towards one host", async () => {
    const lab = await startLab();
    lab.configure({ pool: [poolEntry(snat4, { firstPort: 9000, lastPort: 9003 })] });
    const ports = [flow44, flow64].flatMap((flow) =>
      [4000, 4001].map((port) => openFlow(lab, flow, "tcp", port)),
    );
    assert.deepEqual(ports.sort(), [9000, 9001, 9002, 9003]);
    const full = lab.push([fromPod(flow64, "tcp", 4002, { tcpFlags: SYN })]);
    assert.deepEqual(full.drops, { SNAT_PORTS_EXHAUSTED: 1 });
  });
});

test("without dualStackEnabled NAT64 alone leaves", async () => {
  const lab = await startLab();
  lab.configure({ dualStack: false });
  assert.equal(decode(only(lab, fromPod(flow64, "udp", 4000))).destination, far4);
  assert.deepEqual(lab.push([fromPod(flow66, "udp", 4000)]).drops, { DUAL_STACK_DISABLED: 1 });
});

test("a DNS question to a NAT64 address is for the DNS proxy while there is one", async () => {
  const lab = await startLab();
  const question = fromPod(flow64, "udp", 4000, { destinationPort: 53 });
  assert.equal(lab.push([question]).outputs.length, 1);
  lab.configure({ dns: true });
  assert.equal(lab.push([question]).questions.length, 1);
});
