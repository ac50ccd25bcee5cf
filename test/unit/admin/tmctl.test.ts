import assert from "node:assert/strict";
import { test } from "node:test";
import { formatVirtualServers, selectColumns } from "../../../src/cli/tmctl.ts";

const specified = "name,serverside.tot_conns";

function server(name: string, totalConnections: number, currentConnections = 0) {
  return { name, totalConnections, currentConnections };
}

// The first two are the specification's own, byte for byte.
const tables = [
  {
    name: "SNAT automap, dual stack",
    select: specified,
    servers: [server("egress-ipv6", 2), server("egress-ipv4", 3)],
    wanted: [
      "name              serverside.tot_conns",
      "----------------- --------------------",
      "egress-ipv6                          2",
      "egress-ipv4                          3",
    ],
  },
  {
    name: "DNS/NAT46",
    select: specified,
    servers: [server("egress-ipv4-nat46", 19), server("egress-dns-ipv4", 12)],
    wanted: [
      "name              serverside.tot_conns",
      "----------------- --------------------",
      "egress-ipv4-nat46                   19",
      "egress-dns-ipv4                     12",
    ],
  },
  {
    name: "no virtual server",
    select: specified,
    servers: [],
    wanted: ["name              serverside.tot_conns", "----------------- --------------------"],
  },
  {
    name: "columns in the order asked for, a name wider than usual",
    select: "serverside.cur_conns, name",
    servers: [server("egress-ipv4-of-another", 1, 7)],
    wanted: [
      "serverside.cur_conns name",
      "-------------------- ----------------------",
      "                   7 egress-ipv4-of-another",
    ],
  },
  {
    name: "all columns",
    select: undefined,
    servers: [server("egress-ipv4", 3, 1)],
    wanted: [
      "name              clientside.tot_conns clientside.cur_conns serverside.tot_conns serverside.cur_conns",
      "----------------- -------------------- -------------------- -------------------- --------------------",
      "egress-ipv4                          3                    1                    3                    1",
    ],
  },
] as const;

for (const { name, select, servers, wanted } of tables)
  test(`tmctl table: ${name}`, () => {
    const columns = selectColumns("virtual_server_stat", select);
    assert.equal(formatVirtualServers(columns, servers), wanted.join("\n"));
  });

const refused = [
  { table: "pool_stat", select: specified, message: "no table 'pool_stat'; there are: virtual_server_stat" },
  {
    table: "constructor",
    select: specified,
    message: "no table 'constructor'; there are: virtual_server_stat",
  },
  {
    table: "virtual_server_stat",
    select: "name,serverside.pkts",
    message:
      "table virtual_server_stat has no column 'serverside.pkts'; there are: name, " +
      "clientside.tot_conns, clientside.cur_conns, serverside.tot_conns, serverside.cur_conns",
  },
  {
    table: "virtual_server_stat",
    select: "",
    message:
      "table virtual_server_stat has no column ''; there are: name, " +
      "clientside.tot_conns, clientside.cur_conns, serverside.tot_conns, serverside.cur_conns",
  },
];

for (const { table, select, message } of refused)
  test(`tmctl refuses: ${table} -s '${select}'`, () => {
    assert.throws(() => selectColumns(table, select), { code: "EG46_USAGE", message });
  });
