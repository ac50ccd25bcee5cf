import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { createCleanup } from "../../src/lab/cleanup.ts";
import { environment } from "../../src/lab/execute.ts";
import type { Netns } from "../../src/lab/netns.ts";

/** A generator or sink of bench/path/agents as a process inside a namespace. */
export interface Agent {
  readonly pid: number;
  /** Sends a line and resolves to the answer; rejects if there is none within the time. */
  ask<Answer>(withinSeconds: number): Promise<Answer>;
  end(): Promise<void>;
}

export type AgentName = "udp-send" | "udp-receive" | "connect" | "accept";

/** Resolves once it is ready. */
export async function startAgent(netns: Netns, name: AgentName, args: readonly string[]): Promise<Agent> {
  const script = fileURLToPath(new URL(`agents/${name}.js`, import.meta.url));
  const [program = "", ...rest] = netns.inside([process.execPath, script, ...args]);
  const child: ChildProcess = spawn(program, rest, {
    env: environment,
    stdio: ["pipe", "pipe", "pipe"],
  });
  const cleanup = createCleanup();
  cleanup.defer(() => child.kill("SIGKILL"));
  let log = "";
  child.stderr!.setEncoding("utf8").on("data", (text: string) => {
    log += text;
  });
  child.stdin!.on("error", () => {});
  const closed = once(child, "close");
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();

  async function nextAnswer<Answer>(withinSeconds: number): Promise<Answer> {
    const line = await Promise.race([
      lines.next().then(({ value }) => value as string | undefined),
      sleep(withinSeconds * 1000, undefined, { ref: false }),
    ]);
    if (line === undefined) {
      cleanup.run();
      throw new Error(`${name} in ${netns.name} gave no answer within ${withinSeconds} s\n${log}`.trimEnd());
    }
    return JSON.parse(line) as Answer;
  }

  await nextAnswer(10);
  return {
    pid: child.pid!,
    ask(withinSeconds) {
      child.stdin!.write("\n");
      return nextAnswer(withinSeconds);
    },
    async end() {
      cleanup.run();
      await closed;
    },
  };
}
