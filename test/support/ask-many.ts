/**
 * `node ask-many.js SERVER NAMES_JSON`: asks for the A of each name in turn, 50 at a time, each until it is answered with an
 * address, at most for 30 s. Writes a line `MS NAME ADDRESS` for each answer with an address, `MS NAME RCODE` for each
 * without one, MS since the start.
 */
import { createSocket } from "node:dgram";
import dnsPacket from "dns-packet";

const atOnce = 50;
const againMs = 1500;
const patienceMs = 30_000;

const [server = "", names = "[]"] = process.argv.slice(2);
const waiting = (JSON.parse(names) as string[]).slice();
const socket = createSocket("udp4");
const asked = new Map<number, { name: string; timer: NodeJS.Timeout }>();
const startedAt = performance.now();
let lastId = 0;

const report = (name: string, what: string) =>
  process.stdout.write(`${Math.round(performance.now() - startedAt)} ${name} ${what}\n`);

function next(): void {
  const name = waiting.shift();
  if (name !== undefined) ask(name);
  else if (asked.size === 0) socket.close();
}

function ask(name: string): void {
  if (performance.now() - startedAt > patienceMs) {
    report(name, "nothing");
    next();
    return;
  }
  const id = ++lastId & 0xffff;
  const query = dnsPacket.encode({ type: "query", id, flags: 0x100, questions: [{ type: "A", name }] });
  const timer = setTimeout(() => {
    asked.delete(id);
    ask(name);
  }, againMs);
  asked.set(id, { name, timer });
  socket.send(query, 53, server);
}

socket.on("message", (bytes) => {
  const { id = 0, answers = [], ...reply } = dnsPacket.decode(bytes);
  const question = asked.get(id);
  if (question === undefined) return;
  asked.delete(id);
  clearTimeout(question.timer);
  const address = answers.find((answer) => answer.type === "A");
  const code = (reply as unknown as { rcode: string }).rcode;
  report(question.name, address === undefined ? code : String((address as { data: string }).data));
  if (address !== undefined) next();
  else setTimeout(() => ask(question.name), 100);
});
for (let n = 0; n < atOnce; n++) next();
