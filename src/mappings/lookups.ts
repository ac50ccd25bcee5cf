import { Eg46Error } from "../errors.ts";

/** Questions to the store about single addresses, which packets bring up: bounded, and each asked once at a time. */
export interface Lookups {
  /** The host of an address that isn't known here. Rejects with EG46_STORE_UNAVAILABLE, also beyond `most` at once. */
  ask(nat4: number, most?: number): Promise<string | undefined>;
}

/** So long it isn't asked again what isn't there. */
const absentMs = 400;
const maxAbsent = 4096;
const maxAtOnce = 256;

/** `read` asks the store. */
export function createLookups(
  storeName: string,
  read: (nat4: number) => Promise<string | undefined>,
): Lookups {
  const underWay = new Map<number, Promise<string | undefined>>();
  const absentUntilMs = new Map<number, number>();

  async function readOnce(nat4: number): Promise<string | undefined> {
    const host6 = await read(nat4);
    if (host6 === undefined) rememberAbsent(nat4);
    return host6;
  }

  function rememberAbsent(nat4: number): void {
    absentUntilMs.delete(nat4);
    absentUntilMs.set(nat4, performance.now() + absentMs);
    for (const oldest of absentUntilMs.keys()) {
      if (absentUntilMs.size <= maxAbsent) break;
      absentUntilMs.delete(oldest);
    }
  }

  return {
    async ask(nat4, most = maxAtOnce) {
      if (performance.now() < (absentUntilMs.get(nat4) ?? 0)) return undefined;
      const shared = underWay.get(nat4);
      if (shared !== undefined) return shared;
      if (underWay.size >= most)
        throw new Eg46Error("EG46_STORE_UNAVAILABLE", `${storeName}: too many look-ups at once`);
      const work = readOnce(nat4).finally(() => underWay.delete(nat4));
      underWay.set(nat4, work);
      return work;
    },
  };
}
