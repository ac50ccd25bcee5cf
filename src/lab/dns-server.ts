/**
 * A small authoritative DNS server, driven by a table of names, that can also misbehave on purpose. The lab's
 * 'internet' runs it, tests too. It keeps what was asked and answered, byte for byte.
 */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { isIpv6 } from "../addresses.ts";
import { createFrameReader, frame } from "../dns/framing.ts";
import { scanMessage } from "../dns/message.ts";
import { expandName, nameToText } from "../dns/name.ts";
import { answerFromZone, type Zone } from "./dns-zone.ts";

export type { Zone } from "./dns-zone.ts";

export interface DnsExchange {
  readonly transport: "udp" | "tcp";
  readonly source: string;
  /** Lower case, without the final dot; empty when the message was unreadable. */
  readonly name: string;
  readonly type: number;
  readonly query: Uint8Array;
  /** The true one. Undefined: silence, on purpose. */
  readonly reply: Uint8Array | undefined;
}

export interface LabDnsServer {
  readonly address: string;
  readonly port: number;
  /** The latest exchanges, oldest first. */
  readonly exchanges: readonly DnsExchange[];
  close(): Promise<void>;
}

export interface LabDnsServerOptions {
  readonly address: string;
  /** 0 or absent: any free one, the same for UDP and TCP. */
  readonly port?: number;
  readonly zone: Zone;
  readonly onExchange?: (exchange: DnsExchange) => void;
}

const keptExchanges = 10_000;

/** Rejects when the address or port cannot be had. */
export async function startDnsServer({
  address,
  port = 0,
  zone,
  onExchange,
}: LabDnsServerOptions): Promise<LabDnsServer> {
  const exchanges: DnsExchange[] = [];
  let closed = false;
  const udp = createSocket(isIpv6(address) ? "udp6" : "udp4");
  const tcp = createServer();

  function answer(
    query: Uint8Array,
    transport: "udp" | "tcp",
    source: string,
    send: (reply: Uint8Array) => void,
  ): void {
    const { replies, delayMs } = answerFromZone(zone, query, transport);
    const message = scanMessage(query);
    const name = message && expandName(query, 12);
    const exchange: DnsExchange = {
      transport,
      source,
      name: name ? nameToText(name).toLowerCase() : "",
      type: message?.question.type ?? 0,
      query,
      reply: replies.at(-1),
    };
    exchanges.push(exchange);
    if (exchanges.length > keptExchanges) exchanges.shift();
    onExchange?.(exchange);
    setTimeout(() => {
      if (!closed) for (const reply of replies) send(reply);
    }, delayMs);
  }

  udp.on("message", (query, { address: source, port: sourcePort }) =>
    answer(query, "udp", source, (reply) => udp.send(reply, sourcePort, source, () => undefined)),
  );
  /** A port of any number that TCP gives may be in use for UDP; then another is tried. */
  async function bindBoth(): Promise<void> {
    for (let tries = port === 0 ? 20 : 1; ; tries--) {
      await once(tcp.listen(port, address), "listening");
      try {
        await once(udp.bind((tcp.address() as AddressInfo).port, address), "listening");
        return;
      } catch (error) {
        if (tries === 1) throw error;
        await once(tcp.close(), "close");
      }
    }
  }

  const connections = new Set<{ destroy(): void }>();
  tcp.on("connection", (socket) => {
    const reader = createFrameReader();
    connections.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => connections.delete(socket));
    socket.on("data", (chunk) => {
      reader.push(chunk);
      for (let query = reader.next(); query !== undefined; query = reader.next())
        answer(
          query,
          "tcp",
          socket.remoteAddress ?? "",
          (reply) => socket.writable && socket.write(frame(reply)),
        );
    });
  });

  try {
    await bindBoth();
  } catch (error) {
    tcp.close();
    udp.close();
    throw error;
  }
  return {
    address,
    port: (tcp.address() as AddressInfo).port,
    exchanges,
    async close() {
      closed = true;
      for (const connection of connections) connection.destroy();
      udp.close();
      tcp.close();
      await once(tcp, "close");
    },
  };
}
