import { isRoot, lacking, tunProblem } from "../../src/lab/prerequisites.ts";
import type { Context } from "../part.ts";
import { type Contender, reachable } from "./contenders/contender.ts";
import { direct } from "./contenders/direct.ts";
import { ebpf } from "./contenders/ebpf.ts";
import { egress46 } from "./contenders/egress46.ts";
import { kernel6, masquerade4 } from "./contenders/kernel.ts";
import { tayga } from "./contenders/tayga.ts";

const prefix = "eg46bench";
const pods = 4;

const builders = {
  direct: () => direct(prefix),
  egress46: () => egress46(prefix, pods, 1),
  "egress46 ×2": () => egress46(prefix, pods, 2),
  ebpf: () => ebpf(prefix, pods),
  kernel6: () => kernel6(prefix, pods),
  masquerade4: () => masquerade4(prefix, pods),
  tayga: () => tayga(prefix, pods),
} as const satisfies Record<string, () => Promise<Contender>>;

export type ContenderName = keyof typeof builders;

/** The contenders that can run here, each in namespaces of its own; what can't is noted in the results. */
export async function withContenders(
  context: Context,
  names: readonly ContenderName[],
  tools: readonly string[],
  use: (contenders: readonly Contender[]) => Promise<void>,
): Promise<void> {
  const contenders: Contender[] = [];
  try {
    for (const name of names) {
      const reason = obstacle(name, tools);
      if (reason !== undefined) {
        noteNotRun(context, name, reason);
        continue;
      }
      const contender = await builders[name]();
      contenders.push(contender);
      await reachable(contender);
    }
    if (contenders.length > 0) await use(contenders);
  } finally {
    for (const contender of contenders) contender.close();
  }
}

function obstacle(name: ContenderName, tools: readonly string[]): string | undefined {
  if (!isRoot()) return "needs root";
  const own = {
    tayga: ["tayga"],
    ebpf: ["clang", "tc"],
    masquerade4: ["nft"],
    egress46: ["nft"],
    "egress46 ×2": ["nft"],
  };
  const commands = ["ip", "ping", "nstat", ...tools, ...(own[name as keyof typeof own] ?? [])];
  const [missing] = lacking(commands.map((command) => ({ command, debianPackage: command })));
  if (missing !== undefined) return `the command ${missing.command} is missing`;
  return name === "tayga" || name.startsWith("egress46") ? tunProblem() : undefined;
}

function noteNotRun({ results }: Context, what: string, reason: string): void {
  if (!results.notRun.some((entry) => entry.what === what)) results.notRun.push({ what, reason });
}
