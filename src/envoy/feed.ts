/** What Envoys' filters follow: settings and mappings, whole at first and then each change, by long polling. */
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { ipv6ToBytes, numberToIpv4 } from "../addresses.ts";
import { formatListenAddress, type ListenAddress } from "../admin/listen-address.ts";
import type { MappingSink } from "../engine/mapping-sink.ts";
import { Eg46Error } from "../errors.ts";
import type { Logger } from "../log.ts";
import {
  askedAddress,
  closedSettings,
  encodeFeed,
  encodeSettings,
  type FeedRecord,
  type FeedSettings,
} from "./feed-format.ts";
import type { FeedTls } from "./feed-tls.ts";

export interface Feed extends MappingSink {
  configure(settings: FeedSettings): void;
  /** From the next connection on; of a feed without TLS there is none. */
  secure(tls: FeedTls): void;
  /** Resolves to the address. Rejects with EG46_FEED_LISTEN. */
  listen(address: ListenAddress): Promise<string>;
  close(): Promise<void>;
}

export interface FeedParts {
  /** False: what is known is not all of it yet; an Envoy that has more keeps it. */
  ready(): boolean;
  /** The IPv6 host of a NAT address, asking the store if need be; undefined: there is none. */
  lookup(nat4: string): Promise<string | undefined>;
  readonly log: Logger;
}

/** The filter gives up after 8 s. */
const holdMs = 5000;
/** Fewer than the gateway's own limit, beyond which it says that there is no mapping. */
const mostLookups = 200;
/** Who is further behind gets everything anew. */
const journalLength = 65_536;

/** `tls`: only who shows a certificate of its authority is served. */
export function createFeed({ ready, lookup, log }: FeedParts, tls?: FeedTls): Feed {
  const key = randomBytes(16);
  // Positions of an earlier process mean nothing; 0 is nobody's.
  const epoch = randomBytes(8).readBigUInt64LE() | 1n;
  const mappings = new Map<number, Uint8Array>();
  let journal: FeedRecord[] = [];
  let journalStart = 0;
  let settings = encodeSettings(closedSettings, key);
  let settingsVersion = versionOf(settings);
  let waiting = new Set<() => void>();
  let waking = false;
  let lookups = 0;

  const position = () => journalStart + journal.length;

  /** What changes in one turn of the event loop goes out together. */
  function wake(): void {
    if (waking || waiting.size === 0) return;
    waking = true;
    setImmediate(() => {
      waking = false;
      const woken = waiting;
      waiting = new Set();
      for (const each of woken) each();
    });
  }

  function record(nat4: number, host6: Uint8Array | undefined): void {
    journal.push({ nat4, host6 });
    if (journal.length > 2 * journalLength) {
      journalStart += journal.length - journalLength;
      journal = journal.slice(-journalLength);
    }
    wake();
  }

  function change(): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(done, holdMs);
      waiting.add(done);
    });
  }

  async function follow(query: URLSearchParams, response: ServerResponse): Promise<void> {
    if (!ready()) return void response.writeHead(503).end();
    const from = Number(query.get("position") ?? Number.NaN);
    const known = query.get("epoch") === epoch.toString(16).padStart(16, "0");
    const follows = () => known && from >= journalStart && from <= position();
    const sameSettings = () => known && query.get("settings") === String(settingsVersion);
    if (follows() && from === position() && sameSettings()) await change();
    const full = !follows();
    const body = encodeFeed({
      epoch,
      position: position(),
      full,
      settingsVersion,
      settings: sameSettings() ? undefined : settings,
      records: full
        ? [...mappings].map(([nat4, host6]) => ({ nat4, host6 }))
        : journal.slice(from - journalStart),
      mappings: mappings.size,
    });
    response.writeHead(200, { "content-length": body.length }).end(body);
  }

  /** 503: that is not known now, and asked again. */
  async function answer(nat4: number, response: ServerResponse): Promise<void> {
    if (!ready() || lookups >= mostLookups) return void response.writeHead(503).end();
    lookups++;
    try {
      const host6 = await lookup(numberToIpv4(nat4));
      if (host6 === undefined) response.writeHead(404).end();
      else response.writeHead(200, { "content-length": 16 }).end(ipv6ToBytes(host6));
    } catch (error) {
      log.debug({ err: error, nat4: numberToIpv4(nat4) }, "mapping look-up for an Envoy failed");
      response.writeHead(503).end();
    } finally {
      lookups--;
    }
  }

  function serve(request: IncomingMessage, response: ServerResponse): void {
    const [path = "", query] = (request.url ?? "").split("?");
    const asked = askedAddress(path);
    if (request.method !== "GET") response.writeHead(405).end();
    else if (path === "/v1/feed") void follow(new URLSearchParams(query), response);
    else if (asked !== undefined) void answer(asked, response);
    else response.writeHead(404).end();
  }

  const secured = tls && createTlsServer({ ...tls, requestCert: true, rejectUnauthorized: true }, serve);
  const server = secured ?? createServer(serve);
  // Envoy keeps its connections for as long as it likes: none is closed under a request.
  server.keepAliveTimeout = 0;

  return {
    async install(nat4, host6) {
      mappings.set(nat4, host6);
      record(nat4, host6);
    },
    async remove(nat4) {
      if (mappings.delete(nat4)) record(nat4, undefined);
    },
    configure(next) {
      settings = encodeSettings(next, key);
      settingsVersion = versionOf(settings);
      wake();
    },
    secure(next) {
      secured?.setSecureContext({ ...next });
    },
    async listen(address) {
      server.listen(address);
      try {
        await once(server, "listening");
      } catch (cause) {
        const { message } = cause as Error;
        throw new Eg46Error("EG46_FEED_LISTEN", `cannot serve the feed for Envoy: ${message}`, { cause });
      }
      return formatListenAddress({ host: address.host, port: (server.address() as AddressInfo).port });
    },
    async close() {
      if (!server.listening) return;
      server.close();
      server.closeAllConnections();
      for (const each of waiting) each();
      await once(server, "close").catch(() => undefined);
    },
  };
}

/** The key is in them: those of another process have another one. */
function versionOf(settings: Uint8Array): number {
  return createHash("sha256").update(settings).digest().readUInt32LE(0);
}
