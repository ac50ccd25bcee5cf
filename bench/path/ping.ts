/** Round trips one after another: what the gateway adds to an idle path. */
import { interleave, type Part } from "../part.ts";
import { addSample, median } from "../results.ts";
import { withContenders } from "./worlds.ts";

const head = { id: "ping", title: "ping, median of a round", unit: "µs" };
const interval = 0.01;

export const ping: Part = (context) =>
  withContenders(context, ["egress46", "kernel6", "ebpf", "masquerade4", "tayga"], [], (contenders) =>
    interleave(context, contenders, async ({ name, pods, target }) => {
      const count = Math.round(context.mode.seconds / interval);
      const argv = ["ping", "-n", "-c", String(count), "-i", String(interval), target];
      const output = await pods[0]!.run(argv, { timeoutMs: (context.mode.seconds * 3 + 10) * 1000 });
      const times = Array.from(output.matchAll(/time=([\d.]+) ms/g), ([, text]) => Number(text) * 1000);
      if (times.length < count)
        context.results.errors.push(`${name}: ${times.length} of ${count} pings answered`);
      addSample(context.results, head, name, median(times));
      return `${median(times).toFixed(0)} µs`;
    }),
  );
