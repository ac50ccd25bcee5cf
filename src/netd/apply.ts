import { Eg46Error, explain } from "../errors.ts";
import type { Logger } from "../log.ts";
import { output, runCommand } from "./command.ts";
import type { Step } from "./steps.ts";
import { sysctlName, writeSysctl } from "./sysctl.ts";

type IpStep = Extract<Step, { tool: "ip" }>;

/**
 * Makes the steps in order. When one fails those before it are undone, last first, and the promise rejects with
 * EG46_HOST_NETWORK. Consecutive `ip` steps of a family go through one `ip -batch`: hundreds of pool addresses in
 * one process.
 */
export async function applySteps(steps: readonly Step[], log: Logger): Promise<void> {
  let done = 0;
  try {
    while (done < steps.length) done += await runSome(steps, done, log);
  } catch (error) {
    const failedAt = done + (error instanceof BatchError ? error.done : 0);
    await undoSteps(steps.slice(0, failedAt), log);
    throw error;
  }
}

/** Undoes steps, last first. What is gone already stays gone: failures are only logged. */
export async function undoSteps(steps: readonly Step[], log: Logger): Promise<void> {
  const backwards = [...steps].reverse();
  for (let done = 0; done < backwards.length; ) {
    const step = backwards[done]!;
    const group = step.tool === "ip" ? sameBatch(backwards, done) : [];
    try {
      if (step.tool === "ip")
        await forceBatch(
          step.family,
          group.map((one) => one.undo),
          log,
        );
      else await undoOne(step, log);
    } catch (error) {
      log.warn(explain(error));
    }
    done += Math.max(1, group.length);
  }
}

class BatchError extends Eg46Error {
  readonly done: number;
  constructor(message: string, done: number) {
    super("EG46_HOST_NETWORK", message);
    this.done = done;
  }
}

/** Runs the step at `from` and those that go with it; resolves with their number. */
async function runSome(steps: readonly Step[], from: number, log: Logger): Promise<number> {
  const step = steps[from]!;
  if (step.tool === "nft") await output("nft", ["-f", "-"], step.run);
  else if (step.tool === "link") await output("ip", step.run.split(" "));
  else if (step.tool === "sysctl") {
    writeSysctl(step.change.key, step.change.value);
    log.info(`sets sysctl ${sysctlName(step.change.key)}=${step.change.value} (was ${step.change.was})`);
  } else {
    const lines = sameBatch(steps, from).map((one) => one.run);
    // What went away by itself (with its device) needs no removal.
    if (step.removes) await forceBatch(step.family, lines, log);
    else await batch(step.family, lines);
    return lines.length;
  }
  return 1;
}

/** The `ip` steps from `from` on that one process can do. */
function sameBatch(steps: readonly Step[], from: number): IpStep[] {
  const first = steps[from];
  const group: IpStep[] = [];
  for (const next of steps.slice(from)) {
    if (next.tool !== "ip" || first?.tool !== "ip") break;
    if (next.family !== first.family || next.removes !== first.removes) break;
    group.push(next);
  }
  return group;
}

async function forceBatch(family: 4 | 6, lines: readonly string[], log: Logger): Promise<void> {
  const { stderr } = await runCommand("ip", ["-force", `-${family}`, "-batch", "-"], `${lines.join("\n")}\n`);
  if (stderr !== "") log.debug(`removing: ${stderr}`);
}

async function batch(family: 4 | 6, lines: readonly string[]): Promise<void> {
  const { code, stderr } = await runCommand("ip", [`-${family}`, "-batch", "-"], `${lines.join("\n")}\n`);
  if (code === 0) return;
  const failed = /Command failed -:(\d+)/.exec(stderr);
  const line = failed ? Number(failed[1]) - 1 : 0;
  const answer = stderr.replace(/\s*Command failed -:\d+/, "");
  throw new BatchError(`'ip -${family} ${lines[line]}' failed: ${answer}`, line);
}

async function undoOne(step: Exclude<Step, IpStep>, log: Logger): Promise<void> {
  if (step.tool === "nft") await output("nft", ["-f", "-"], step.undo);
  else if (step.tool === "link") await output("ip", step.undo.split(" "));
  else {
    writeSysctl(step.change.key, step.change.was);
    log.info(`sets sysctl ${sysctlName(step.change.key)}=${step.change.was} back`);
  }
}
