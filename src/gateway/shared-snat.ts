import type { PoolEntry } from "../engine/settings.ts";
import type { SharedPorts } from "../netd/protocol.ts";

export interface Share {
  readonly worker: number;
  readonly entry: PoolEntry;
}

/** Addresses that all workers have, and each worker's slice of their ports. */
export function sharedPorts(
  addresses: readonly string[],
  workers: number,
  [low, high]: readonly [first: number, last: number],
): SharedPorts {
  const size = Math.floor((high - low + 1) / workers);
  const slices = Array.from({ length: workers }, (_, worker) => {
    const first = low + worker * size;
    return { worker, ports: [first, first + size - 1] as const };
  });
  return { addresses, slices };
}

export function sharedShares({ addresses, slices }: SharedPorts): Share[] {
  return slices.flatMap(({ worker, ports: [firstPort, lastPort] }) =>
    addresses.map((address) => ({ worker, entry: { address, inbound: address, firstPort, lastPort } })),
  );
}
