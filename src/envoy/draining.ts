/** SNAT addresses that left the pool: connections that have one go on for a while. */
export interface Draining {
  /** The addresses of the pool and those that left it a short while ago. */
  with(addresses: readonly string[]): string[];
}

/** Longer than most connections; an address may be somebody else's afterwards. */
const drainMs = 10 * 60_000;

/** `ended` is called when an address has been gone for long enough: {@link Draining.with} doesn't say it any more then. */
export function createDraining(
  ended: () => void = () => {},
  now: () => number = () => performance.now(),
): Draining {
  let timer: NodeJS.Timeout | undefined;
  let present = new Set<string>();
  const goneAt = new Map<string, number>();
  return {
    with(addresses) {
      const next = new Set(addresses);
      for (const address of present) if (!next.has(address)) goneAt.set(address, now());
      for (const [address, at] of goneAt)
        if (next.has(address) || now() - at >= drainMs) goneAt.delete(address);
      present = next;
      clearTimeout(timer);
      const [first] = goneAt.values();
      if (first !== undefined) timer = setTimeout(ended, Math.ceil(first + drainMs - now()) + 1).unref();
      return [...next, ...goneAt.keys()];
    },
  };
}
