/** What an operator sets and sees of sessions, on a running gateway. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { SnatPoolBody } from "../../src/admin/api.ts";
import type { ListedSession, SessionChange } from "../../src/admin/view.ts";
import { needs } from "../support/exec.ts";
import { eventually, gatewayLab } from "../support/gateway-lab.ts";
import { egress46, labAddresses } from "../support/topology.ts";

const tools = needs("root", "tun", "ip", "nft", "curl", "dig");
const get = (url: string) => ["curl", "-sS", "--max-time", "3", url];

test("options of sessions, `sessions`, `status --pool`", tools, async (t) => {
  const lab = await gatewayLab(t, {
    pods: 2,
    args: [
      ...["--session-timeout", "udp=300", "tcp-transitory=2", "--hold-down", "120"],
      ...["--max-sessions", "5000", "--max-mappings", "500", "--pod-sessions", "3"],
    ],
  });
  const [pod, other] = lab.topology.pods as [(typeof lab.topology.pods)[0], (typeof lab.topology.pods)[0]];
  const json = async <Body>(...args: string[]) =>
    JSON.parse(await lab.command(...args, "-o", "json")) as Body;
  assert.match(lab.gateway.stderr(), /tcp-transitory=2: less than the 240 s of RFC 5382 REQ-5/);

  // A connection, its closing and its end, as they happen.
  const watching = lab.topology.gateway.run([...egress46, "sessions", "watch", "-o", "json", "--limit", "4"]);
  await eventually("the watch follows", async () =>
    (await lab.topology.gateway.run(["ss", "-Htn", "sport", "=", ":9046"])).includes("ESTAB"),
  );
  await pod.run(get("http://v6only.example/"));
  const changes = (await watching)
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as SessionChange);
  const told = changes.map((change) =>
    "session" in change ? `${change.change} ${change.session.state}` : change.change,
  );
  assert.deepEqual(told, ["created INIT", "changed ESTABLISHED", "changed BOTH_FIN", "ended"]);
  const [first] = changes;
  assert.ok(first !== undefined && "session" in first);
  assert.deepEqual([first.session.pod, first.session.remote], [pod.ipv4, labAddresses.web.v6only]);

  // Three are allowed.
  for (let i = 0; i < 3; i++)
    await pod
      .run(["dig", "+tries=1", "+time=1", `@${labAddresses.web.v4only}`, "-p", `${7000 + i}`, "x"])
      .catch(() => {});
  assert.notEqual((await pod.execute(get("http://v6only.example/"))).code, 0, "the fourth is refused");
  assert.ok(((await lab.drops()).POD_SESSIONS_EXCEEDED ?? 0) > 0);
  assert.match(await other.run(get("http://v6only.example/")), /Welcome/, "another Pod is not concerned");

  const { sessions, more } = await json<{ sessions: ListedSession[]; more: boolean }>(
    "sessions",
    "ls",
    "--pod",
    pod.ipv4,
  );
  assert.equal(more, false);
  assert.deepEqual(
    sessions
      .map(({ protocol, pod, destination, remotePort }) => [protocol, pod, destination, remotePort])
      .sort(),
    [7000, 7001, 7002].map((port) => ["udp", pod.ipv4, labAddresses.web.v4only, port]),
  );
  const page = await json<{ sessions: ListedSession[]; more: boolean }>("sessions", "--limit", "2");
  assert.deepEqual([page.sessions.length, page.more], [2, true]);

  const { snatPool, maxSessions } = await json<{ snatPool: SnatPoolBody["addresses"]; maxSessions: number }>(
    "status",
    "--pool",
  );
  assert.equal(maxSessions, 5000);
  const used = snatPool.find(({ address }) => address === sessions[0]!.snat);
  assert.equal(used?.udp.inUse, new Set(sessions.map(({ podPort }) => podPort)).size);
  const metrics = await lab.topology.gateway.run(["curl", "-sS", "http://127.0.0.1:9046/metrics"]);
  assert.ok(
    metrics.includes(
      `egress46_snat_in_use{address="${used?.address}",protocol="udp",counts="ports"} ${used?.udp.inUse}\n`,
    ),
  );
});
