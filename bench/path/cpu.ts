/** CPU a small packet, at a rate that every contender carries; `direct` is what sender, receiver and links cost. */
import { interleave, type Part } from "../part.ts";
import { addSample } from "../results.ts";
import { cpuKinds, cpuTitles } from "./cpu-time.ts";
import { patterns, sendDatagrams } from "./datagrams.ts";
import { withContenders } from "./worlds.ts";

const rate = 50_000;
/** More lost than this, and the rate was not carried: the figures would be of something else. */
const tolerableLoss = 0.02;

export const cpu: Part = (context) =>
  withContenders(
    context,
    ["direct", "egress46", "kernel6", "ebpf", "masquerade4", "tayga"],
    [],
    async (contenders) => {
      for (const pattern of patterns) {
        context.say(` ${pattern.title}`);
        await interleave(context, contenders, async (contender) => {
          const { name } = contender;
          const { cpu: use, sent, received } = await sendDatagrams(context, contender, pattern, rate);
          const packets = received.received;
          const lost = 1 - packets / sent.sent;
          if (lost > tolerableLoss)
            context.results.notes.push(
              `CPU a packet, ${pattern.title}: ${name} lost ${(lost * 100).toFixed(1)} % at ${rate} packets/s`,
            );
          const figures = cpuKinds
            .map((kind) => {
              const title = `CPU a 64 B packet, ${pattern.title}: ${cpuTitles[kind]}`;
              const head = { id: `cpu.${pattern.id}.${kind}`, title, unit: "µs" };
              addSample(context.results, head, name, use[kind] / packets);
              return `${cpuTitles[kind]} ${(use[kind] / packets).toFixed(2)}`;
            })
            .join(", ");
          const besides = {
            id: `cpu.${pattern.id}.besides`,
            title: "(the machine besides)",
            unit: "%",
          };
          addSample(context.results, besides, name, use.besides * 100);
          return figures;
        });
      }
    },
  );
