import { createSocket, type Socket } from "node:dgram";
import { createServer, type Server } from "node:net";
import { cidrContains, parseCidr } from "../addresses.ts";
import { receiveDescriptors } from "../dataplane/descriptor-passing.ts";
import type { DnsProxy } from "../dns/proxy.ts";
import { serveTcp, serveUdp } from "../dns/server.ts";
import type { Logger } from "../log.ts";
import type { DnsSocket } from "../netd/protocol.ts";

/** Where DNS questions come in: sockets that netd opened, and packets out of the engine. */
export interface DnsFrontend {
  /** A question that came as a packet; `client` gives its sender's address. */
  question(question: Uint8Array, client: () => string, reply: (answer: Uint8Array) => void): void;
  /** Replaces the sockets; their descriptors wait in the channel. */
  takeSockets(sockets: readonly DnsSocket[], channel: number): void;
  allowFrom(internalNets: readonly string[]): void;
  close(): void;
}

export function createDnsFrontend(proxy: DnsProxy, log: Logger): DnsFrontend {
  let open: (Socket | Server)[] = [];
  let nets = [] as ReturnType<typeof parseCidr>[];
  const allowed = (source: string) => nets.some((net) => cidrContains(net, source));

  function serve({ transport, family, device, address }: DnsSocket, fd: number): Socket | Server {
    const failed = (error: Error) => log.error({ err: error, device, address }, "DNS listener failed");
    if (transport === "tcp") {
      const server = createServer().on("error", failed);
      serveTcp(server, proxy, allowed);
      return server.listen({ fd });
    }
    const socket = createSocket(family === 4 ? "udp4" : "udp6").on("error", failed);
    serveUdp(socket, proxy, allowed);
    return socket.bind({ fd });
  }

  return {
    question(question, client, reply) {
      void proxy.handle(question, "udp", client).then((answer) => answer && reply(answer));
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
