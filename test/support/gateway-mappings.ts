import { bytesToIpv6, numberToIpv4 } from "../../src/addresses.ts";
import type { MappingLife } from "../../src/mappings/keeper.ts";
import { createMappings } from "../../src/mappings/mappings.ts";
import type { MappingStore } from "../../src/mappings/store.ts";
import { quiet, type StoreLab } from "./mapping-stores.ts";

/** One gateway's mapping side: its own connections, its own engine stand-in, sessions that a test sets. */
export async function mappingGateway(
  lab: Pick<StoreLab, "open">,
  settings: { subnet: string; reserved?: number; maxTtl?: number },
  parts: Partial<Parameters<typeof createMappings>[0]> & { life?: MappingLife } = {},
) {
  const held = new Map<string, string>();
  const sink = {
    install: async (nat4: number, host6: Uint8Array) => void held.set(numberToIpv4(nat4), bytesToIpv6(host6)),
    remove: async (nat4: number) => void held.delete(numberToIpv4(nat4)),
  };
  const sessions = new Set<number>();
  const store: MappingStore = await lab.open();
  const mappings = createMappings({ store, sink, log: quiet, sessions: async () => sessions, ...parts });
  mappings.setPool({ reserved: 0, ...settings });
  return {
    ...{ held, store, mappings, sessions },
    async close() {
      await mappings.close();
      await store.close();
    },
  };
}

export type MappingGateway = Awaited<ReturnType<typeof mappingGateway>>;

export async function storedEntries(store: MappingStore): Promise<Map<string, string>> {
  const all = new Map<string, string>();
  for await (const [nat4, value] of store.list()) all.set(nat4, value);
  return all;
}
