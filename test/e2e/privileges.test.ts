/** The gateway process may do nothing, and yet serves what only root can read. */
import assert from "node:assert/strict";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { execute, needs } from "../support/exec.ts";
import { childOf, eventually } from "../support/gateway-lab.ts";
import { startRedis } from "../support/redis.ts";
import {
  buildTopology,
  egress46,
  type Gateway,
  gatewayCommand,
  labFiles,
  startGateway,
  startInternet,
  type Topology,
} from "../support/topology.ts";

const tools = needs("root", "tun", "ip", "nft", "curl", "setpriv");
const capabilitySets = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];
const root = fileURLToPath(new URL("../../..", import.meta.url));

function statusOf(pid: number): (field: string) => string | undefined {
  const text = readFileSync(`/proc/${pid}/status`, "utf8");
  return (field) => new RegExp(`^${field}:[ \\t]*(.*)$`, "m").exec(text)?.[1];
}

function assertUnprivileged(gateway: Gateway): void {
  const status = statusOf(childOf(gateway.pid));
  for (const set of capabilitySets) assert.equal(status(set), "0000000000000000", set);
  assert.equal(status("Uid"), "65534\t65534\t65534\t65534");
  assert.equal(status("Groups")?.trim(), "");
  assert.equal(status("NoNewPrivs"), "1");
}

/** A folder that root alone may look into. */
function closedFolder(topology: Topology, name: string): string {
  const folder = mkdtempSync(join(topology.folder, `${name}-`));
  chmodSync(folder, 0o700);
  return folder;
}

function closedResources(topology: Topology): string {
  const folder = closedFolder(topology, "resources");
  cpSync(labFiles, folder, { recursive: true });
  return folder;
}

const page = (topology: Topology) =>
  topology.pods[0].run(["curl", "-sS", "--max-time", "10", "http://v6only.example/"]);

test("no capability at all; CRs in a folder of root's and a TLS key of root's are read and watched", {
  skip: tools.skip || needs("redis-server", "redis-cli", "openssl").skip,
}, async (t) => {
  const topology = await buildTopology({ prefix: "eg46test" });
  t.after(() => topology.close());
  await startInternet(topology);
  const redis = await startRedis({ tls: true, inside: topology.gateway.inside });
  topology.cleanup.defer(() => void redis.stop());
  const { client, ca } = redis.certificates!;
  const keys = closedFolder(topology, "keys");
  const copy = (file: string, name: string) => {
    cpSync(file, join(keys, name));
    chmodSync(join(keys, name), 0o600);
    return join(keys, name);
  };
  const certificates = {
    "--redis-cert": copy(client.cert, "client.crt"),
    "--redis-key": copy(client.key, "client.key"),
    "--redis-ca": copy(ca, "ca.crt"),
  };
  const files = closedResources(topology);
  const args = Object.entries(certificates).flat();
  const gateway = await startGateway(
    topology,
    gatewayCommand(topology, { files: [files], store: redis.url, args }),
  );
  assertUnprivileged(gateway);
  assert.match(await page(topology), /Welcome to v6only/);

  await t.test("a change of a file is in force, a broken one is named", async () => {
    writeFileSync(join(files, "broken.yaml"), "kind: [\n");
    const status = () => topology.gateway.run([...egress46, "status"]);
    await eventually("the problem", async () => /broken\.yaml:\d+: is not YAML/.test(await status()));
  });

  await t.test(
    "a certificate that is broken is named; a new gateway process goes on with the one before",
    async () => {
      const before = childOf(gateway.pid);
      writeFileSync(certificates["--redis-key"], "rubbish");
      writeFileSync(join(files, "broken.yaml"), "");
      await eventually("the refusal", async () =>
        gateway.stderr().includes("EG46_STORE_CERTIFICATES: --redis-key holds no private key"),
      );
      process.kill(before, "SIGKILL");
      await eventually(
        "the page",
        async () => (await page(topology).catch(() => "")).includes("Welcome"),
        15_000,
      );
    },
  );

  await t.test("new certificates count from the next connection on, without a new process", async () => {
    const child = childOf(gateway.pid);
    const { server } = redis.certificates!;
    // Another certificate of the same authority.
    copy(server.cert, "client.crt");
    copy(server.key, "client.key");
    await eventually("the new files", async () =>
      gateway.stderr().includes("they count from the next connection on"),
    );
    await redis.cli("CLIENT", "KILL", "TYPE", "normal");
    await eventually("the connection", async () =>
      (await topology.gateway.run([...egress46, "status"])).includes("connected"),
    );
    assert.equal(childOf(gateway.pid), child);
  });
});

