import { type Cidr, ipv4ToNumber, ipv6ToBytes } from "../addresses.ts";

/** The addresses of a prefix as numbers, inclusive: what prefixes by the thousand are compared by. */
export interface Range {
  readonly family: 4 | 6;
  readonly first: bigint;
  readonly last: bigint;
}

export function rangeOf({ family, network, prefixLength }: Cidr): Range {
  const first =
    family === 4
      ? BigInt(ipv4ToNumber(network))
      : BigInt(`0x${Buffer.from(ipv6ToBytes(network)).toString("hex")}`);
  return { family, first, last: first + (1n << BigInt((family === 4 ? 32 : 128) - prefixLength)) - 1n };
}

export function contains(outer: Range, inner: Range): boolean {
  return outer.family === inner.family && outer.first <= inner.first && inner.last <= outer.last;
}

/** Order in which a prefix comes right before those that lie in it. */
export function nestingOrder(a: Range, b: Range): number {
  if (a.family !== b.family) return a.family - b.family;
  if (a.first !== b.first) return a.first < b.first ? -1 : 1;
  return a.last === b.last ? 0 : a.last > b.last ? -1 : 1;
}

/** Tells whether one of `prefixes` contains a range, in log(n) steps. */
export function cover(prefixes: readonly Range[]): (range: Range) => boolean {
  const outermost: Range[] = [];
  for (const each of [...prefixes].sort(nestingOrder)) {
    const before = outermost.at(-1);
    if (before === undefined || !contains(before, each)) outermost.push(each);
  }
  return (range) => {
    let [low, high] = [0, outermost.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (nestingOrder(outermost[middle]!, range) <= 0) low = middle + 1;
      else high = middle;
    }
    const nearest = outermost[low - 1];
    return nearest !== undefined && contains(nearest, range);
  };
}
