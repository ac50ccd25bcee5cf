import type { Command } from "commander";
import { ipv4ToNumber, isIpv4 } from "../addresses.ts";
import { Eg46Error } from "../errors.ts";
import { canonicalHost6, decodeValue, encodeValue, type MappingValue } from "../mappings/codec.ts";
import { redisForms } from "../mappings/redis-url.ts";
import type { MappingStore } from "../mappings/store.ts";
import { withAdminOption } from "./admin-client.ts";
import { openChosenStore, type StoreFlags } from "./mappings-store.ts";
import { outputOption, print, printJson } from "./output.ts";
import { formatTable } from "./table.ts";

/** A line of `ls`: the decoded entry, or the stored text where that is no mapping. */
type Row = { readonly nat4: string } & (MappingValue | { readonly malformed: string });

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
        print(`${address} is free now in ${store.name}`);
      }),
    );
}

function withStore(command: Command): Command {
  return withAdminOption(command)
    .option(
      "--store <store>",
      `lmdb:DIR, ${redisForms} (default: the one of the gateway that runs in this network namespace, else the folder that it would use)`,
    )
    .option("--redis-cert <file>", "client certificate for rediss:// (PEM)")
    .option("--redis-key <file>", "its private key (PEM)")
    .option("--redis-ca <file>", "authority that signed the server's certificate (PEM)");
}

async function withOpenStore(
  flags: StoreFlags & { create?: boolean },
  use: (store: MappingStore) => Promise<void>,
): Promise<void> {
  const store = await openChosenStore(flags);
  try {
    await use(store);
  } finally {
    await store.close();
  }
}

async function readRows(store: MappingStore): Promise<Row[]> {
  const rows = new Map<string, Row>();
  for await (const [nat4, value] of store.list()) rows.set(nat4, rowOf(nat4, value));
  return [...rows.values()].sort((a, b) => ipv4ToNumber(a.nat4) - ipv4ToNumber(b.nat4));
}

function rowOf(nat4: string, value: string): Row {
  return { nat4, ...(decodeValue(value) ?? { malformed: value }) };
}

export function formatRows(rows: readonly Row[]): string {
  return formatTable(
    [
      { title: "NAT IPv4", align: "left" },
      { title: "IPv6 host", align: "left" },
    ],
    rows.map((row) => [row.nat4, describe(row)]),
  );
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
