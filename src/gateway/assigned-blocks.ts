import { bytesToIpv6, ipv6ToBytes, isIpv4 } from "../addresses.ts";
import {
  addressAt,
  type BlockPlan,
  blockAt,
  blockNumberOf,
  countBlocks,
  countPositions,
  positionOf,
} from "../engine/port-blocks.ts";
import { workerOf } from "../netd/spread.ts";

/** Ports of a SNAT address and the Pods that have them; the ports of several Pods are adjoining blocks. */
export interface AssignedBlock {
  readonly worker: number;
  readonly firstPod: string;
  readonly lastPod: string;
  readonly address: string;
  /** Inclusive. */
  readonly firstPort: number;
  readonly lastPort: number;
}

/** `plans`: one a worker. At most one block of each family: those on the Pod's own worker. */
export function blocksOfPod(plans: readonly BlockPlan[], pod: string): AssignedBlock[] {
  const worker = workerOf(pod, plans.length);
  const plan = plans[worker]!;
  const position = positionOf(plan, pod);
  if (position === undefined) return [];
  const name = isIpv4(pod) ? pod : bytesToIpv6(ipv6ToBytes(pod));
  return ([4, 6] as const).flatMap((family) => {
    const block = blockAt(plan, family, position);
    return block === undefined ? [] : [assigned(worker, name, name, block)];
  });
}

/** Empty: no Pod has the port. */
export function podOfPort(plans: readonly BlockPlan[], address: string, port: number): AssignedBlock[] {
  for (const [worker, plan] of plans.entries()) {
    const number = blockNumberOf(plan, address, port);
    const pod = number === undefined ? undefined : addressAt(plan, number);
    if (number === undefined || pod === undefined) continue;
    // A worker has blocks for all Pods, but not the Pods.
    if (workerOf(pod, plans.length) !== worker) continue;
    return blocksOfPod(plans, pod).filter(
      (each) => each.firstPort <= port && port <= each.lastPort && isIpv4(each.address) === isIpv4(address),
    );
  }
  return [];
}

/** One entry for each SNAT address that has blocks of Pods; of several workers' entries each Pod has one. */
export function blocksOfWorkers(plans: readonly BlockPlan[]): AssignedBlock[] {
  return plans.flatMap((plan, worker) =>
    ([4, 6] as const).flatMap((family) => {
      const { entries, perAddress } = plan[family];
      const positions = countPositions(plan, true);
      return entries.flatMap((_, rank) => {
        const from = BigInt(rank * perAddress);
        const upTo = BigInt(Math.min((rank + 1) * perAddress, countBlocks(plan[family])));
        const to = (upTo < positions ? upTo : positions) - 1n;
        if (to < from) return [];
        const [first, last] = [blockAt(plan, family, from)!, blockAt(plan, family, to)!];
        return [assigned(worker, podAt(plan, from), podAt(plan, to), { ...first, last: last.last })];
      });
    }),
  );
}

function podAt(plan: BlockPlan, position: bigint): string {
  return addressAt(plan, position) ?? "nobody";
}

function assigned(
  worker: number,
  firstPod: string,
  lastPod: string,
  { address, first, last }: { address: string; first: number; last: number },
): AssignedBlock {
  return { worker, firstPod, lastPod, address, firstPort: first, lastPort: last };
}
