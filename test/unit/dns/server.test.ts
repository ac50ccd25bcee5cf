import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import dnsPacket from "dns-packet";
import { createFrameReader, frame } from "../../../src/dns/framing.ts";
import { serveTcp, serveUdp } from "../../../src/dns/server.ts";
import { startTestGateway, type TestGateway } from "../../support/dns-gateway.ts";

function question(id: number, name = "v6only.example"): Buffer {
  return dnsPacket.encode({ type: "query", id, flags: 256, questions: [{ name, type: "A" }] });
}

/** Resolves with the IDs of the replies once `count` have come, or fewer when the connection ends. */
async function collect(socket: Socket, count: number): Promise<number[]> {
  const reader = createFrameReader();
  const ids: number[] = [];
  for await (const chunk of socket) {
    reader.push(chunk);
    for (let reply = reader.next(); reply !== undefined; reply = reader.next())
      ids.push((reply[0]! << 8) | reply[1]!);
    if (ids.length >= count) break;
  }
  return ids.sort((a, b) => a - b);
}

const range = (count: number) => Array.from({ length: count }, (_, index) => index);

describe("DNS listeners", () => {
  let gateway: TestGateway;
  let allowed = true;
  const udp = createSocket("udp4");
  const tcp = createServer();
  const dial = () => connect((tcp.address() as AddressInfo).port, "127.0.0.1");

  before(async () => {
    gateway = await startTestGateway();
    serveUdp(udp, gateway.proxy, () => allowed);
    serveTcp(tcp, gateway.proxy, (source) => allowed && source === "127.0.0.1");
    await once(udp.bind(0, "127.0.0.1"), "listening");
    await once(tcp.listen(0), "listening");
  });
  after(async () => {
    udp.close();
    tcp.close();
    await gateway.close();
  });

  test("TCP: one byte at a time", async () => {
    const socket = dial();
    for (const byte of frame(question(1))) {
      socket.write(Uint8Array.of(byte));
      await sleep(1);
    }
    assert.deepEqual(await collect(socket, 1), [1]);
  });

  test("TCP: 500 questions in one write, more than are worked on at a time", async () => {
    const socket = dial();
    socket.write(Buffer.concat(range(500).map((id) => frame(question(id)))));
    assert.deepEqual(await collect(socket, 500), range(500));
  });

  test("TCP: a client that closes its side still gets its answers", async () => {
    const socket = dial();
    socket.end(Buffer.concat(range(5).map((id) => frame(question(id, "slow.example")))));
    assert.deepEqual(await collect(socket, 6), range(5));
  });

  test("TCP: a slow answer does not hold up a fast one", async () => {
    const socket = dial();
    socket.write(Buffer.concat([frame(question(1, "slow.example")), frame(question(2))]));
    const [chunk] = (await once(socket, "data")) as [Buffer];
    assert.equal(chunk.readUInt16BE(2), 2);
    socket.destroy();
  });

  test("TCP: a nonsensical message leaves the connection usable", async () => {
    const socket = dial();
    socket.write(frame(Buffer.alloc(40, 0xff)));
    socket.write(frame(question(9)));
    assert.deepEqual(await collect(socket, 1), [9]);
  });

  for (const length of [0, 3, 11])
    test(`TCP: a message of ${length} bytes closes the connection at once, behind what was asked before`, async () => {
      const before = gateway.proxy.stats().failures.short;
      const socket = dial();
      const began = performance.now();
      socket.write(
        Buffer.concat([frame(question(8)), frame(Buffer.alloc(length, 0xff)), frame(question(9))]),
      );
      assert.deepEqual(await collect(socket, 2), [8]);
      assert.ok(performance.now() - began < 3000);
      assert.equal(gateway.proxy.stats().failures.short, before + 1);
    });

  test("TCP: a length that is never filled holds no answer back, and the connection ends with its client", async () => {
    const socket = dial();
    socket.write(Buffer.concat([frame(question(3)), Buffer.from([0xff, 0xff, 1, 2, 3])]));
    socket.end();
    assert.deepEqual(await collect(socket, 2), [3]);
  });

  test("UDP: a datagram in, a datagram out", async () => {
    const client = createSocket("udp4");
    client.send(question(4), udp.address().port, "127.0.0.1");
    const [reply] = (await once(client, "message")) as [Buffer];
    assert.equal(dnsPacket.decode(reply).answers?.[0]?.type, "A");
    client.close();
  });

  test("sources that are not allowed get nothing, counted", async () => {
    allowed = false;
    const socket = dial();
    socket.write(frame(question(5)));
    assert.deepEqual(
      await collect(
        socket.on("error", () => undefined),
        1,
      ).catch(() => []),
      [],
    );
    const client = createSocket("udp4");
    client.send(question(5), udp.address().port, "127.0.0.1");
    for (let waited = 0; waited < 50 && gateway.proxy.stats().failures.source < 2; waited++) await sleep(20);
    assert.equal(gateway.proxy.stats().failures.source, 2);
    client.close();
    allowed = true;
  });
});
