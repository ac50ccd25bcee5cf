/** The filter in the proxy-wasm host, fed by a real feed over HTTP, as Envoy's workers and singleton are. */
import { readFileSync } from "node:fs";
import { get } from "node:http";
import type { TestContext } from "node:test";
import pino from "pino";
import { ipv4ToNumber, ipv6ToBytes } from "../../src/addresses.ts";
import { parseListenAddress } from "../../src/admin/listen-address.ts";
import { createFeed, type Feed, type FeedParts } from "../../src/envoy/feed.ts";
import {
  type Connection,
  createHost,
  createShared,
  type HttpCall,
  type HttpResponse,
  type Plugin,
  type Shared,
  type Vm,
} from "../../src/proxy-wasm/host.ts";

export const filterBytes = readFileSync(new URL("../../wasm/filter.wasm", import.meta.url));
const module = new WebAssembly.Module(filterBytes);

export interface FilterHost {
  readonly feed: Feed;
  readonly shared: Shared;
  readonly log: string[];
  /** A worker's VM; index 0 is there from the start. */
  worker(index?: number): Worker;
  /** Ticks of everything until the condition holds. */
  until(what: string, condition: () => boolean): Promise<void>;
  /** What the feed answers is then as if the gateway were dead. */
  dead(dead: boolean): void;
  /** Nonzero counters by name. */
  counters(): Record<string, number>;
}

export interface Worker {
  readonly vm: Vm;
  readonly plugin: Plugin;
  connect(from: string, to: string): FilteredConnection;
}

export interface FilteredConnection extends Connection {
  /** Set by the filter. */
  readonly filterState: ReadonlyMap<string, string>;
}

const configuration = JSON.stringify({ feedCluster: "egress46_feed" });

export async function filterHost(
  t: Pick<TestContext, "after">,
  parts: Partial<FeedParts> = {},
  settings: object = { feedCluster: "egress46_feed" },
): Promise<FilterHost> {
  const feed = createFeed({
    ready: () => true,
    lookup: async () => undefined,
    log: pino({ level: "silent" }),
    ...parts,
  });
  const address = parseListenAddress(await feed.listen({ host: "127.0.0.1", port: 0 }));
  const shared = createShared();
  const log: string[] = [];
  let isDead = false;
  const http = async (call: HttpCall): Promise<HttpResponse | undefined> => {
    const path = call.headers.find(([name]) => name === ":path")?.[1] ?? "";
    if (isDead) return { headers: [[":status", "503"]], body: new Uint8Array() };
    return fetchOnce({ ...address, path });
  };
  const states = new WeakMap<Connection, Map<string, string>>();
  const start = (rootId: string) => {
    const vm = createHost({
      module,
      shared,
      http,
      log: (level, text) => log.push(`${level} ${text}`),
      foreign(name, argument, connection) {
        if (name !== "set_envoy_filter_state" || connection === undefined) return undefined;
        const [path = "", value = ""] = protobufStrings(argument);
        states.set(connection, (states.get(connection) ?? new Map()).set(path, value));
        return new Uint8Array();
      },
    });
    const plugin = vm.plugin(rootId, rootId === "egress46" ? JSON.stringify(settings) : configuration);
    if (plugin === undefined) throw new Error(log.at(-1));
    return { vm, plugin };
  };
  const singleton = start("egress46-feed");
  const workers: Worker[] = [];
  const timer = setInterval(() => {
    singleton.plugin.tick();
    for (const { plugin } of workers) plugin.tick();
  }, 2);
  t.after(async () => {
    clearInterval(timer);
    await feed.close();
  });

  function worker(index = 0): Worker {
    const found = workers[index];
    if (found !== undefined) return found;
    const { vm, plugin } = start("egress46");
    const made: Worker = {
      vm,
      plugin,
      connect(from, to) {
        const connection = plugin.connect({ "source.address": from, "destination.address": to });
        return {
          ...connection,
          get filterState() {
            return states.get(connection) ?? new Map();
          },
        };
      },
    };
    workers[index] = made;
    return made;
  }

  return {
    feed,
    shared,
    log,
    worker,
    dead(dead) {
      isDead = dead;
    },
    async until(what, condition) {
      for (const deadline = performance.now() + 5000; !condition(); ) {
        if (performance.now() > deadline) throw new Error(`not in time: ${what}`);
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
    },
    counters: () => Object.fromEntries([...shared.metrics].filter(([, value]) => value > 0)),
  };
}

function fetchOnce(options: { host: string; port: number; path: string }): Promise<HttpResponse | undefined> {
  return new Promise((resolve) => {
    const request = get({ ...options, agent: false }, async (response) => {
      const chunks: Buffer[] = [];
      try {
        for await (const chunk of response) chunks.push(chunk);
      } catch {
        return resolve(undefined);
      }
      const headers = [[":status", `${response.statusCode}`]] as const;
      resolve({ headers, body: Buffer.concat(chunks) });
    });
    request.on("error", () => resolve(undefined));
  });
}

/** The length-delimited fields of a flat protobuf message. */
function protobufStrings(bytes: Uint8Array): string[] {
  const found: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const tag = bytes[at++]!;
    if ((tag & 7) !== 2) {
      at++;
      continue;
    }
    const size = bytes[at++]!;
    found.push(new TextDecoder().decode(bytes.subarray(at, at + size)));
    at += size;
  }
  return found;
}

export async function install(feed: Feed, mappings: Readonly<Record<string, string>>): Promise<void> {
  for (const [nat4, host6] of Object.entries(mappings))
    await feed.install(ipv4ToNumber(nat4), ipv6ToBytes(host6));
}
