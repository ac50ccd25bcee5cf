/** Whether Envoy has the clusters of its file yet. */
import { setTimeout as pause } from "node:timers/promises";
import { fetchAdmin } from "./admin.ts";
import { clusterName } from "./clusters.ts";

const lookMs = 20;
/** Envoy's workers have a cluster shortly after its admin interface tells of it. */
const restMs = 50;

/** Resolves when Envoy has a cluster for each address, isn't there at all, or after `withinMs`. */
export async function clustersThere(
  admin: string,
  addresses: readonly string[],
  withinMs: number,
): Promise<void> {
  for (const until = performance.now() + withinMs; performance.now() < until; await pause(lookMs)) {
    const text = await fetchAdmin(admin, "/clusters").catch(() => undefined);
    // One that starts later reads the files as they are then.
    if (text === undefined) return;
    if (addresses.every((address) => text.includes(`${clusterName(address)}::added_via_api::true`))) break;
  }
  await pause(restMs);
}
