/** Upstreams of the DNS proxy by themselves: a resolver before scripted servers. */
import { randomInt } from "node:crypto";
import dnsPacket, { type RecordType } from "dns-packet";
import { pino } from "pino";
import { createResolver, type Resolver } from "../../src/dns/resolver.ts";
import { createUpstream, type UpstreamSettings } from "../../src/dns/upstream.ts";
import { type Script, type ScriptedUpstream, startScriptedUpstream } from "./scripted-upstream.ts";

export interface Upstreams {
  readonly resolver: Resolver;
  readonly servers: readonly ScriptedUpstream[];
  /** What was logged, an object a line. */
  readonly said: readonly { readonly msg: string; readonly upstream?: string }[];
  mismatches(): number;
}

export interface UpstreamsOptions {
  readonly settings?: UpstreamSettings;
  readonly tls?: { readonly cert: string; readonly key: string };
}

/** Members are 127.0.0.1 and up, all on one port. */
export async function withUpstreams(
  scripts: readonly Script[],
  { settings = { letterCase: "auto" }, tls }: UpstreamsOptions,
  work: (upstreams: Upstreams) => Promise<void>,
): Promise<void> {
  const { port, servers } = await startAll(scripts, tls);
  const said: { msg: string }[] = [];
  const log = pino({ level: "info" }, { write: (line: string) => void said.push(JSON.parse(line)) });
  let mismatches = 0;
  const resolver = createResolver({
    createUpstream: (address) =>
      createUpstream({ address, port, settings, log, mismatched: () => mismatches++ }),
    log,
  });
  resolver.configure(servers.map(({ address }) => address));
  try {
    await work({ resolver, servers, said, mismatches: () => mismatches });
  } finally {
    resolver.close();
    await Promise.all(servers.map((server) => server.close()));
  }
}

export interface QuestionOptions {
  readonly type?: RecordType;
  readonly flags?: number;
  /** With an OPT record of this size. */
  readonly ednsSize?: number;
  readonly dnssecOk?: boolean;
  readonly options?: readonly { readonly code: number; readonly data: Buffer }[];
}

let nextId = 1;

export function questionFor(name: string, options: QuestionOptions = {}): Buffer {
  const { type = "A", flags = dnsPacket.RECURSION_DESIRED, ednsSize, dnssecOk = false } = options;
  const opt = {
    type: "OPT" as const,
    name: "." as const,
    udpPayloadSize: ednsSize ?? 0,
    flags: dnssecOk ? dnsPacket.DNSSEC_OK : 0,
    extendedRcode: 0,
    ednsVersion: 0,
    flag_do: dnssecOk,
    options: options.options ?? [],
  };
  return dnsPacket.encode({
    type: "query",
    id: nextId++,
    flags,
    questions: [{ name, type }],
    ...(ednsSize !== undefined && { additionals: [opt as never] }),
  });
}

/** On a port below those that the kernel gives to clients of other tests. */
async function startAll(
  scripts: readonly Script[],
  tls: UpstreamsOptions["tls"],
): Promise<{ port: number; servers: ScriptedUpstream[] }> {
  for (let tries = 1; ; tries++) {
    const port = randomInt(10_000, 32_000);
    const started = await Promise.allSettled(
      scripts.map((script, index) =>
        startScriptedUpstream({ address: `127.0.0.${index + 1}`, port, script, ...(tls && { tls }) }),
      ),
    );
    const servers = started.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
    const failure = started.find((each) => each.status === "rejected");
    if (failure === undefined) return { port, servers };
    await Promise.all(servers.map((server) => server.close()));
    if (tries === 20) throw failure.reason;
  }
}
