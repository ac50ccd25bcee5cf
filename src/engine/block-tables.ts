import { engineBytes } from "./address-form.ts";
import type { EngineLayout } from "./engine.ts";
import { blockNetOffsets, portBlocksOffsets } from "./layout.gen.ts";
import type { BlockPlan } from "./port-blocks.ts";
import type { PoolEntry } from "./settings.ts";

/** Places of a family in the engine's order of pool addresses, and what stands for an address that has no place. */
const orderPlaces = 1024;
const noPlace = 0xffff;
/** No pool has so many blocks; the engine adds 32 bits to it. */
const beyond = 1n << 62n;

/** For each pool entry everything that decides whose its blocks are. */
export function blockKeys(plan: BlockPlan): ReadonlyMap<unknown, string> {
  const nets = plan.nets.map(({ cidr }) => `${cidr.network}/${cidr.prefixLength}`);
  const families = [plan[4], plan[6]];
  return new Map(
    families.flatMap(({ entries, perAddress }) =>
      entries.map((entry, rank) => [entry, JSON.stringify([plan.size, rank, perAddress, nets])] as const),
    ),
  );
}

/** `placeOf`: where the engine has a pool entry. Without a plan there are no blocks. */
export function writeBlocks(
  view: DataView,
  layout: EngineLayout,
  plan: BlockPlan | undefined,
  placeOf: (entry: PoolEntry) => number | undefined,
): void {
  const set = (field: keyof typeof portBlocksOffsets, value: number) =>
    view.setUint32(layout.portBlocks + portBlocksOffsets[field], value, true);
  set("size", plan?.size ?? 0);
  if (plan === undefined) return;
  const bytes = new Uint8Array(view.buffer);
  plan.nets.forEach(({ cidr, first }, index) => {
    const { network, mask } = engineBytes(cidr);
    const at = layout.blockNets + index * blockNetOffsets.sizeof;
    bytes.set(network, at + blockNetOffsets.lo);
    bytes.set(mask, at + blockNetOffsets.maskLo);
    view.setBigUint64(at + blockNetOffsets.first, first < beyond ? first : beyond, true);
  });
  set("netCount", plan.nets.length);
  set("perAddress4", plan[4].perAddress);
  set("perAddress6", plan[6].perAddress);
  set("count4", Math.min(plan[4].entries.length, orderPlaces));
  set("count6", Math.min(plan[6].entries.length, orderPlaces));
  [plan[4], plan[6]].forEach(({ entries }, family) => {
    entries.slice(0, orderPlaces).forEach((entry, rank) => {
      const at = layout.blockOrder + (family * orderPlaces + rank) * 2;
      view.setUint16(at, placeOf(entry) ?? noPlace, true);
    });
  });
}
