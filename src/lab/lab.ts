import { once } from "node:events";
import { labAddresses } from "./addresses.ts";
import { endingSignals } from "./cleanup.ts";
import { isRoot, requireLabTools, requireTun } from "./prerequisites.ts";
import { createPrinter, type Printer } from "./print.ts";
import { type Lab, setupSteps } from "./setup-steps.ts";
import { runSteps } from "./step.ts";
import { trafficSteps } from "./traffic-steps.ts";
import { insideUserNamespace, prepareUserNamespace, runInUserNamespace } from "./user-namespace.ts";

export interface LabOptions {
  /** End after the last step. Otherwise the lab stays up until a signal comes. */
  readonly once: boolean;
}

/** Resolves to the exit status. Throws EG46_PREREQUISITE if the machine lacks something. */
export async function runLab(options: LabOptions): Promise<number> {
  const printer = createPrinter();
  await requireLabTools(printer.line);
  if (!isRoot()) return runInUserNamespace();
  requireTun();
  if (insideUserNamespace) await prepareUserNamespace(labAddresses.resolver);

  // Its fields are filled in by the set-up steps, in order.
  const lab = {} as Lab;
  const interruption = closeOnSignal(lab);
  printer.line("egress46 lab: an IPv4-only Pod, a gateway and an internet, in namespaces of this machine\n");
  const steps = [...setupSteps(lab, !insideUserNamespace), ...trafficSteps(lab)];
  const failed = await runSteps(steps, printer, interruption.signal);
  if (interruption.signal.aborted) process.exit(await interruption.closed);
  const held = failed === undefined;
  if (!held) printLog(lab, printer);
  if (held && !options.once) await stayUp(lab, printer, interruption.signal);
  if (interruption.signal.aborted) await interruption.closed;
  await close(lab);
  printer.line(held ? "\nEvery step held; nothing is left behind." : `\nThis step did not hold: ${failed}`);
  return held ? 0 : 1;
}

interface Interruption {
  readonly signal: AbortSignal;
  /** After a signal came and the lab is closed: the exit status that stands for the signal. */
  readonly closed: Promise<number>;
}

/** The first signal closes the lab, a second one ends the process at once (its exit cleans up, too). */
function closeOnSignal(lab: Lab): Interruption {
  const controller = new AbortController();
  const closed = new Promise<number>((resolve) => {
    for (const [name, code] of Object.entries(endingSignals))
      process.on(name, () => {
        if (controller.signal.aborted) process.exit(code);
        controller.abort();
        void close(lab).then(() => resolve(code));
      });
  });
  return { signal: controller.signal, closed };
}

/** The end of what the gateway wrote: where to look when a step doesn't hold. */
function printLog({ gateway }: Partial<Lab>, printer: Printer): void {
  const log = gateway?.stderr().trimEnd() ?? "";
  if (log !== "")
    printer.line(`\nThe gateway's log ends with:\n  ${log.split("\n").slice(-20).join("\n  ")}`);
}

async function close({ gateway, topology }: Partial<Lab>): Promise<void> {
  await gateway?.stop();
  topology?.close();
}

async function stayUp(lab: Lab, printer: Printer, signal: AbortSignal): Promise<void> {
  const shell = `ip netns exec ${lab.topology.pods[0].name} ${process.env.SHELL ?? "sh"}`;
  const enter = insideUserNamespace
    ? `nsenter --target ${process.pid} --user --net --mount --preserve-credentials ${shell}`
    : shell;
  printer.line(`\nThe lab stays up until Ctrl-C. A shell of the Pod, in another terminal:\n  ${enter}`);
  const how = await Promise.race([once(signal, "abort"), lab.gateway.exited]);
  if (!signal.aborted) throw new Error(`the gateway ended (${how}):\n${lab.gateway.stderr()}`);
}
