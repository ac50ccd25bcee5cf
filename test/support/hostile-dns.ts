/**
 * Mutated DNS messages over UDP and TCP: `node hostile-dns.js SERVER SEED COUNT`. Prints what came back.
 */
import { createSocket } from "node:dgram";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { encode, RECURSION_DESIRED } from "dns-packet";
import { seededRandom } from "./hostile-packets.ts";

const [, , server = "", seed, countText] = process.argv;
const random = seededRandom(Number(seed));
const count = Number(countText);
const names = ["v6only.example", "dual.example", "www.example", "nothing.example", "x".repeat(63)];
const types = ["A", "AAAA", "TXT", "PTR", "HINFO"] as const;

function message(): Buffer {
  if (random(5) === 0) return Buffer.from(Array.from({ length: random(300) }, () => random(256)));
  const bytes = encode({
    type: random(8) === 0 ? "response" : "query",
    id: random(65536),
    flags: RECURSION_DESIRED,
    questions: [{ type: types[random(types.length)]!, name: names[random(names.length)]! }],
  });
  for (let bent = 1 + random(4); bent > 0; bent--) bytes[random(bytes.length)] = random(256);
  return random(6) === 0 ? bytes.subarray(0, random(bytes.length)) : bytes;
}

const udp = createSocket("udp4");
let answers = 0;
udp.on("message", () => answers++);
udp.on("error", () => {});
for (let i = 0; i < count; i++) {
  udp.send(message(), 53, server, () => {});
  // A pace that the sockets' buffers hold.
  if (i % 64 === 63) await sleep(5);
}

let connections = 0;
for (let i = 0; i < 100; i++) {
  const socket = connect(53, server);
  socket.on("error", () => {});
  socket.on("connect", () => {
    connections++;
    const bytes = message();
    const length = Buffer.from([
      random(4) === 0 ? random(256) : 0,
      random(4) === 0 ? random(256) : bytes.length & 255,
    ]);
    for (const byte of Buffer.concat([length, bytes])) socket.write(Buffer.of(byte));
  });
  setTimeout(() => socket.destroy(), 1000);
  await sleep(5);
}
await sleep(2500);
udp.close();
console.log(`${count} datagrams, ${answers} answers, ${connections} TCP connections`);
process.exit(0);
