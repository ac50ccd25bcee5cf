/** Resolvers side by side: cached answers, work for DNS46 (or DNS64), names never asked before. */
import { isRoot, lacking, tunProblem } from "../../src/lab/prerequisites.ts";
import { type Context, interleave, type Part } from "../part.ts";
import { cpuUse, readCpuTime } from "../path/cpu-time.ts";
import { addSample } from "../results.ts";
import { type Answered, dnsperf, type Load, percentile } from "./dnsperf.ts";
import { egress46, forwarders, type Resolver, type World } from "./worlds.ts";
import { warmNames, writeQuestions } from "./zones.ts";

/** Names of one measurement that nobody asked before. */
const coldNames = 20_000;
const slowRate = 500;
const steadyRate = 20_000;

const tools = ["ip", "nft", "dig", "dnsperf", "nsd", "unbound", "named", "redis-server", "redis-cli"];

export const dns: Part = async (context) => {
  const { results, mode } = context;
  const reason = obstacle();
  if (reason !== undefined) {
    results.notRun.push({ what: "dns", reason });
    return;
  }
  const slow = slowRate * mode.seconds;
  const total = mode.rounds * (coldNames + slow);
  const worlds: World[] = [];
  try {
    for (const start of [
      () => egress46("redis", total),
      () => egress46("lmdb", total),
      () => forwarders(total),
    ])
      worlds.push(await start());
    const folder = worlds.map(({ folder }) => folder)[0]!;
    const resolvers = worlds.flatMap(({ resolvers }) => resolvers);
    await cached(context, resolvers, folder);
    await cold(context, resolvers, folder, slow);
  } finally {
    for (const world of worlds) await world.close();
  }
};

function obstacle(): string | undefined {
  if (!isRoot()) return "needs root";
  const [missing] = lacking(tools.map((command) => ({ command, debianPackage: command })));
  return missing === undefined ? tunProblem() : `the command ${missing.command} is missing`;
}

async function cached(context: Context, resolvers: readonly Resolver[], folder: string): Promise<void> {
  const plain = writeQuestions(`${folder}/plain`, {
    zone: "warm.bench",
    label: "four",
    type: "A",
    count: warmNames,
  });
  const own = (label: string, type: string) =>
    writeQuestions(`${folder}/work-${label}`, { zone: "warm.bench", label, type, count: warmNames });
  const work = { six: own("six", "A"), four: own("four", "AAAA") };
  const { seconds } = context.mode;
  const kinds = [
    {
      id: "dns.cached",
      title: "cached answers",
      which: (r: Resolver) => !/LMDB|dns64|NSD/.test(r.name),
      file: () => plain,
    },
    {
      id: "dns.cached46",
      title: "cached answers of DNS46, or DNS64",
      which: (r: Resolver) => /^egress46$|dns64/.test(r.name),
      file: (r: Resolver) => work[r.work.label],
    },
  ];
  for (const { id, title, which, file } of kinds) {
    context.say(` ${title}`);
    const chosen = resolvers.filter(which);
    for (const resolver of chosen) await ask(context, resolver, { questions: file(resolver) });
    await interleave(context, chosen, async (resolver) => {
      const most = await ask(context, resolver, { questions: file(resolver), seconds });
      note(context, id, title, resolver, most);
      const steady = await measured(context, resolver, {
        questions: file(resolver),
        seconds,
        rate: steadyRate,
      });
      addSample(
        context.results,
        { id: `${id}.cpu`, title: `${title}, ${steadyRate / 1000} k/s: CPU a question`, unit: "µs" },
        resolver.name,
        steady.cpu,
      );
      const timed = await ask(
        context,
        resolver,
        { questions: file(resolver), seconds, rate: slowRate },
        true,
      );
      latencies(context, `${id}.latency`, `${title}, ${slowRate}/s`, resolver, timed);
      return `${(most.perSecond / 1000).toFixed(1)} k/s, ${steady.cpu.toFixed(1)} µs CPU a question, p99 ${percentile(timed.latencies, 0.99).toFixed(2)} ms`;
    });
  }
}

async function cold(
  context: Context,
  resolvers: readonly Resolver[],
  folder: string,
  slow: number,
): Promise<void> {
  const title = "names never asked before";
  context.say(` ${title}: DNS46, or DNS64`);
  const chosen = resolvers.filter(({ name }) => /egress46|dns64|NSD/.test(name));
  await interleave(context, chosen, async (resolver, round) => {
    const first = round * (coldNames + slow);
    const names = { zone: "cold.bench", ...resolver.work };
    const fast = writeQuestions(`${folder}/cold`, { ...names, first, count: coldNames });
    const use = await measured(context, resolver, { questions: fast, outstanding: 200 });
    note(context, "dns.cold", `${title}, with the work of DNS46 or DNS64`, resolver, use.answered);
    addSample(
      context.results,
      { id: "dns.cold.cpu", title: `${title}: CPU a question`, unit: "µs" },
      resolver.name,
      use.cpu,
    );
    const calm = writeQuestions(`${folder}/calm`, { ...names, first: first + coldNames, count: slow });
    const timed = await ask(context, resolver, { questions: calm, rate: slowRate }, true);
    latencies(context, "dns.cold.latency", `${title}, ${slowRate}/s`, resolver, timed);
    return `${(use.answered.perSecond / 1000).toFixed(1)} k/s, ${use.cpu.toFixed(1)} µs CPU a question, p99 ${percentile(timed.latencies, 0.99).toFixed(2)} ms`;
  });
}

/** Answers that are missing, or no answers, are errors: speed without them is worth nothing. */
async function ask(
  { results }: Context,
  { name, pod, address }: Resolver,
  load: Omit<Load, "server">,
  timed = false,
): Promise<Answered> {
  const answered = await dnsperf(pod, { server: address, ...load }, timed);
  const failed = Object.entries(answered.codes).filter(([code]) => code !== "NOERROR");
  if (failed.length > 0)
    results.errors.push(`dns, ${name}: ${failed.map(([code, count]) => `${count} ${code}`).join(", ")}`);
  // Under full load a server may drop what its socket can't hold.
  if (load.rate !== undefined && answered.lost > 0)
    results.errors.push(
      `dns, ${name}: ${answered.lost} of ${answered.sent} questions without an answer at ${load.rate}/s`,
    );
  return answered;
}

async function measured(
  context: Context,
  resolver: Resolver,
  load: Omit<Load, "server">,
): Promise<{ answered: Answered; cpu: number }> {
  const pids = await resolver.processes();
  const before = readCpuTime();
  const answered = await ask(context, resolver, load);
  return { answered, cpu: cpuUse(before, readCpuTime(), pids, []).processes / answered.completed };
}

function note({ results }: Context, id: string, title: string, { name }: Resolver, answered: Answered): void {
  addSample(results, { id, title, unit: "k/s" }, name, answered.perSecond / 1000);
  addSample(
    results,
    { id: `${id}.generator`, title: `${title}: dnsperf's own share of a processor`, unit: "%" },
    name,
    answered.generator * 100,
  );
}

function latencies(
  { results }: Context,
  id: string,
  title: string,
  { name }: Resolver,
  { latencies: sorted }: Answered,
): void {
  for (const [share, label] of [
    [0.5, "p50"],
    [0.99, "p99"],
  ] as const)
    addSample(
      results,
      { id: `${id}.${label}`, title: `${title}: ${label}`, unit: "ms" },
      name,
      percentile(sorted, share),
    );
}
