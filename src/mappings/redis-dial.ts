import { createConnection, Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { AbstractConnector } from "ioredis";
import type { Logger } from "../log.ts";
import { closedEarly, greet, type Login, nextData } from "./redis-greeting.ts";
import type { TlsOptions } from "./redis-tls.ts";
import type { Endpoint } from "./redis-url.ts";

/** Where a server is and how to get in. `tls` is there for rediss:// and gives the PEM texts of the moment. */
export interface RedisTarget extends Endpoint, Login {
  readonly tls?: (() => TlsOptions) | undefined;
}

/** For connecting, TLS and the greeting together. */
const dialMs = 2000;
const hearMs = 300;
const greeting = "the server's first answer";
const tooLate = "too late";

export interface RedisDialer {
  /** For ioredis' option of that name. */
  readonly Connector: new () => AbstractConnector;
  /** What the latest attempt has been waiting for so far. */
  waitsFor(): string;
  /** Ends every connection that was made, with this reason: the next ones may lead elsewhere. */
  drop(reason: string): void;
}

/** Gives the target of the next connection; rejects with the reason when there is none now. */
export type Locate = () => RedisTarget | Promise<RedisTarget>;

/**
 * ioredis' way to a connection. It logs in and selects the database itself before ioredis has the socket, because only
 * here a server's own words can be told: ioredis writes more at once, and the reset that this brings hides them.
 */
export function createDialer(name: string, locate: Locate, log: Logger): RedisDialer {
  const open = new Set<Socket>();
  let waitsFor = "a connection";
  let noted = false;
  function noteNeedless(): void {
    if (!noted) log.warn(`mapping store ${name} wants no password; the one given is not used`);
    noted = true;
  }
  class Connector extends AbstractConnector {
    constructor() {
      super(200);
    }

    async connect(): Promise<Socket> {
      waitsFor = "a connection";
      this.connecting = true;
      delete this.firstError;
      let target: RedisTarget;
      let socket: Socket;
      try {
        target = await locate();
        // PEM texts that OpenSSL refuses throw here.
        socket = this.connecting ? dial(target) : new Socket().destroy();
      } catch (error) {
        this.firstError = error as Error;
        return new Socket().destroy();
      }
      open.add(socket);
      socket.once("close", () => open.delete(socket));
      socket.once("connect", () => {
        waitsFor = target.tls ? "the TLS handshake (perhaps the server expects redis://)" : greeting;
      });
      socket.once("secureConnect", () => {
        waitsFor = greeting;
      });
      this.stream = socket;
      try {
        await within(dialMs, socket, greet(socket, target, noteNeedless));
      } catch (error) {
        // ioredis reports `firstError` of a destroyed socket and tries again; rejecting would end its trying.
        this.firstError = new Error(await this.reasonOf(error as Error, target));
        socket.destroy();
      }
      return socket;
    }

    private async reasonOf(error: Error, target: RedisTarget): Promise<string> {
      if (error.message === tooLate) return `still waits for ${waitsFor}`;
      // Ended by ourselves: there is nobody to hear out.
      return this.connecting ? await explain(error, target) : error.message;
    }
  }
  return {
    Connector,
    waitsFor: () => waitsFor,
    drop(reason) {
      for (const socket of open) socket.destroy(new Error(reason));
    },
  };
}

function dial({ host, port, tls }: RedisTarget): Socket {
  const socket = tls ? connectTls({ host, port, ...tls() }) : createConnection({ host, port });
  // ioredis listens from the end of the greeting on; an error in between must not end the process.
  return socket.on("error", () => {});
}

async function within<T>(budgetMs: number, socket: Socket, work: Promise<T>): Promise<T> {
  const timer = setTimeout(() => socket.destroy(new Error(tooLate)), budgetMs);
  return await work.finally(() => clearTimeout(timer));
}

/** One line of why the server can't be used, with what to look at where the cause is a wrong option. */
async function explain(error: Error, target: RedisTarget): Promise<string> {
  const { code } = error as NodeJS.ErrnoException;
  const cut = error.message === closedEarly || code === "ECONNRESET" || code === "EPIPE";
  return describe(cut ? ((await hearOut(target)) ?? error) : error, target);
}

/**
 * What the server says to somebody who says nothing: a refusal (protected mode, an alert about certificates) can get
 * lost when it meets our own words.
 */
async function hearOut(target: RedisTarget): Promise<Error | undefined> {
  const socket = dial(target);
  try {
    const text = await within(hearMs, socket, nextData(socket));
    return text.startsWith("-") ? new Error(text.slice(1).trim()) : undefined;
  } catch (error) {
    return (error as { library?: string }).library === undefined ? undefined : (error as Error);
  } finally {
    socket.destroy();
  }
}

function describe(error: Error, { tls }: RedisTarget): string {
  const { code, reason } = error as NodeJS.ErrnoException & { reason?: string };
  const text = (error instanceof AggregateError ? String(error.errors[0]?.message) : error.message).split(
    "\n",
  )[0]!;
  if (reason === "wrong version number")
    return "the server does not speak TLS on this port (perhaps it expects redis://)";
  if (reason !== undefined) {
    const lacking = tls?.().cert === undefined && /certificate required|handshake failure/.test(reason);
    return `TLS: ${reason}${lacking ? " (--redis-cert and --redis-key are not given)" : ""}`;
  }
  if (text !== closedEarly && code !== "ECONNRESET" && code !== "EPIPE") return text;
  return tls === undefined ? `${closedEarly} (perhaps it expects TLS: rediss://)` : closedEarly;
}
