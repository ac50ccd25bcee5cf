import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { mustExecute, needs } from "../support/exec.ts";
import { egress46 } from "../support/topology.ts";

const asRoot = needs("root", "tun", "ip", "nft");

interface Run {
  readonly child: ReturnType<typeof spawn>;
  output(): string;
  /** Resolves to the exit status. */
  readonly ended: Promise<number | null>;
}

function start(command: readonly string[], env: NodeJS.ProcessEnv = {}): Run {
  const [program = "", ...args] = command;
  const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  const ended = once(child, "close").then(([code]) => code as number | null);
  return { child, output: () => output, ended };
}

const lab = (...args: string[]) => [...egress46, "lab", ...args];

/** Everything that the output shows the lab made: namespaces (with their resolver files) and the folder. */
async function assertNothingLeft(output: string): Promise<void> {
  const names = [...output.matchAll(/eg46-[0-9a-f]{6}-\w+/g)].map(([name]) => name);
  assert.ok(names.length >= 3, output);
  const there = await mustExecute(["ip", "netns", "list"]);
  for (const name of names) {
    assert.ok(!there.includes(name), `namespace ${name} is left`);
    assert.ok(!existsSync(`/etc/netns/${name}`), `/etc/netns/${name} is left`);
  }
  for (const [folder] of output.matchAll(/\/tmp\/egress46-lab-\w+/g))
    assert.ok(!existsSync(folder), `${folder} is left`);
  const processes = await mustExecute([
    "sh",
    "-c",
    "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' || true",
  ]);
  for (const [folder] of output.matchAll(/\/tmp\/egress46-lab-\w+/g))
    assert.ok(!processes.includes(folder), `a process that uses ${folder} is left`);
}

test("lab --once: every step holds, nothing is left behind", asRoot, async () => {
  const run = start(lab("--once"));
  assert.equal(await run.ended, 0, run.output());
  const output = run.output();
  assert.match(output, /\? v6only\.example A\n.*\bA +10\.244\.50\.\d+\n.*AAAA +2001:db8:46::80\n/);
  assert.match(
    output,
    /key +0073c3b6eft_dns4610\.244\.50\.\d+\n +value +"00010000000000000000000000022001:db8:46::80"/,
  );
  assert.match(output, /Welcome to v6only\.example .*\n +You come from 2001::10:244:100:25[01]\./);
  assert.match(
    output,
    /Welcome to dual\.example at 198\.51\.100\.80\.\n +You come from 10\.244\.40\.25[01]\./,
  );
  assert.match(output, /egress-ipv4-nat46 +\d+\n/);
  assert.ok(!output.includes("\u001b"), "no colours without a terminal");
  await assertNothingLeft(output);
});

test("two labs at once", asRoot, async () => {
  const runs = [start(lab("--once")), start(lab("--once"))];
  for (const run of runs) assert.equal(await run.ended, 0, run.output());
  for (const run of runs) await assertNothingLeft(run.output());
});

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
  test(`${signal} while the lab stays up: exit 0, nothing left`, asRoot, async () => {
    const run = start(lab());
    while (!run.output().includes("The lab stays up"))
      await Promise.race([once(run.child.stdout!, "data"), run.ended.then(() => assert.fail(run.output()))]);
    assert.match(run.output(), /ip netns exec eg46-[0-9a-f]{6}-pod0 /);
    run.child.kill(signal);
    assert.equal(await run.ended, 0, run.output());
    await assertNothingLeft(run.output());
  });

for (const [after, code] of [
  ["Build three", 143],
  ["Start the internet", 143],
] as const)
  test(`SIGTERM right after the step '${after}…': exit ${code}, nothing left`, asRoot, async () => {
    const run = start(lab());
    while (!run.output().includes(after)) await once(run.child.stdout!, "data");
    run.child.kill("SIGTERM");
    assert.equal(await run.ended, code, run.output());
    await assertNothingLeft(run.output());
  });

test("a step that fails is named, exit 1, nothing left", asRoot, async () => {
  const folder = mkdtempSync(join(tmpdir(), "egress46-broken-nft-"));
  try {
    writeFileSync(join(folder, "nft"), "#!/bin/sh\necho broken on purpose >&2\nexit 1\n", { mode: 0o755 });
    const run = start(lab("--once"), { PATH: `${folder}:${process.env.PATH}` });
    assert.equal(await run.ended, 1, run.output());
    assert.match(run.output(), /broken on purpose/);
    assert.match(run.output(), /This step did not hold: Start the gateway\n/);
    await assertNothingLeft(run.output());
  } finally {
    rmSync(folder, { recursive: true });
  }
});

/** The same program as an ordinary user, to whom a TUN device of that mode is given. */
async function asNobody(mode: string, command: readonly string[]): Promise<string[]> {
  const script = [
    'mount -t tmpfs -o mode=755 tmpfs "$1"',
    `mknod -m ${mode} "$1/tun" c 10 200`,
    'mount --bind "$1/tun" /dev/net/tun',
    "shift",
    'exec setpriv --reuid=65534 --regid=65534 --clear-groups "$@"',
  ];
  return ["unshare", "--mount", "sh", "-ec", script.join("\n"), "sh", "/mnt", ...command];
}

const asUser = needs("root", "tun", "ip", "nft", "unshare", "setpriv");

test("as an ordinary user without access to /dev/net/tun: told plainly, exit 1", asUser, async () => {
  const run = start(await asNobody("600", lab("--once")));
  assert.equal(await run.ended, 1, run.output());
  assert.match(run.output(), /EG46_PREREQUISITE: permission denied \(EACCES\) on \/dev\/net\/tun/);
  assert.match(run.output(), /chmod 666 \/dev\/net\/tun/);
});

test("as an ordinary user, inside user namespaces: every step holds", asUser, async () => {
  const run = start(await asNobody("666", lab("--once")));
  assert.equal(await run.ended, 0, run.output());
  await assertNothingLeft(run.output());
});
