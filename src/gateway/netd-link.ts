import { Eg46Error } from "../errors.ts";
import type { NetworkPlan, ToGateway, ToNetd } from "../netd/protocol.ts";

/** The gateway's end of the IPC channel to netd. */
export interface NetdLink {
  /** Resolves when the host's network is as planned. Rejects with EG46_HOST_NETWORK. */
  plan(plan: NetworkPlan): Promise<void>;
  ready(line: string): void;
  /** The gateway cannot start: netd says why; this process ends. */
  fatal(text: string): void;
}

/** `other` gets every message but the answers to plans. Without netd there is no gateway: it dies with it. */
export function connectNetd(other: (message: Exclude<ToGateway, { type: "planned" }>) => void): NetdLink {
  const plans = new Map<number, { resolve(): void; reject(error: Error): void }>();
  let nextId = 1;
  const send = (message: ToNetd) => process.send?.(message);
  process.on("message", (message: ToGateway) => {
    if (message.type !== "planned") return other(message);
    const waiting = plans.get(message.id);
    plans.delete(message.id);
    if (message.error === undefined) waiting?.resolve();
    else waiting?.reject(new Eg46Error("EG46_HOST_NETWORK", message.error));
  });
  // Not process.exit: a worker may be inside a system call, and traffic must stop now.
  process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));
  return {
    plan(plan) {
      return new Promise((resolve, reject) => {
        const id = nextId++;
        plans.set(id, { resolve, reject });
        send({ type: "plan", id, plan });
      });
    },
    ready: (line) => send({ type: "ready", line }),
    fatal: (text) => process.send?.({ type: "fatal", text } satisfies ToNetd, () => process.exit(1)),
  };
}
