import { setTimeout as sleep } from "node:timers/promises";
import { closeTun, openTun, type Tun } from "../dataplane/tun.ts";
import { Eg46Error } from "../errors.ts";

/** A predecessor that was just killed may still hold its devices. */
const busyRetryMs = 3000;
const retryEveryMs = 50;

/** Creates eg46-0 … eg46-(n−1), down and without addresses. All or none. */
export async function openTuns(count: number): Promise<Tun[]> {
  const tuns: Tun[] = [];
  try {
    for (let worker = 0; worker < count; worker++) tuns.push(await openWhenFree(`eg46-${worker}`));
    return tuns;
  } catch (error) {
    tuns.forEach(closeTun);
    throw error;
  }
}

async function openWhenFree(name: string): Promise<Tun> {
  for (const until = Date.now() + busyRetryMs; ; await sleep(retryEveryMs)) {
    try {
      return openTun(name);
    } catch (cause) {
      const code = (cause as NodeJS.ErrnoException).code;
      if (code === "EBUSY" && Date.now() < until) continue;
      if (code === "EBUSY")
        throw new Eg46Error(
          "EG46_ALREADY_RUNNING",
          `another gateway runs in this network namespace: it holds ${name}`,
        );
      throw new Eg46Error("EG46_PREREQUISITE", `cannot create ${name}: ${(cause as Error).message}`, {
        cause,
      });
    }
  }
}
