import type { EgressConfig } from "../config/resolve.ts";
import { portBlockSizes } from "../engine/behaviour.ts";
import { addressAt, countBlocks, countPositions, largestFit, planBlocks } from "../engine/port-blocks.ts";
import type { PoolEntry } from "../engine/settings.ts";

/** What of --port-block can't be had: for each outer family that Pods use, by the worker with the fewest blocks. */
export function blockWarnings(
  size: number,
  egress: EgressConfig,
  internalNets: readonly string[],
  pools: readonly (readonly PoolEntry[])[],
): string[] {
  const six = egress.dns !== undefined || egress.dualStack;
  const families = ([4, 6] as const).filter((family) => family === 4 || six);
  return [
    ...families.flatMap((family) => {
      const plans = pools.map((pool) => planBlocks(size, internalNets, pool));
      const [worst] = plans
        .map((plan, worker) => ({ plan, worker, blocks: countBlocks(plan[family]) }))
        .filter(({ plan }) => plan[family].entries.length > 0)
        .sort((a, b) => a.blocks - b.blocks);
      if (worst === undefined) return [];
      const { plan, worker, blocks } = worst;
      const positions = countPositions(plan, family === 6 ? egress.dualStack : egress.nat64 !== undefined);
      if (BigInt(blocks) >= positions) return [];
      const fit = largestFit(plan[family], positions);
      const { perAddress } = planBlocks(portBlockSizes.smallest, internalNets, pools[worker]!)[family];
      const remedy =
        fit !== undefined
          ? `the largest size that fits is ${fit}`
          : perAddress === 0
            ? "no size fits"
            : `no size fits: at ${portBlockSizes.smallest} ports it takes ${ceilDivide(positions, perAddress)} SNAT addresses`;
      const of = pools.length > 1 ? ` of worker ${worker}` : "";
      return [
        `--port-block ${size}: the internal networks hold ${positions} addresses, the IPv${family} SNAT addresses${of} have ${blocks} blocks: Pods from ${addressAt(plan, BigInt(blocks))} on are refused (SNAT_BLOCK_MISSING); ${remedy}`,
      ];
    }),
    ...(egress.snat.kind === "automap" ? [automapWarning(pools.flat())] : []),
  ];
}

function automapWarning(pool: readonly PoolEntry[]): string {
  const ranges = pool.map(({ address, firstPort, lastPort }) => `${address} ${firstPort}-${lastPort}`);
  return `--port-block with automap: blocks lie in the ports that were free at this start (${ranges.join(", ")}), after the next one perhaps in others: a SNAT pool keeps them`;
}

function ceilDivide(dividend: bigint, divisor: number): bigint {
  return (dividend + BigInt(divisor) - 1n) / BigInt(divisor);
}
