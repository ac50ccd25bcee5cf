/**
 * `node ask-many.js SERVER NAMES_JSON [SPREAD_MS]`: asks for the A of each name in turn, 50 at a time and spread over
 * SPREAD_MS, each until it is answered with an address, at most for 30 s more. Writes a line `MS NAME ADDRESS` for each
 * answer with an address, `MS NAME RCODE` for each without one, `MS NAME late` for each that didn't come; MS since the start.
 */
import { createSocket } from "node:dgram";
import dnsPacket from "dns-packet";

const atOnce = 50;
const againMs = 1500;

const [server = "", names = "[]", spreadMs = "0"] = process.argv.slice(2);
const patienceMs = Number(spreadMs) + 30_000;
const waiting = (JSON.parse(names) as string[]).slice();
const eachMs = Number(spreadMs) / waiting.length;
const socket = createSocket("udp4");
const asked = new Map<number, { name: string; timer: NodeJS.Timeout }>();
const startedAt = performance.now();
/** Whose reply is awaited no more; should it come all the same, the Pod has got it. */
const overdue = new Map<number, string>();
let lastId = 0;
let begun = 0;
let idle = 0;

const report = (name: string, what: string) =>
  process.stdout.write(`${Math.round(performance.now() - startedAt)} ${name} ${what}\n`);

function next(): void {
  const name = waiting.shift();
  if (name === undefined) {
    if (++idle === atOnce) socket.close();
    return;
  }
  const aheadMs = startedAt + begun++ * eachMs - performance.now();
  if (aheadMs > 0) setTimeout(() => ask(name), aheadMs);
  else ask(name);
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
    overdue.set(id, name);
    report(name, "late");
    ask(name);
  }, againMs);
  asked.set(id, { name, timer });
  socket.send(query, 53, server);
}

socket.on("message", (bytes) => {
  const { id = 0, answers = [], ...reply } = dnsPacket.decode(bytes);
  const question = asked.get(id);
  const name = question?.name ?? overdue.get(id);
  if (name === undefined) return;
  const address = answers.find((answer) => answer.type === "A");
  const code = (reply as unknown as { rcode: string }).rcode;
  report(name, address === undefined ? code : String((address as { data: string }).data));
  if (question === undefined) return;
  asked.delete(id);
  clearTimeout(question.timer);
  if (address !== undefined) next();
  else setTimeout(() => ask(question.name), 100);
});
for (let n = 0; n < atOnce; n++) next();
