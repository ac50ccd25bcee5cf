/** The engine's translation against the same function in plain JavaScript and in C, over the same memory. */
import { hasCommand } from "../../src/lab/prerequisites.ts";
import { interleave, type Part } from "../part.ts";
import { addSample } from "../results.ts";
import { compareOnRandomPackets } from "./equality.ts";
import { openFlows } from "./flows.ts";
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
      const seed = Math.floor(Math.random() * 0x1_0000_0000);
      const { difference } = compareOnRandomPackets(flows, translators, 5000, seed);
      if (difference !== undefined) context.results.errors.push(`translate: ${difference}`);
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
