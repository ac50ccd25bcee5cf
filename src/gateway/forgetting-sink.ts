import type { MappingSink } from "../engine/mapping-sink.ts";

/** Tells of every address whose mapping goes or becomes another's, before the engines hear of it. */
export function forgettingSink(sink: MappingSink, forget: (nat4: number) => void): MappingSink {
  const known = new Set<number>();
  return {
    install(nat4, host6) {
      if (known.has(nat4)) forget(nat4);
      known.add(nat4);
      return sink.install(nat4, host6);
    },
    remove(nat4) {
      known.delete(nat4);
      forget(nat4);
      return sink.remove(nat4);
    },
  };
}
