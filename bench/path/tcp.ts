/** Bulk TCP by iperf3: one stream each way, and four streams of four Pods at a time. */
import { type Context, interleave, type Part } from "../part.ts";
import { addSample, type SeriesHead } from "../results.ts";
import type { Contender } from "./contenders/contender.ts";
import { checkIntegrity } from "./integrity.ts";
import { iperf, startIperfServers } from "./iperf.ts";
import { type ContenderName, withContenders } from "./worlds.ts";

const out: SeriesHead = { id: "tcp.out", title: "TCP ×1, Pod to host", unit: "Gbit/s" };
const back: SeriesHead = { id: "tcp.back", title: "TCP ×1 reverse, host to Pod", unit: "Gbit/s" };
const four: SeriesHead = { id: "tcp4", title: "TCP ×4 from four Pods", unit: "Gbit/s" };

export const tcp: Part = (context) =>
  bulk(context, ["egress46", "kernel6", "ebpf", "masquerade4", "tayga"], async ({ pods, target, name }) => {
    const { seconds } = context.mode;
    const forth = await iperf(pods[0]!, 0, target, seconds);
    const reverse = await iperf(pods[0]!, 0, target, seconds, "--reverse");
    addSample(context.results, out, name, forth);
    addSample(context.results, back, name, reverse);
    return `${forth.toFixed(2)} out, ${reverse.toFixed(2)} back Gbit/s`;
  });

export const tcp4: Part = (context) =>
  bulk(
    context,
    ["egress46", "egress46 ×2", "kernel6", "ebpf", "masquerade4", "tayga"],
    async ({ pods, target, name }) => {
      const streams = await Promise.all(
        pods.map((pod, index) => iperf(pod, index, target, context.mode.seconds)),
      );
      const sum = streams.reduce((total, each) => total + each, 0);
      addSample(context.results, four, name, sum);
      return `${sum.toFixed(2)} Gbit/s (${streams.map((each) => each.toFixed(2)).join(" + ")})`;
    },
  );

function bulk(
  context: Context,
  names: readonly ContenderName[],
  measure: (contender: Contender) => Promise<string>,
): Promise<void> {
  return withContenders(context, names, ["iperf3"], async (contenders) => {
    for (const contender of contenders) await startIperfServers(contender);
    await interleave(context, contenders, async (contender) => {
      const figures = await measure(contender);
      await checkIntegrity(context, contender);
      return figures;
    });
  });
}
