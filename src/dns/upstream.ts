/**
 * Port: one DNS server that we ask. This implementation asks over UDP and, where the reply was cut and the whole is
 * wanted, over TCP.
 */
import { flag, type Message, u16 } from "./message.ts";
import { askTcp } from "./upstream-tcp.ts";
import { createUdpPool } from "./upstream-udp.ts";

export interface AskOptions {
  /** A reply cut to UDP's size is not good enough. */
  readonly whole: boolean;
  readonly signal: AbortSignal;
}

export interface Upstream {
  readonly address: string;
  /**
   * Sends the question's own bytes under an ID of its own; resolves with the first reply to exactly this question, ID
   * still the upstream's. Rejects when the signal aborts or the network says no; never resolves by itself otherwise.
   */
  resolve(query: Uint8Array, options: AskOptions): Promise<Message>;
  /** True when these very bytes are on their way to the upstream now: they came back to us. */
  sent(query: Uint8Array): boolean;
  /** Lets questions in flight finish. */
  retire(): void;
}

export function createUpstream(address: string, port: number, mismatched: () => void): Upstream {
  const pool = createUdpPool(address, port, mismatched);
  return {
    address,
    async resolve(query, { whole, signal }) {
      const reply = await pool.ask(query, signal);
      const cut = (reply.flags & flag.tc) !== 0;
      return cut && whole ? await askTcp(address, port, query, u16(reply.bytes, 0), signal) : reply;
    },
    sent: pool.sent,
    retire: pool.retire,
  };
}
