import { encodeValue, isOurHeader, type MappingValue } from "./codec.ts";

/** gen_id and user flags that others wrote, for the day that the store loses their entries and gets them from us. */
export interface Headers {
  /** What the store holds at an address, undefined = nothing. */
  seen(nat4: number, value: MappingValue | undefined): void;
  /** The value of a known mapping, as it was stored. */
  valueOf(nat4: number, host6: string, leaseS: number): string;
}

export function createHeaders(): Headers {
  const others = new Map<number, Pick<MappingValue, "generation" | "flags">>();
  return {
    seen(nat4, value) {
      if (value === undefined || isOurHeader(value)) others.delete(nat4);
      else others.set(nat4, { generation: value.generation, flags: value.flags });
    },
    valueOf: (nat4, host6, leaseS) => encodeValue(host6, leaseS, others.get(nat4)),
  };
}
