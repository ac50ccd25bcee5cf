import { randomBytes } from "node:crypto";
import { createCleanup } from "../../../src/lab/cleanup.ts";
import { createNetns } from "../../../src/lab/netns.ts";
import type { Contender } from "./contender.ts";

/** No gateway: Pod and host on one link. Shows what the generators alone do and cost. */
export async function direct(prefix: string): Promise<Contender> {
  const cleanup = createCleanup();
  const base = `${prefix}-${randomBytes(3).toString("hex")}`;
  try {
    const internet = createNetns(`${base}-internet`, cleanup);
    const pod = createNetns(`${base}-pod0`, cleanup);
    await internet.ip([
      "link set lo up",
      `link add eth0 type veth peer name eth0 netns ${pod.name}`,
      "addr add 10.244.1.1/24 dev eth0",
      "link set eth0 up",
    ]);
    await pod.ip(["link set lo up", "addr add 10.244.1.10/24 dev eth0", "link set eth0 up"]);
    return {
      name: "direct",
      pods: [pod],
      internet,
      gateway: undefined,
      target: "10.244.1.1",
      close: () => cleanup.run(),
    };
  } catch (error) {
    cleanup.run();
    throw error;
  }
}
