import { inSubnet, type Pool, windowOf } from "./pool.ts";

/** The subnet that DNS46 hands addresses out of, and those that it did so before, since this process started. */
export interface Subnets {
  /** From now on `pool`; undefined: none. */
  serve(pool: Pool | undefined): void;
  /**
   * Which of a host's addresses to answer with: one of the present subnet, else one made by hand, else one that drains:
   * DNS46 made it in an earlier subnet, which a lease tells as well. Within each kind the first.
   */
  best(
    host6: string,
    nat4s: readonly number[],
    leased?: (nat4: number) => boolean,
  ): { readonly nat4: number; readonly drains: boolean } | undefined;
}

export function createSubnets(): Subnets {
  let present: Pool | undefined;
  const earlier: Pool[] = [];

  /** An entry doesn't say who made it, but DNS46 only takes an address that is one of the host's candidates. */
  function madeEarlier(host6: string, nat4: number): boolean {
    return earlier.some((pool) => inSubnet(pool, nat4) && windowOf(pool, host6).includes(nat4));
  }

  return {
    serve(pool) {
      const before = present;
      present = pool;
      if (before === undefined || earlier.some((known) => isSame(known, before))) return;
      if (pool === undefined || !isSame(before, pool)) earlier.push(before);
    },
    best(host6, nat4s, leased = () => false) {
      const inside = nat4s.find((nat4) => present !== undefined && inSubnet(present, nat4));
      const lasting = inside ?? nat4s.find((nat4) => !leased(nat4) && !madeEarlier(host6, nat4));
      if (lasting !== undefined) return { nat4: lasting, drains: false };
      // Without a pool there is no other address to be had.
      return nat4s[0] === undefined ? undefined : { nat4: nat4s[0], drains: present !== undefined };
    },
  };
}

function isSame(a: Pool, b: Pool): boolean {
  return a.first === b.first && a.size === b.size && a.network === b.network && a.subnetSize === b.subnetSize;
}
