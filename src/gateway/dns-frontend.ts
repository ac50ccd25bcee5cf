import { createSocket, type Socket } from "node:dgram";
import { createServer, type Server } from "node:net";
import { cidrContains, parseCidr } from "../addresses.ts";
import { receiveDescriptors } from "../dataplane/descriptor-passing.ts";
import type { AnswerCache } from "../dns/cache.ts";
import type { Lifetime } from "../dns/lifetime.ts";
import type { DnsProxy } from "../dns/proxy.ts";
import type { RateLimit } from "../dns/rate-limit.ts";
import { serveTcp, serveUdp } from "../dns/server.ts";
import type { Logger } from "../log.ts";
import type { DnsSocket } from "../netd/protocol.ts";

/** Where DNS questions come in: sockets that netd opened, and packets out of the engine. */
export interface DnsFrontend {
  /**
   * A question that came as a packet; `client` gives its sender's address, `refresh`: only its answer's lifetime matters.
   * See WorkerEvents.
   */
  question(
    question: Uint8Array,
    client: () => string,
    refresh: boolean,
    reply: (answer: Uint8Array, lifetime?: Lifetime) => void,
  ): void;
  /** Replaces the sockets; their descriptors wait in the channel. */
  takeSockets(sockets: readonly DnsSocket[], channel: number): void;
  allowFrom(internalNets: readonly string[]): void;
  /** The proxy behind dnsRateLimit, for further listeners. */
  readonly limited: DnsProxy;
  close(): void;
}

export function createDnsFrontend(
  proxy: DnsProxy,
  cache: AnswerCache,
  limit: RateLimit,
  log: Logger,
): DnsFrontend {
  let open: (Socket | Server)[] = [];
  let nets = [] as ReturnType<typeof parseCidr>[];
  /** Questions by packets have met the engine's limit. */
  const limited: DnsProxy = {
    ...proxy,
    handle: async (query, transport, client) =>
      limit.take() ? await proxy.handle(query, transport, client) : void proxy.refuse("rate"),
  };
  const allowed = (source: string) => nets.some((net) => cidrContains(net, source));

  function serve({ transport, family, device, address }: DnsSocket, fd: number): Socket | Server {
    const failed = (error: Error) => log.error({ err: error, device, address }, "DNS listener failed");
    if (transport === "tcp") {
      const server = createServer().on("error", failed);
      serveTcp(server, limited, allowed);
      return server.listen({ fd });
    }
    const socket = createSocket(family === 4 ? "udp4" : "udp6").on("error", failed);
    serveUdp(socket, limited, allowed);
    return socket.bind({ fd });
  }

  return {
    limited,
    question(question, client, refresh, reply) {
      const answered = refresh ? proxy.refresh(question) : proxy.handle(question, "udp", client);
      void answered.then(
        (answer) => answer && reply(answer, proxy.logs ? undefined : cache.lifetime(answer)),
      );
    },
    takeSockets(sockets, channel) {
      const before = open;
      const descriptors = sockets.length > 0 ? receiveDescriptors(channel) : [];
      open = sockets.map((socket, index) => serve(socket, descriptors[index]!));
      for (const each of before) each.close();
    },
    allowFrom(internalNets) {
      nets = internalNets.map(parseCidr);
    },
    close() {
      for (const each of open) each.close();
    },
  };
}
