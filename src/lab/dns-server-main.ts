/**
 * The lab's DNS server as a process: `--listen ADDR… --port N --zone FILE.json`. One line on standard output when it
 * answers, then one JSON line per exchange: transport, source, name, type, query and reply in hexadecimal.
 */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { startDnsServer, type Zone } from "./dns-server.ts";

const { values } = parseArgs({
  options: {
    listen: { type: "string", multiple: true, default: ["127.0.0.1"] },
    port: { type: "string", default: "53" },
    zone: { type: "string" },
  },
});
if (values.zone === undefined) throw new TypeError("--zone FILE.json is missing");
const zone = JSON.parse(readFileSync(values.zone, "utf8")) as Zone;
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const servers = await Promise.all(
  values.listen.map((address) =>
    startDnsServer({
      address,
      port: Number(values.port),
      zone,
      onExchange: ({ query, reply, ...rest }) =>
        console.log(JSON.stringify({ ...rest, query: hex(query), reply: reply && hex(reply) })),
    }),
  ),
);
console.log(`dns-server ready ${servers.map(({ address, port }) => `${address}#${port}`).join(" ")}`);
for (const signal of ["SIGTERM", "SIGINT"] as const)
  process.once(
    signal,
    () => void Promise.all(servers.map((server) => server.close())).then(() => process.exit(0)),
  );
