/** Listeners in front of the proxy: UDP datagrams and DNS over TCP (RFC 7766). `allowed` judges the source address. */
import type { Socket as UdpSocket } from "node:dgram";
import type { Server, Socket } from "node:net";
import { createFrameReader, frame } from "./framing.ts";
import { headerLength } from "./message.ts";
import type { DnsProxy } from "./proxy.ts";

export type AllowSource = (source: string) => boolean;

const maxConnections = 1024;
/** Questions of one connection worked on at a time; more wait in the kernel's buffer. */
const maxPipelined = 64;
/** Unread replies of one connection, bytes. */
const maxUnsent = 256 * 1024;
/** Without a whole question or a reply. RFC 7766 §6.2.3 asks for a few seconds at least. */
const idleMs = 10_000;

export function serveUdp(socket: UdpSocket, proxy: DnsProxy, allowed: AllowSource): void {
  let closed = false;
  socket.once("close", () => {
    closed = true;
  });
  socket.on("message", async (query, { address, port }) => {
    if (!allowed(address)) return proxy.refuse("source");
    const reply = await proxy.handle(query, "udp", () => address);
    // That a client is gone is no error of ours.
    if (reply !== undefined && !closed) socket.send(reply, port, address, () => undefined);
  });
}

export function serveTcp(server: Server, proxy: DnsProxy, allowed: AllowSource): void {
  server.maxConnections = maxConnections;
  server.on("connection", (socket) => {
    const source = plainAddress(socket.remoteAddress);
    if (allowed(source)) return serveConnection(socket, proxy, source);
    proxy.refuse("source");
    socket.destroy();
  });
}

/** A dual-stack listener shows IPv4 peers as ::ffff:192.0.2.1. */
function plainAddress(address = ""): string {
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice(7) : address;
}

function serveConnection(socket: Socket, proxy: DnsProxy, source: string): void {
  const reader = createFrameReader();
  let working = 0;
  let ended = false;
  let gaveUp = false;

  // A client may close its side behind its last question and still wait for the answers.
  socket.allowHalfOpen = true;
  socket.setNoDelay(true);
  const idle = setTimeout(() => socket.destroy(), idleMs);
  socket.on("error", () => undefined);
  socket.on("close", () => clearTimeout(idle));
  socket.on("data", (chunk) => {
    if (!gaveUp) reader.push(chunk);
    work();
  });
  socket.on("end", () => {
    ended = true;
    work();
  });
  socket.on("drain", work);

  function busy(): boolean {
    return working >= maxPipelined || socket.writableLength > maxUnsent;
  }

  function work(): void {
    while (!gaveUp && !busy()) {
      const query = reader.next();
      if (query === undefined) break;
      if (query.length < headerLength) {
        giveUp();
        break;
      }
      idle.refresh();
      working++;
      void proxy.handle(query, "tcp", () => source).then(answered);
    }
    if (busy()) socket.pause();
    else if (socket.isPaused()) socket.resume();
    if (working > 0) return;
    if (gaveUp) socket.destroySoon();
    else if (ended) socket.end();
  }

  /** Whoever sends less than a header doesn't speak DNS; what follows can't be trusted to be framed. */
  function giveUp(): void {
    gaveUp = true;
    proxy.refuse("short");
  }

  function answered(reply: Uint8Array | undefined): void {
    working--;
    if (socket.destroyed) return;
    if (reply !== undefined) {
      socket.write(frame(reply));
      idle.refresh();
    }
    work();
  }
}
