import type { Command } from "commander";
import type { VirtualServersBody } from "../admin/api.ts";
import type { VirtualServer } from "../admin/view.ts";
import { Eg46Error } from "../errors.ts";
import { askGateway, gatewayAddresses, withAdminOption } from "./admin-client.ts";
import { print } from "./output.ts";
import { type Column, formatTable } from "./table.ts";

interface TmctlColumn extends Column {
  cell(server: VirtualServer): string;
}

const text = (title: string, minWidth: number, cell: TmctlColumn["cell"]): TmctlColumn => {
  return { title, align: "left", minWidth, cell };
};
const number = (title: string, read: (server: VirtualServer) => number): TmctlColumn => {
  return { title, align: "right", cell: (server) => String(read(server)) };
};

/** Columns by table. The name column is 17 wide whatever the rows are (specification, both examples). */
const tables: Readonly<Record<string, readonly TmctlColumn[]>> = {
  virtual_server_stat: [
    text("name", 17, (server) => server.name),
    // A connection has both sides here: it is counted once its SNAT binding exists.
    number("clientside.tot_conns", (server) => server.totalConnections),
    number("clientside.cur_conns", (server) => server.currentConnections),
    number("serverside.tot_conns", (server) => server.totalConnections),
    number("serverside.cur_conns", (server) => server.currentConnections),
  ],
};

/** Columns of the table, those of `select` (comma-separated) or all. Throws EG46_USAGE listing what there is. */
export function selectColumns(table: string, select?: string): readonly TmctlColumn[] {
  const known = Object.hasOwn(tables, table) ? tables[table] : undefined;
  if (known === undefined)
    throw new Eg46Error("EG46_USAGE", `no table '${table}'; there are: ${Object.keys(tables).join(", ")}`);
  if (select === undefined) return known;
  return select.split(",").map((wanted) => {
    const column = known.find(({ title }) => title === wanted.trim());
    if (column !== undefined) return column;
    const titles = known.map(({ title }) => title).join(", ");
    throw new Eg46Error("EG46_USAGE", `table ${table} has no column '${wanted}'; there are: ${titles}`);
  });
}

export function formatVirtualServers(
  columns: readonly TmctlColumn[],
  servers: readonly VirtualServer[],
): string {
  return formatTable(
    columns,
    servers.map((server) => columns.map((column) => column.cell(server))),
  );
}

/** Makes `command` tmctl: used for the `tmctl` executable and for `egress46 tmctl`. */
export function defineTmctl(command: Command): Command {
  command
    .description("print statistics of the gateway's virtual servers")
    .argument("<table>", Object.keys(tables).join(", "))
    .option(
      "-f, --file <path>",
      "accepted as F5's tmctl has it; the gateway of this network namespace answers",
    )
    .option("-s, --select <columns>", "columns, comma-separated (default: all)")
    .addHelpText(
      "after",
      "\nExample:\n  tmctl -f /var/tmstat/blade/tmm0 virtual_server_stat -s name,serverside.tot_conns",
    );
  withAdminOption(command);
  return command.action(async (table: string, options: { select?: string; admin?: string }) => {
    const columns = selectColumns(table, options.select);
    const addresses = await gatewayAddresses(options.admin);
    const { virtualServers } = await askGateway<VirtualServersBody>("/v1/virtual-servers", addresses);
    print(formatVirtualServers(columns, virtualServers));
  });
}

export function registerTmctl(program: Command): void {
  defineTmctl(program.command("tmctl"));
}
