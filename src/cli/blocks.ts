import type { Command } from "commander";
import { isIpv4, isIpv6 } from "../addresses.ts";
import { loadFiles } from "../config/files.ts";
import { formatProblem } from "../config/problem.ts";
import { type EgressConfig, resolveEgress } from "../config/resolve.ts";
import { planBlocks } from "../engine/port-blocks.ts";
import { Eg46Error } from "../errors.ts";
import { type AssignedBlock, blocksOfPod, blocksOfWorkers, podOfPort } from "../gateway/assigned-blocks.ts";
import { desire } from "../gateway/desired.ts";
import { portBlockOption } from "./behaviour-options.ts";
import { blockNets, parseWorkers } from "./network-options.ts";
import { outputOption, print, printJson } from "./output.ts";
import { formatTable } from "./table.ts";

interface BlocksFlags {
  readonly file: string[];
  readonly internalNet: string[];
  readonly portBlock: number;
  readonly workers: number;
  readonly output: string;
}

const help = `
Examples:
  Who had this port?       egress46 blocks 198.51.100.9:4711 -f crs/ --internal-net 10.244.0.0/16 --port-block 64
  What has this Pod?       egress46 blocks 10.244.0.7 -f crs/ --internal-net 10.244.0.0/16 --port-block 64
  An IPv6 SNAT address:    egress46 blocks '[2001:db8::9]:4711' …

Files and options must be those that the gateway had at the time in question; nothing else is needed, nothing was logged.`;

export function registerBlocks(program: Command): void {
  program
    .command("blocks [query]")
    .description(
      "tell by computation which Pod had a SNAT address and port, or which ports a Pod has (RFC 7422)",
    )
    .requiredOption("-f, --file <path...>", "the CRs of the gateway")
    .requiredOption("--internal-net <cidr...>", "its --internal-net, in the same order")
    .option("--workers <n>", "its --workers", parseWorkers, 1)
    .addOption(outputOption())
    .addHelpText("after", help)
    .addOption(portBlockOption().makeOptionMandatory())
    .action(async (query: string | undefined, flags: BlocksFlags) => {
      if (flags.portBlock === 0)
        throw new Eg46Error(
          "EG46_USAGE",
          "--port-block 0: Pods shared all ports, only a log could tell whose one was",
        );
      const nets = blockNets(flags.internalNet);
      const egress = await readEgress(flags.file);
      const plans = poolsOf(egress, nets, flags.workers).map((pool) =>
        planBlocks(flags.portBlock, nets, pool),
      );
      const rows = query === undefined ? blocksOfWorkers(plans) : answer(query, plans);
      if (flags.output === "json") printJson({ blocks: rows });
      else print(rows.length === 0 ? nobody(query, flags.portBlock) : formatBlocks(rows));
      if (rows.length === 0) process.exitCode = 1;
    });
}

function answer(query: string, plans: Parameters<typeof blocksOfPod>[0]): AssignedBlock[] {
  if (isIpv4(query) || isIpv6(query)) return blocksOfPod(plans, query);
  const [, six, four, digits] = /^(?:\[(.+)\]|([^:]+)):(\d{1,5})$/.exec(query) ?? [];
  const port = Number(digits);
  if (!(port <= 65535) || !(four === undefined ? isIpv6(six ?? "") : isIpv4(four)))
    throw new Eg46Error(
      "EG46_USAGE",
      `'${query}' is neither a Pod's address nor ADDRESS:PORT such as 198.51.100.9:4711 or [2001:db8::9]:4711`,
    );
  return podOfPort(plans, (four ?? six)!, port);
}

function nobody(query: string | undefined, size: number): string {
  if (query === undefined) return `no SNAT address has room for a block of ${size} ports`;
  return isIpv4(query) || isIpv6(query)
    ? `${query} has no block: it lies in no internal network, or beyond the last block`
    : `${query} is no Pod's: it lies in no block, or in one that no Pod of its worker has`;
}

export function formatBlocks(rows: readonly AssignedBlock[]): string {
  return formatTable(
    [
      { title: "Pods", align: "left" },
      { title: "SNAT address", align: "left" },
      { title: "ports", align: "left" },
      { title: "worker", align: "right" },
    ],
    rows.map(({ firstPod, lastPod, address, firstPort, lastPort, worker }) => [
      firstPod === lastPod ? firstPod : `${firstPod} - ${lastPod}`,
      address,
      `${firstPort}-${lastPort}`,
      String(worker),
    ]),
  );
}

async function readEgress(files: readonly string[]): Promise<EgressConfig> {
  const { resources, problems } = await loadFiles(files);
  const errors = problems.filter(({ level }) => level === "error").map(formatProblem);
  if (errors.length > 0)
    throw new Eg46Error("EG46_CONFIG_INVALID", `the configuration has errors\n${errors.join("\n")}`);
  const resolution = resolveEgress(resources);
  if (resolution.state === "active") return resolution.egress;
  const why = resolution.state === "waiting" ? `it waits: ${resolution.reason}` : "there is no F5SPKEgress";
  throw new Eg46Error("EG46_USAGE", `no egress would be in force with these files: ${why}`);
}

/** A SNAT pool doesn't depend on the host. */
const noHost = {
  ...{ tuns: [], internal: [], external: [], routeMtus: [], defaultSources: [] },
  descriptorChannel: 0,
};

/** Of the workers that have Pods. */
function poolsOf(egress: EgressConfig, internalNets: readonly string[], workers: number) {
  if (egress.snat.kind !== "pool")
    throw new Eg46Error(
      "EG46_USAGE",
      "only blocks of a SNAT pool can be computed: automap takes the ports that are free when the gateway starts",
    );
  const { settings, plan } = desire(egress, { ...noHost, internalNets }, workers);
  return settings.slice(0, plan.workers).map(({ pool }) => pool);
}
