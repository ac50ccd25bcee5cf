import type { Snapshot } from "../config/observe.ts";
import type { ConfigSource } from "../config/source.ts";
import { Eg46Error } from "../errors.ts";
import type { Certificates } from "../mappings/certificates.ts";
import type { NetworkPlan, ToGateway, ToNetd } from "../netd/protocol.ts";

/** The gateway's end of the IPC channel to netd. */
export interface NetdLink {
  /** Resolves when the host's network is as planned. Rejects with EG46_HOST_NETWORK or EG46_DNS_LISTEN. */
  plan(plan: NetworkPlan): Promise<void>;
  /** What netd reads in the files: first the snapshot given here, then each change. */
  configSource(first: Snapshot): ConfigSource;
  /** Those that netd read last: first the ones given here. */
  certificates(first: Certificates): () => Certificates;
  /** What this process is doing from now on, as a word in -ing with what follows. */
  phase(phase: string): void;
  ready(line: string): void;
  /** The gateway cannot start: netd says why; this process ends. */
  fatal(text: string): void;
}

type Other = Exclude<ToGateway, { type: "planned" | "config" | "certificates" | "ping" }>;

/** `other` gets every message that isn't answered here. Without netd there is no gateway: it dies with it. */
export function connectNetd(other: (message: Other) => void): NetdLink {
  const plans = new Map<number, { resolve(): void; reject(error: Error): void }>();
  let nextId = 1;
  let configChanged = (_: Snapshot) => {};
  let latest: Certificates | undefined;
  const send = (message: ToNetd) => process.send?.(message);
  process.on("message", (message: ToGateway) => {
    switch (message.type) {
      case "planned":
        return planned(message);
      case "config":
        return configChanged(message.snapshot);
      case "certificates":
        latest = message.certificates;
        return;
      case "ping":
        return send({ type: "pong" });
      default:
        return other(message);
    }
  });
  // Not process.exit: a worker may be inside a system call, and traffic must stop now.
  process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));

  function planned({ id, error, code }: ToGateway & { type: "planned" }): void {
    const waiting = plans.get(id);
    plans.delete(id);
    if (error === undefined) waiting?.resolve();
    else waiting?.reject(new Eg46Error(code ?? "EG46_HOST_NETWORK", error));
  }

  return {
    plan(plan) {
      return new Promise((resolve, reject) => {
        const id = nextId++;
        plans.set(id, { resolve, reject });
        send({ type: "plan", id, plan });
      });
    },
    configSource: (first) => ({
      async start(listener, signal) {
        configChanged = (snapshot) => {
          if (!signal.aborted) listener(snapshot);
        };
        return first;
      },
    }),
    certificates: (first) => () => latest ?? first,
    phase: (phase) => send({ type: "phase", phase }),
    ready: (line) => send({ type: "ready", line }),
    fatal: (text) => process.send?.({ type: "fatal", text } satisfies ToNetd, () => process.exit(1)),
  };
}
