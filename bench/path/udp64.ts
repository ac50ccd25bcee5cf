/** The rate of 64-byte datagrams that arrive when more are sent; `direct` is what the generators can do. */
import { interleave, type Part } from "../part.ts";
import { addSample } from "../results.ts";
import { patterns, sendDatagrams } from "./datagrams.ts";
import { withContenders } from "./worlds.ts";

export const udp64: Part = (context) =>
  withContenders(
    context,
    ["direct", "egress46", "kernel6", "ebpf", "masquerade4", "tayga"],
    [],
    async (contenders) => {
      for (const pattern of patterns) {
        context.say(` ${pattern.title}`);
        const head = {
          id: `udp64.${pattern.id}`,
          title: `UDP 64 B, ${pattern.title}: received`,
          unit: "k packets/s",
        };
        const lostHead = {
          id: `udp64.${pattern.id}.lost`,
          title: `UDP 64 B, ${pattern.title}: lost`,
          unit: "%",
        };
        await interleave(context, contenders, async (contender) => {
          const { sent, received } = await sendDatagrams(context, contender, pattern, 0);
          const rate = received.received / received.seconds / 1000;
          const lost = (1 - received.received / sent.sent) * 100;
          addSample(context.results, head, contender.name, rate);
          addSample(context.results, lostHead, contender.name, lost);
          const offered = sent.sent / sent.seconds / 1000;
          return `${rate.toFixed(0)} k packets/s of ${offered.toFixed(0)}, ${received.reordered} late`;
        });
      }
    },
  );
