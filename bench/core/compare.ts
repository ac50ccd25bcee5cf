/** The engine's translation against the same function in plain JavaScript and in C, over the same memory. */
import { descriptorOffsets } from "../../src/engine/layout.gen.ts";
import { hasCommand } from "../../src/lab/prerequisites.ts";
import { type Context, interleave, type Part } from "../part.ts";
import { addSample } from "../results.ts";
import { type Flows, headerWords, openFlows } from "./flows.ts";
import { translatorInC } from "./translate-c.ts";
import { translatorInJs } from "./translate-js.ts";
import { translatorInWasm } from "./translate-wasm.ts";
import type { Translator } from "./translator.ts";

const batch = 64;
const sizes = [
  { id: "one", title: "1 flow", flows: 1 },
  { id: "million", title: "1,000,000 sessions", flows: 1_000_000 },
] as const;

export const translate: Part = async (context) => {
  const withC = hasCommand("gcc");
  if (!withC) context.results.notRun.push({ what: "translation in C", reason: "the command gcc is missing" });
  for (const protocol of ["udp", "tcp"] as const)
    for (const { id, title, flows: count } of sizes) {
      context.say(` ${protocol}, ${title}`);
      const flows = await openFlows(protocol, count);
      const translators = [translatorInWasm(flows), translatorInJs(flows)];
      if (withC) translators.push(translatorInC(flows));
      checkEqual(context, flows, translators);
      const head = {
        id: `translate.${protocol}.${id}`,
        title: `translation 4→6 of 64 B ${protocol.toUpperCase()}, ${title}`,
        unit: "ns",
      };
      await interleave(context, translators, async (translator) => {
        const each = time(translator, count, (context.mode.seconds * 1000) / 2);
        addSample(context.results, head, translator.name, each);
        return `${each.toFixed(1)} ns a packet`;
      });
    }
};

/** ns a packet: the best runs with and without the work, within about `budgetMs`. */
function time(translator: Translator, flows: number, budgetMs: number): number {
  const total = Math.ceil(Math.max(flows, 128_000) / batch) * batch;
  let bare = Number.POSITIVE_INFINITY;
  let whole = Number.POSITIVE_INFINITY;
  const end = performance.now() + budgetMs;
  for (let i = 0; i < 3 || performance.now() < end; i++) {
    bare = Math.min(bare, translator.run(batch, total, false));
    whole = Math.min(whole, translator.run(batch, total, true));
  }
  return (whole - bare) / total;
}

/** Random packets of the flows, one at a time: the same bytes come out of all, or none out of all. */
function checkEqual({ results }: Context, flows: Flows, translators: readonly Translator[]): void {
  const seed = Math.floor(Math.random() * 0x1_0000_0000);
  const random = generator(seed);
  for (let i = 0; i < 5000; i++) {
    const packet = randomPacket(flows, random);
    const outputs = translators.map((translator) => through(flows, translator, packet));
    if (outputs.every((output) => output === outputs[0])) continue;
    const told = translators.map(({ name }, index) => `${name} ${outputs[index] || "nothing"}`);
    results.errors.push(
      `translate, seed ${seed}, packet ${Buffer.from(packet).toString("hex")}: ${told.join(", ")}`,
    );
    return;
  }
}

/** What comes out, in hexadecimal. */
function through({ engine }: Flows, translator: Translator, packet: Uint8Array): string {
  const { words, bytes, layout } = engine;
  const descriptor = layout.receiveRing >> 2;
  bytes.set(packet, words[descriptor + (descriptorOffsets.address >> 2)]!);
  words[descriptor + (descriptorOffsets.length >> 2)] = packet.length;
  if (translator.process(1, 1) === 0) return "";
  const { address, length } = translator.output(0);
  return Buffer.from(bytes.subarray(address, address + length)).toString("hex");
}

/** Headers of a flow with fields that translation reads changed, and a random payload. */
function randomPacket({ packets, count, protocol }: Flows, random: (below: number) => number): Uint8Array {
  const payload = random(200);
  const own = protocol === "tcp" ? 20 : 8;
  const bytes = new Uint8Array(12 + 20 + own + payload);
  const from = random(count) * headerWords;
  const headers = new Uint8Array(packets.slice(from, from + headerWords).buffer);
  bytes.set(headers.subarray(0, 12 + 20 + own));
  for (let i = bytes.length - payload; i < bytes.length; i++) bytes[i] = random(256);
  const view = new DataView(bytes.buffer);
  const transport = 32;
  const sum = transport + (protocol === "tcp" ? 16 : 6);
  view.setUint16(14, 20 + own + payload);
  view.setUint8(13, random(256));
  view.setUint16(16, random(65536));
  view.setUint8(20, 2 + random(254));
  view.setUint16(sum, random(8) === 0 ? 0 : random(65536));
  if (protocol === "udp") view.setUint16(transport + 4, own + payload);
  else view.setUint32(transport + 4, random(0x1_0000_0000));
  if (random(3) === 0) {
    view.setUint8(0, 1);
    view.setUint16(6, 20, true);
    view.setUint16(8, sum - transport, true);
  }
  // Now and then options, or a header that no translator may let pass.
  if (random(20) === 0) view.setUint8([12, 15][random(2)]!, random(256));
  return bytes;
}

/** mulberry32. */
function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) % below;
  };
}
