/** Bulk TCP both ways over links of unequal MTUs: every byte arrives, and no path is a black hole. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { serveBulk, transferBulk } from "./bulk.ts";
import { needs } from "./exec.ts";
import { moveHostsBehind } from "./far-hosts.ts";
import { type GatewayLab, gatewayLab, poolResource } from "./gateway-lab.ts";
import { checksumErrors } from "./kernel-counters.ts";
import { labAddresses, type Netns } from "./topology.ts";

const tools = needs("root", "tun", "ip", "nft", "dig", "nstat");
const { web } = labAddresses;
const port = 7008;

interface Links {
  readonly inner: number;
  readonly outer: number;
  /** Behind the internet's router; behind it again comes one of 9000. */
  readonly beyond: number;
}
const arrangements: readonly Links[] = [
  { inner: 1500, outer: 1280, beyond: 9000 },
  { inner: 9000, outer: 1500, beyond: 1280 },
  { inner: 1280, outer: 9000, beyond: 1500 },
  { inner: 9000, outer: 9000, beyond: 1280 },
];

interface Target {
  readonly name: string;
  readonly seen: (pod: Netns) => Promise<string>;
  /** Bytes by which packets grow on the way out. */
  readonly growth: number;
}
const targets: readonly Target[] = [
  {
    name: "4→6",
    seen: async (pod) => (await pod.run(["dig", "+short", "v6only.example", "A"])).split("\n")[0] ?? "",
    growth: 20,
  },
  { name: "4→4", seen: async () => web.v4only, growth: 0 },
  { name: "6→6", seen: async () => web.v6only, growth: 0 },
];

/** `mebibytes` each way for each kind of flow; a rate below 4 MiB/s counts as a black hole. */
export function bulkTransfers(mebibytes: number): void {
  for (const { inner, outer, beyond } of arrangements)
    test(
      `${mebibytes} MiB each way, MTU ${inner} inside, ${outer} outside, ${beyond} beyond`,
      tools,
      async (t) => {
        const lab = await gatewayLab(t, {
          podIpv6: true,
          internalMtu: inner,
          externalMtu: outer,
          resources: { "pool.yaml": poolResource },
        });
        const { topology } = lab;
        const [pod] = topology.pods;
        const hosts = await moveHostsBehind(topology, beyond);
        // The kernel's own remedy for black holes would hide one.
        for (const end of [pod, hosts]) await end.sysctl({ "ipv4/tcp_mtu_probing": 0 });
        await serveBulk(hosts, topology.cleanup, port);
        for (const { name, seen, growth } of targets) {
          const address = await seen(pod);
          const started = performance.now();
          const { up, down } = await transferBulk(pod, address, port, mebibytes, 10_000 + mebibytes * 500);
          const seconds = (performance.now() - started) / 1000;
          t.diagnostic(`${name}: ${((2 * mebibytes) / seconds).toFixed(0)} MiB/s`);
          assert.equal(up.sent.bytes, mebibytes << 20);
          assert.deepEqual(up.received, up.sent, `${name}: what the host got`);
          assert.deepEqual(down.received, down.sent, `${name}: what the Pod got`);
          if (beyond < outer && beyond - growth < inner)
            assert.match(
              await pod.run(["ip", "route", "get", address]),
              new RegExp(`mtu ${beyond - growth}\\b`),
              name,
            );
        }
        assert.deepEqual(await checksumErrors(pod, topology.gateway, topology.internet, hosts), []);
        assert.deepEqual(await unexpectedDrops(lab), {});
      },
    );
}

/** A packet too big is what path MTU discovery costs. */
async function unexpectedDrops(lab: GatewayLab): Promise<Record<string, number>> {
  const { PACKET_TOO_BIG: _, ...others } = await lab.drops();
  return others;
}
