/** A DNS server whose every reply a function makes, over UDP and TCP on one port of the loopback. Encoded by dns-packet. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import dnsPacket, { type Answer, type Packet } from "dns-packet";
import { createFrameReader, frame } from "../../src/dns/framing.ts";

export interface Asked {
  /** Lower case. */
  readonly name: string;
  readonly type: string;
  readonly transport: "udp" | "tcp";
  readonly dnssecOk: boolean;
  readonly checkingDisabled: boolean;
  readonly query: Buffer;
}

export interface Scripted {
  readonly rcode?: number;
  readonly answers?: readonly Answer[];
  readonly authorities?: readonly Answer[];
  /** Bits of the second word besides QR, RD and RA. */
  readonly flags?: number;
  readonly extendedRcode?: number;
}

/** Undefined: silence. A Buffer is sent as it stands under the question's ID. */
export type Script = (asked: Asked) => Scripted | Buffer | undefined;

export interface ScriptedServer {
  readonly port: number;
  /** What came and went, in order. */
  readonly exchanges: (Asked & { readonly reply: Buffer | undefined })[];
  close(): Promise<void>;
}

const limit = (asked: Asked, packet: Packet) => {
  const size = (packet.additionals?.[0] as { udpPayloadSize?: number } | undefined)?.udpPayloadSize ?? 512;
  return asked.transport === "tcp" ? 65535 : Math.max(512, size);
};

export async function startScriptedServer(script: Script, tries = 5): Promise<ScriptedServer> {
  const exchanges: ScriptedServer["exchanges"] = [];
  const udp = createSocket("udp4");
  const tcp = createServer();
  const open = new Set<Socket>();

  function answer(query: Buffer, transport: "udp" | "tcp"): Buffer | undefined {
    const packet = dnsPacket.decode(query);
    const [question] = packet.questions ?? [];
    const opt = packet.additionals?.find((record) => record.type === "OPT");
    const asked: Asked = {
      ...{ transport, query },
      name: question!.name.toLowerCase(),
      type: question!.type,
      dnssecOk: opt?.type === "OPT" && (opt.flags & dnsPacket.DNSSEC_OK) !== 0,
      checkingDisabled: packet.flag_cd,
    };
    const scripted = script(asked);
    const reply = Buffer.isBuffer(scripted) ? scripted : scripted && encode(query, scripted);
    if (reply !== undefined) query.copy(reply, 0, 0, 2);
    exchanges.push({ ...asked, reply });
    if (reply === undefined || reply.length <= limit(asked, packet)) return reply;
    const cut = encode(query, {});
    cut[2]! |= 2;
    return cut;
  }

  udp.on("message", (query, { address, port }) => {
    const reply = answer(query, "udp");
    if (reply !== undefined) udp.send(reply, port, address);
  });
  tcp.on("connection", (socket) => {
    const reader = createFrameReader();
    open.add(socket);
    socket.on("error", () => undefined);
    socket.on("data", (chunk) => {
      reader.push(chunk);
      for (let query = reader.next(); query !== undefined; query = reader.next()) {
        const reply = answer(Buffer.from(query), "tcp");
        if (reply !== undefined) socket.write(frame(reply));
      }
    });
  });
  await once(udp.bind(0, "127.0.0.1"), "listening");
  try {
    await once(tcp.listen(udp.address().port, "127.0.0.1"), "listening");
  } catch (error) {
    udp.close();
    if (tries <= 1) throw error;
    return startScriptedServer(script, tries - 1);
  }
  return {
    port: udp.address().port,
    exchanges,
    async close() {
      for (const socket of open) socket.destroy();
      udp.close();
      tcp.close();
      await once(tcp, "close");
    },
  };
}

/** The question comes back as it stands; dns-packet leaves names uncompressed. */
function encode(
  query: Buffer,
  { rcode = 0, answers = [], authorities = [], flags = 0, extendedRcode = 0 }: Scripted,
) {
  const asked = dnsPacket.decode(query);
  const opt = asked.additionals?.find((record) => record.type === "OPT");
  return dnsPacket.encode({
    type: "response",
    id: asked.id ?? 0,
    flags: (query.readUInt16BE(2) & 0x0110) | dnsPacket.RECURSION_AVAILABLE | flags | rcode,
    questions: asked.questions ?? [],
    answers: [...answers],
    authorities: [...authorities],
    additionals:
      opt === undefined
        ? []
        : [
            {
              ...{ type: "OPT", name: ".", udpPayloadSize: 1232, ednsVersion: 0, options: [] },
              ...{ extendedRcode, flags: opt.type === "OPT" ? opt.flags : 0 },
            } as never,
          ],
  });
}
