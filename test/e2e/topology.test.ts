/** What the other end-to-end tests stand on, with the kernel alone in the gateway's place. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { execute, mustExecute, needs } from "../support/exec.ts";
import {
  allowKernelForwarding,
  ask,
  buildTopology,
  capture,
  fetchPage,
  labAddresses,
  startInternet,
} from "../support/topology.ts";

const { dns, web } = labAddresses;

test("Pods reach every server of the internet once it has routes back", needs("root", "ip"), async () => {
  const topology = await buildTopology({ pods: 2, podIpv6: true });
  try {
    const internet = await startInternet(topology);
    await allowKernelForwarding(topology);
    for (const pod of topology.pods) {
      for (const [url, name, source] of [
        [`http://${web.dual4}/`, "dual.example", pod.ipv4],
        [`http://[${web.v6only}]/`, "v6only.example", pod.ipv6],
        [`http://[${web.manual}]:8080/`, "manual.example", pod.ipv6],
      ] as const) {
        const { status, body } = await fetchPage(pod, url);
        assert.equal(status, 200);
        assert.match(body, new RegExp(`Welcome to ${name}`));
        assert.equal(internet.visits.at(-1)?.source, source);
      }
      const { answers } = await ask(pod, dns[0], "dual.example", "AAAA");
      assert.deepEqual(
        answers.map(({ data }) => data),
        [web.dual6],
      );
      const { source, name, reply } = internet.exchanges.at(-1)!;
      assert.deepEqual([source, name], [pod.ipv4, "dual.example"]);
      assert.ok(reply instanceof Uint8Array && reply.length > 12);
    }
  } finally {
    topology.close();
  }
});

test(
  "a capture sees what leaks: the inner source on the external wire",
  needs("root", "ip", "ping", "tcpdump"),
  async () => {
    const topology = await buildTopology();
    try {
      const wire = await capture(topology.internet, "eth0", `src host ${topology.pods[0].ipv4}`);
      const { code } = await topology.pods[0].execute(["ping", "-c2", "-i0.2", "-W1", web.dual4]);
      assert.equal(code, 1, "there is no way back");
      const lines = await wire.stop();
      assert.equal(lines.filter((line) => line.includes("ICMP echo request")).length, 2, lines.join("\n"));
    } finally {
      topology.close();
    }
  },
);

test("closing removes namespaces, files and what still runs inside", needs("root", "ip"), async () => {
  const topology = await buildTopology();
  const [pod] = topology.pods;
  const sleeping = execute(pod.inside(["sleep", "600"]), { timeoutMs: 60_000 });
  while (
    !(await pod.run(["sh", "-c", "ps -o comm= $(ip netns pids $(ip netns identify $$)) || true"])).includes(
      "sleep",
    )
  );
  topology.close();
  assert.equal((await sleeping).code, null);
  assert.ok(!(await mustExecute(["ip", "netns", "list"])).includes(pod.name));
  assert.ok(!existsSync(`/etc/netns/${pod.name}`));
  assert.ok(!existsSync(topology.folder));
});