test("program and store below folders that are closed to the gateway's user", tools, async (t) => {
  const topology = await buildTopology({ prefix: "eg46test" });
  t.after(() => topology.close());
  await startInternet(topology);
  const installed = join(closedFolder(topology, "home"), "egress46");
  mkdirSync(installed);
  cpSync(`${root}dist`, join(installed, "dist"), { recursive: true });
  for (const name of ["package.json", "deploy"])
    cpSync(root + name, join(installed, name), { recursive: true });
  symlinkSync(`${root}node_modules`, join(installed, "node_modules"));
  const store = `lmdb:${closedFolder(topology, "store")}/mappings`;
  const [node = "", ...args] = gatewayCommand(topology, { files: [closedResources(topology)], store });
  const argv = [node, join(installed, "dist/src/main.js"), ...args.slice(1)];
  const gateway = await startGateway(topology, argv);
  assertUnprivileged(gateway);
  assert.match(await page(topology), /Welcome to v6only/);
  const status = await topology.gateway.run([...egress46, "status"]);
  assert.ok(status.includes(`${store}, connected`), status);
  await gateway.stop();
  chmodSync(installed, 0o700);
  const refused = await topology.gateway.execute(argv);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /EG46_PREREQUISITE: .*egress46\/? is closed to uid 65534.*'chmod -R go\+rX/);
  const listed = await topology.gateway.run([...egress46, "mappings", "ls", "--store", store]);
  assert.match(listed, /^10\.244\.50\.\d+ +2001:db8:46::80 +v6only\.example$/m);
});

test("what only root could read is missing: exit 2 before anything is started", tools, async (t) => {
  const topology = await buildTopology({ prefix: "eg46test" });
  t.after(() => topology.close());
  const before = await topology.gateway.run(["ip", "-brief", "link"]);
  const missing = join(closedFolder(topology, "missing"), "x");
  const settings = { files: [labFiles], store: "rediss://127.0.0.1:1" };
  for (const [argv, said] of [
    [gatewayCommand(topology, { ...settings, files: [missing] }), /EG46_USAGE: -f .*x: does not exist/],
    [
      gatewayCommand(topology, { ...settings, args: ["--redis-ca", missing] }),
      /EG46_USAGE: --redis-ca: ENOENT.*x/,
    ],
  ] as const) {
    const { code, stderr } = await topology.gateway.execute(argv);
    assert.equal(code, 2, stderr);
    assert.match(stderr, said);
  }
  assert.equal(await topology.gateway.run(["ip", "-brief", "link"]), before);
  assert.ok(!(await topology.gateway.run(["nft", "list", "ruleset"])).includes("egress46"));
});

test(
  "root of a user namespace: its id is kept, no capability is",
  needs("unshare", "tun", "ip", "nft", "setpriv"),
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "eg46-userns-"));
    const files = join(folder, "cr");
    mkdirSync(files, { mode: 0o700 });
    cpSync(fileURLToPath(new URL("../../../examples/minimal.yaml", import.meta.url)), join(files, "a.yaml"));
    const script = `
    mount -t tmpfs tmpfs /run
    ip link set lo up
    ip link add in0 type veth peer name in1; ip link add out0 type veth peer name out1
    ip addr add 10.1.0.1/24 dev in0; ip addr add 10.2.0.1/24 dev out0
    for i in in0 in1 out0 out1; do ip link set $i up; done
    ip route add default via 10.2.0.2
    ${egress46.join(" ")} run -f ${files} --internal in0 --external out0 --store lmdb:${folder}/store --cleanup > ${folder}/out 2> ${folder}/err &
    for i in $(seq 100); do grep -q ready ${folder}/out && break; sleep 0.1; done
    cat ${folder}/out ${folder}/err
    for i in $(cat /proc/$!/task/*/children); do grep -q gateway/main.js /proc/$i/cmdline && cat /proc/$i/status; done
    kill $!; wait $!; echo "status $?"; rm -r ${folder}`;
    const unshare = ["unshare", "--user", "--map-root-user", "--net", "--mount"];
    const allowed = await execute([...unshare, "true"]);
    if (allowed.code !== 0) return t.skip(`no user namespaces here: ${allowed.stderr.trim()}`);
    const { stdout, stderr } = await execute([...unshare, "sh", "-c", script]);
    assert.match(stdout, /^egress46 ready/m, stdout + stderr);
    for (const set of capabilitySets) assert.match(stdout, new RegExp(`^${set}:\\s*0{16}$`, "m"));
    assert.match(stdout, /^status 0$/m);
  },
);
