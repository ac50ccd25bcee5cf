import { type Command, InvalidArgumentError } from "commander";
import { parseCidr } from "../addresses.ts";
import { checkStoreEntries, type StoreCheck } from "../mappings/check.ts";
import { type StoreFlags, withOpenStore, withStore } from "./mappings-store.ts";
import { outputOption, print, printJson } from "./output.ts";
import { formatTable } from "./table.ts";

const help = `
Found are: malformed values; hosts with several addresses (duplicate); with --subnet, entries outside of it; leased entries
whose address is not held for their host (unheld), so that another host could get it at once after their end.
Exits with 1 when something was found.
`;

export function registerMappingsCheck(mappings: Command): void {
  withStore(mappings.command("check"))
    .description("look through the store for entries that are not as they should be")
    .option("--subnet <cidr>", "where entries belong, as dnsNat46Ipv4Subnet", parseSubnet)
    .addOption(outputOption())
    .addHelpText("after", help)
    .action((options: StoreFlags & { output: string; subnet?: string }) =>
      withOpenStore(options, async (store) => {
        const result = await checkStoreEntries(store, options.subnet);
        if (options.output === "json") printJson(result);
        else print(formatCheck(result));
        if (result.findings.length > 0) process.exitCode = 1;
      }),
    );
}

export function formatCheck({ entries, quarantined, findings }: StoreCheck): string {
  const summary = `${entries} entries, ${findings.length} findings, ${quarantined} addresses in quarantine`;
  if (findings.length === 0) return summary;
  const columns = ["NAT IPv4", "finding", "detail"].map((title) => ({ title, align: "left" }) as const);
  const rows = findings.map(({ nat4, problem, detail }) => [nat4, problem, detail]);
  return `${formatTable(columns, rows)}\n${summary}`;
}

function parseSubnet(text: string): string {
  try {
    if (parseCidr(text).family === 4) return text;
  } catch {}
  throw new InvalidArgumentError("It must be an IPv4 prefix such as 10.244.50.0/24.");
}
