import type { Command } from "commander";
import { ipv4ToNumber, isIpv4 } from "../addresses.ts";
import { Eg46Error } from "../errors.ts";
import { canonicalHost6, decodeValue, encodeValue, type MappingValue } from "../mappings/codec.ts";
import { hostsIn } from "../mappings/names.ts";
import { namePrefix } from "../mappings/record-keys.ts";
import type { MappingStore } from "../mappings/store.ts";
import { registerMappingsCheck } from "./mappings-check.ts";
import { type StoreFlags, withOpenStore, withStore } from "./mappings-store.ts";
import { registerMappingsTransfer } from "./mappings-transfer.ts";
import { registerMappingsWatch } from "./mappings-watch.ts";
import { outputOption, print, printJson } from "./output.ts";
import { formatTable } from "./table.ts";

/** A line of `ls`: the decoded entry, or the stored text where that is no mapping; with the names that led there. */
type Row = { readonly nat4: string; readonly names?: readonly string[] } & (
  | MappingValue
  | { readonly malformed: string }
);

const shownNames = 3;

export function registerMappings(program: Command): void {
  const mappings = program.command("mappings").description("look at and edit the mapping store itself");
  withStore(mappings.command("ls"))
    .description("list every mapping, both addresses a line")
    .addOption(outputOption())
    .action((options: StoreFlags & { output: string }) =>
      withOpenStore(options, async (store) => {
        const rows = await readRows(store);
        if (options.output === "json") printJson(rows);
        else print(formatRows(rows));
      }),
    );
  withStore(mappings.command("get <address>"))
    .description("show the mapping of a NAT IPv4 address")
    .addOption(outputOption())
    .action((address: string, options: StoreFlags & { output: string }) =>
      withOpenStore(options, async (store) => {
        const value = await store.get(checkedIpv4(address));
        if (value === undefined) throw absent(store, address);
        if (options.output === "json") printJson(rowOf(address, value));
        else print(formatRows([rowOf(address, value)]));
      }),
    );
  withStore(mappings.command("add <address> <host6>"))
    .description("map a NAT IPv4 address to an IPv6 host; an existing entry is never overwritten")
    .action((address: string, host6: string, options: StoreFlags) =>
      withOpenStore({ ...options, create: true }, async (store) => {
        const value = encodeValue(checkedHost6(host6));
        if (await store.claim(checkedIpv4(address), value))
          return print(`${address} is ${canonicalHost6(host6)} now in ${store.name}`);
        const existing = await store.get(address);
        const now = existing === undefined ? "was there a moment ago" : describe(rowOf(address, existing));
        throw new Eg46Error("EG46_MAPPING_EXISTS", `${address} is taken in ${store.name}: ${now}`);
      }),
    );
  withStore(mappings.command("rm <address>"))
    .description("delete the mapping of a NAT IPv4 address")
    .action((address: string, options: StoreFlags) =>
      withOpenStore(options, async (store) => {
        if (!(await store.release(checkedIpv4(address)))) throw absent(store, address);
        const [place] = await store.window([address]);
        if (place?.heldFor === undefined) print(`${address} is free now in ${store.name}`);
        else print(`${address} is gone from ${store.name}, and stays held for ${place.heldFor}`);
      }),
    );
  registerMappingsTransfer(mappings);
  registerMappingsCheck(mappings);
  registerMappingsWatch(mappings);
}

async function readRows(store: MappingStore): Promise<Row[]> {
  const rows = new Map<string, Row>();
  const names = await namesByHost(store);
  for await (const [nat4, value] of store.list()) {
    const row = rowOf(nat4, value);
    const led = "host6" in row ? names.get(row.host6) : undefined;
    rows.set(nat4, led === undefined ? row : { ...row, names: led.sort() });
  }
  return [...rows.values()].sort((a, b) => ipv4ToNumber(a.nat4) - ipv4ToNumber(b.nat4));
}

async function namesByHost(store: MappingStore): Promise<Map<string, string[]>> {
  const names = new Map<string, string[]>();
  for await (const [key, value] of store.records.list(namePrefix))
    for (const host6 of hostsIn(value)) {
      const known = names.get(host6) ?? [];
      known.push(key.slice(namePrefix.length));
      names.set(host6, known);
    }
  return names;
}

function rowOf(nat4: string, value: string): Row {
  return { nat4, ...(decodeValue(value) ?? { malformed: value }) };
}

export function formatRows(rows: readonly Row[]): string {
  const named = rows.some(({ names }) => names !== undefined);
  return formatTable(
    [
      { title: "NAT IPv4", align: "left" },
      { title: "IPv6 host", align: "left" },
      ...(named ? [{ title: "names", align: "left" } as const] : []),
    ],
    rows.map((row) => [row.nat4, describe(row), ...(named ? [someOf(row.names ?? [])] : [])]),
  );
}

function someOf(names: readonly string[]): string {
  const more = names.length - shownNames;
  const shown = names.slice(0, shownNames).map((name) => JSON.stringify(name).slice(1, -1));
  return shown.join(", ") + (more > 0 ? `, and ${more} more` : "");
}

function describe(row: Row): string {
  // As JSON, so that control characters can't play with the terminal.
  return "malformed" in row ? `malformed: ${JSON.stringify(row.malformed.slice(0, 80))}` : row.host6;
}

function checkedIpv4(text: string): string {
  if (isIpv4(text)) return text;
  throw new Eg46Error("EG46_USAGE", `'${text}' is not an IPv4 address such as 10.144.175.220`);
}

function checkedHost6(text: string): string {
  const host6 = canonicalHost6(text);
  if (host6 !== undefined) return host6;
  throw new Eg46Error(
    "EG46_USAGE",
    `'${text}' is not the IPv6 address of a remote host, such as 2001:db8::1`,
  );
}

function absent(store: MappingStore, address: string): Eg46Error {
  return new Eg46Error("EG46_MAPPING_ABSENT", `${address} has no entry in ${store.name}`);
}
