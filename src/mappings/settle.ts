import { Eg46Error } from "../errors.ts";
import { decodeValue } from "./codec.ts";
import type { MappingTable } from "./mapping-table.ts";
import type { MappingSync } from "./sync.ts";

/** What the store holds at an address; `value` undefined: nothing. */
interface Read {
  readonly nat4: number;
  readonly value: string | undefined;
}

/**
 * Runs `read` and installs what it says; when somebody changed that meanwhile, it is asked again. Undefined says nothing
 * of any address. Rejects with EG46_STORE_UNAVAILABLE.
 */
export type Settle = <T extends Read | undefined>(read: () => Promise<T>) => Promise<T>;

const attempts = 3;

export function createSettle(
  storeName: string,
  table: MappingTable,
  sync: Pick<MappingSync, "reading" | "apply">,
): Settle {
  return async (read) => {
    for (let attempt = 0; attempt < attempts; attempt++) {
      const found = await sync.reading(async (changed) => {
        const result = await read();
        if (result === undefined) return { result };
        const { nat4, value } = result;
        const host6 = value === undefined ? undefined : decodeValue(value)?.host6;
        // A change to what was read (a renewed lease) says nothing against it.
        const overtaken = changed(nat4) && (host6 === undefined || host6 !== table.hostOf(nat4));
        const installed = overtaken ? undefined : sync.apply(nat4, value);
        await installed;
        return overtaken ? undefined : { result };
      });
      if (found !== undefined) return found.result;
    }
    throw new Eg46Error("EG46_STORE_UNAVAILABLE", `${storeName}: an entry keeps changing while it is read`);
  };
}
