/**
 * Port: one DNS server that we ask. This implementation asks over UDP, and over TCP where the question is long, the reply
 * was cut and the whole is wanted, or UDP cannot be trusted; or over nothing but TCP or TLS.
 */
import type { Logger } from "../log.ts";
import type { Asked } from "./asked.ts";
import { createLetterCase, type LetterCaseMode } from "./letter-case.ts";
import { flag, type Message } from "./message.ts";
import { ourUdpSize } from "./query.ts";
import { type TlsSettings, tcpDial, tlsDial } from "./stream-dial.ts";
import { createStreamPool } from "./upstream-stream.ts";
import { createUdpPool } from "./upstream-udp.ts";

/** Who asked; hears one of both, once, after `ask` has returned, and nothing after a cancel. */
export interface Sink {
  answered(reply: Message): void;
  failed(error: Error): void;
}

export interface Ticket {
  cancel(): void;
}

export interface Upstream {
  readonly address: string;
  /**
   * Sends the question under an ID of its own; answers with the first reply to exactly this question, ID still the
   * upstream's. Fails when the network says no; waits for ever otherwise. Without `whole` a reply cut to UDP's size will do.
   */
  ask(asked: Asked, whole: boolean, sink: Sink): Ticket;
  /** True when these very bytes are on their way to the upstream now: they came back to us. */
  sent(query: Uint8Array): boolean;
  transport(): "udp" | "udp, 0x20" | "tcp" | "tls";
  /** Why there is no TCP or TLS connection to it. */
  problem(): string | undefined;
  /** Lets questions in flight finish. */
  retire(): void;
}

/** How all upstreams are asked. */
export interface UpstreamSettings {
  /** By nothing but TLS. */
  readonly tls?: TlsSettings | undefined;
  /** By nothing but TCP. */
  readonly tcp?: boolean | undefined;
  readonly letterCase: LetterCaseMode;
}

export const defaultUpstreamSettings: UpstreamSettings = { letterCase: "auto" };
const ports = { plain: 53, tls: 853 };

export interface UpstreamParts {
  readonly address: string;
  /** Instead of 53 or 853, for tests. */
  readonly port?: number | undefined;
  readonly settings: UpstreamSettings;
  readonly log: Logger;
  /** Hears of messages that answer no question of ours. */
  mismatched(): void;
}

export function createUpstream({ address, port, settings, log, mismatched }: UpstreamParts): Upstream {
  const { tls } = settings;
  let problem: string | undefined;
  const stream = createStreamPool({
    dial: tls ? tlsDial(address, port ?? ports.tls, tls) : tcpDial(address, port ?? ports.plain),
    padded: tls !== undefined,
    mismatched,
    connected(error) {
      const before = problem;
      problem = error && (tls ? tlsProblem(error, tls.name) : error.message);
      if (problem === before) return;
      const how = tls ? "TLS" : "TCP";
      if (problem !== undefined)
        log.warn({ upstream: address }, `no ${how} connection to the DNS upstream: ${problem}`);
      else log.info({ upstream: address }, `the DNS upstream takes ${how} connections again`);
    },
  });
  if (tls !== undefined || settings.tcp === true)
    return {
      address,
      ask: stream.ask,
      sent: stream.sent,
      transport: () => (tls ? "tls" : "tcp"),
      problem: () => problem,
      retire: stream.retire,
    };

  const letterCase = createLetterCase(settings.letterCase, address, log);
  const udp = createUdpPool(address, port ?? ports.plain, letterCase, mismatched);
  let retiring = false;
  /** A stream may still be wanted by what UDP has under way. */
  function retireStream(): void {
    if (retiring && udp.pending === 0) stream.retire();
  }
  return {
    address,
    ask(asked, whole, sink) {
      if (asked.bytes.length > ourUdpSize) return stream.ask(asked, whole, sink);
      let ticket: Ticket = udp.ask(asked, {
        answered(reply) {
          if (whole && (reply.flags & flag.tc) !== 0) ticket = stream.ask(asked, true, sink);
          else sink.answered(reply);
          retireStream();
        },
        // TCP tells a server's habit from a forgery: an off-path forger can't take part in it.
        miscased() {
          letterCase.lost(false);
          ticket = stream.ask(asked, whole, {
            answered: sink.answered,
            failed(error) {
              letterCase.lost(true);
              sink.failed(error);
            },
          });
          retireStream();
        },
        failed(error) {
          sink.failed(error);
          retireStream();
        },
      });
      return {
        cancel() {
          ticket.cancel();
          retireStream();
        },
      };
    },
    sent: (query) => udp.sent(query) || stream.sent(query),
    transport: () => (letterCase.on() ? "udp, 0x20" : "udp"),
    problem: () => problem,
    retire() {
      retiring = true;
      udp.retire();
      retireStream();
    },
  };
}

/** What happened, and what to do about it. */
function tlsProblem(error: Error, name: string): string {
  const code = (error as NodeJS.ErrnoException).code ?? "";
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID")
    return `its certificate is not for ${name}; name what it is for by --dns-tls`;
  if (code === "CERT_HAS_EXPIRED" || code === "CERT_NOT_YET_VALID")
    return `its certificate is not valid now (${code}); check the clock, or have the certificate renewed`;
  if (/CERT|SIGNATURE|ISSUER/.test(code))
    return `its certificate is signed by nobody known (${code}); name the authority by --dns-tls-ca`;
  return `${error.message}; it must serve TLS on port ${ports.tls}`;
}
