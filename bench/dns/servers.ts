/** The servers that stand beside egress46: NSD has the data, unbound and BIND forward to it. */
import { spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Cleanup } from "../../src/lab/cleanup.ts";
import { environment } from "../../src/lab/execute.ts";
import type { Netns } from "../../src/lab/netns.ts";
import type { ZoneFiles } from "./zones.ts";

export interface Server {
  readonly pid: number;
}

/** What a forwarder does besides forwarding: nothing, or the work that mirrors DNS46. */
export type Work = "plain" | "dns64";

interface Place {
  readonly netns: Netns;
  readonly folder: string;
  readonly cleanup: Cleanup;
  readonly address: string;
}

export async function startNsd(
  { netns, folder, cleanup, address }: Place,
  zones: readonly ZoneFiles[],
): Promise<Server> {
  const file = `${folder}/nsd.conf`;
  const lines = [
    "server:",
    `  ip-address: ${address}`,
    '  username: ""',
    `  zonesdir: "${folder}"`,
    `  pidfile: "${folder}/nsd.pid"`,
    `  xfrdfile: "${folder}/xfrd.state"`,
    `  zonelistfile: "${folder}/zone.list"`,
    '  database: ""',
    "  server-count: 1",
    // Debian's NSD answers 200 questions a second of a network otherwise, and drops the rest.
    "  rrl-ratelimit: 0",
    "  rrl-whitelist-ratelimit: 0",
    "remote-control:",
    "  control-enable: no",
    ...zones.flatMap(({ zone, file }) => ["zone:", `  name: ${zone}`, `  zonefile: "${file}"`]),
  ];
  writeFileSync(file, `${lines.join("\n")}\n`);
  return await start(netns, cleanup, ["nsd", "-d", "-c", file], address);
}

export async function startUnbound(
  { netns, folder, cleanup, address }: Place,
  upstream: string,
  work: Work,
): Promise<Server> {
  const file = `${folder}/unbound-${work}.conf`;
  const lines = [
    "server:",
    `  interface: ${address}`,
    "  access-control: 0.0.0.0/0 allow",
    "  num-threads: 1",
    "  do-daemonize: no",
    '  username: ""',
    '  chroot: ""',
    '  pidfile: ""',
    "  use-syslog: no",
    "  do-not-query-localhost: no",
    "  msg-cache-size: 64m",
    "  rrset-cache-size: 128m",
    "  outgoing-range: 4096",
    "  num-queries-per-thread: 4096",
    "  so-rcvbuf: 4m",
    `  module-config: "${work === "dns64" ? "dns64 " : ""}iterator"`,
    "forward-zone:",
    '  name: "."',
    `  forward-addr: ${upstream}`,
    "remote-control:",
    "  control-enable: no",
  ];
  writeFileSync(file, `${lines.join("\n")}\n`);
  return await start(netns, cleanup, ["unbound", "-d", "-c", file], address);
}

export async function startBind(
  { netns, folder, cleanup, address }: Place,
  upstream: string,
  work: Work,
): Promise<Server> {
  const directory = `${folder}/bind-${work}`;
  mkdirSync(directory);
  const file = `${directory}/named.conf`;
  const dns64 = work === "dns64" ? "dns64 64:ff9b::/96 { clients { any; }; };" : "";
  writeFileSync(
    file,
    `options {
  directory "${directory}"; pid-file none; session-keyfile none; listen-on { ${address}; }; listen-on-v6 { none; };
  recursion yes; allow-query { any; }; allow-recursion { any; }; forward only; forwarders { ${upstream}; };
  dnssec-validation no; recursive-clients 10000; minimal-responses yes; max-cache-size 256m; notify no; ${dns64}
};
controls { };
logging { category default { null; }; };
`,
  );
  return await start(netns, cleanup, ["named", "-f", "-n", "1", "-c", file], address);
}

/** Resolves once the server answers at port 53. */
async function start(
  netns: Netns,
  cleanup: Cleanup,
  argv: readonly string[],
  address: string,
): Promise<Server> {
  const [program = "", ...args] = netns.inside(argv);
  const child = spawn(program, args, { env: environment, stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said = (said + text).slice(-2000);
  });
  cleanup.defer(() => child.kill("SIGKILL"));
  const ask = ["dig", "+time=1", "+tries=1", `@${address}`, "four0.warm.bench", "A"];
  for (const deadline = performance.now() + 20_000; performance.now() < deadline; await sleep(100)) {
    if (child.exitCode !== null) throw new Error(`${argv[0]} ended (${child.exitCode}): ${said}`);
    if (/status: NOERROR/.test((await netns.execute(ask)).stdout)) return { pid: child.pid ?? 0 };
  }
  throw new Error(`${argv[0]} does not answer at ${address}: ${said}`);
}
