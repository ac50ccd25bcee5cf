import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { mustExecute } from "./exec.ts";

/** PEM files: an authority, and a certificate signed by it for the server and for the client. */
export interface TestCertificates {
  readonly ca: string;
  readonly server: { readonly cert: string; readonly key: string };
  readonly client: { readonly cert: string; readonly key: string };
}

export interface TestRedis {
  /** `redis://127.0.0.1:PORT`, or rediss:// with `tls`. */
  readonly url: string;
  readonly port: number;
  readonly certificates: TestCertificates | undefined;
  /** Runs redis-cli against it and resolves to its output, trimmed. */
  cli(...args: string[]): Promise<string>;
  /** SIGSTOP and SIGCONT. */
  pause(): void;
  resume(): void;
  /** SIGKILL; the data goes (nothing is persisted). */
  kill(): Promise<void>;
  /** Starts it again on the same port. */
  restart(): Promise<void>;
  /** Stops it and removes its folder. */
  stop(): Promise<void>;
}

/** A real redis-server on a free loopback port, without persistence; `config` = further lines of redis.conf. */
export async function startRedis(
  options: {
    tls?: boolean;
    /** Of another server, whose folder must live as long. */
    certificates?: TestCertificates | undefined;
    password?: string | undefined;
    /** The server is a sentinel. */
    sentinel?: boolean;
    config?: readonly string[];
    /** Puts the server's command line into a network namespace. */
    inside?: (argv: readonly string[]) => string[];
  } = {},
): Promise<TestRedis> {
  const dir = mkdtempSync(join(tmpdir(), "egress46-redis-"));
  const port = await freePort();
  const certificates = options.certificates ?? (options.tls ? await makeCertificates(dir) : undefined);
  const socket = join(dir, "redis.sock");
  const lines = [
    ...(certificates === undefined
      ? [`port ${port}`]
      : [
          "port 0",
          `tls-port ${port}`,
          `tls-cert-file ${certificates.server.cert}`,
          `tls-key-file ${certificates.server.key}`,
          `tls-ca-cert-file ${certificates.ca}`,
          "tls-auth-clients yes",
        ]),
    "bind 127.0.0.1",
    `unixsocket ${socket}`,
    `dir ${dir}`,
    'save ""',
    ...(options.password === undefined ? [] : [`requirepass ${options.password}`]),
    ...(options.config ?? []),
  ];
  const login = options.password === undefined ? [] : ["--no-auth-warning", "-a", options.password];
  const conf = join(dir, "redis.conf");
  writeFileSync(conf, `${lines.join("\n")}\n`);
  let server: ChildProcess | undefined;

  const cli = async (...args: string[]) =>
    (await mustExecute(["redis-cli", "-s", socket, ...login, ...args])).trim();

  async function start(): Promise<void> {
    const argv = ["redis-server", conf, ...(options.sentinel ? ["--sentinel"] : [])];
    const [program = "", ...args] = options.inside?.(argv) ?? argv;
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
    server = child;
    let output = "";
    child.stdout?.on("data", (part) => {
      output += part;
    });
    for (let tries = 0; tries < 100; tries++) {
      if (child.exitCode !== null) throw new Error(`redis-server ended:\n${output}`);
      if ((await cli("PING").catch(() => "")) !== "") return;
      await delay(50);
    }
    throw new Error(`redis-server does not answer:\n${output}`);
  }

  async function kill(): Promise<void> {
    if (server === undefined || server.exitCode !== null || server.signalCode !== null) return;
    const exited = once(server, "exit");
    server.kill("SIGKILL");
    await exited;
  }

  await start();
  return {
    url: `${certificates === undefined ? "redis" : "rediss"}://127.0.0.1:${port}`,
    port,
    certificates,
    cli,
    pause: () => void server?.kill("SIGSTOP"),
    resume: () => void server?.kill("SIGCONT"),
    kill,
    restart: start,
    async stop() {
      await kill();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

/** Made by openssl in `dir`; the server's certificate is for 127.0.0.1. */
export async function makeCertificates(dir: string): Promise<TestCertificates> {
  const path = (name: string) => join(dir, name);
  const openssl = (...args: string[]) => mustExecute(["openssl", ...args]);
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  await openssl(
    ...["req", "-x509", ...newKey, "-keyout", path("ca.key"), "-out", path("ca.crt"), "-days", "2"],
    ...["-subj", "/CN=egress46 test authority"],
  );
  async function signed(name: string) {
    const files = { cert: path(`${name}.crt`), key: path(`${name}.key`) };
    const serial = createHash("sha256").update(name).digest().readUInt32BE(0);
    writeFileSync(path(`${name}.ext`), "subjectAltName = IP:127.0.0.1\n");
    await openssl(
      ...["req", ...newKey, "-keyout", files.key, "-out", path(`${name}.csr`), "-subj", `/CN=${name}`],
    );
    await openssl(
      ...["x509", "-req", "-in", path(`${name}.csr`), "-CA", path("ca.crt"), "-CAkey", path("ca.key")],
      ...["-set_serial", String(serial), "-days", "2", "-extfile", path(`${name}.ext`), "-out", files.cert],
    );
    return files;
  }
  return { ca: path("ca.crt"), server: await signed("server"), client: await signed("client") };
}
