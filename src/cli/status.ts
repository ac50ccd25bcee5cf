import type { Command } from "commander";
import type { SnatPoolBody, StatusBody } from "../admin/api.ts";
import { askGateway, gatewayAddresses, withAdminOption } from "./admin-client.ts";
import { formatDuration } from "./duration.ts";
import { outputOption, print, printJson } from "./output.ts";
import { formatTable } from "./table.ts";

const stateMeaning: Readonly<Record<StatusBody["state"], string>> = {
  active: "active: Pods' traffic leaves from the chosen addresses",
  waiting: "waiting: Pods' traffic is refused until what it names is there",
  none: "none: no F5SPKEgress is configured, Pods' traffic is refused",
  invalid: "invalid: the last good configuration, if any, stays in force",
};

/** One aspect a line, `name   value`; further lines of the same aspect are indented under it. */
export function formatStatus(status: StatusBody): string {
  const { health, store, mappings, dns } = status;
  const because = status.reason === undefined ? [] : [status.reason];
  const aspects: readonly (readonly [name: string, lines: readonly string[]])[] = [
    [
      "gateway",
      [`egress46 ${status.version}, up ${formatDuration(status.uptimeSeconds)}, ${workers(status.workers)}`],
    ],
    ["health", health.ok ? ["ok"] : ["not serving", ...health.reasons]],
    ["egress", status.egress === undefined ? [] : [status.egress]],
    ["state", [stateMeaning[status.state], ...because]],
    ["notes", status.notes],
    ["problems", status.problems],
    [
      "store",
      [
        `${store.name}, ${store.connected ? "connected" : "NOT connected"}`,
        ...(store.problem === undefined ? [] : [`no new mappings: ${store.problem}`]),
      ],
    ],
    ["mappings", [`${mappings.known} known, ${mappings.malformed} malformed`]],
    [
      "DNS46 pool",
      mappings.poolSize === 0
        ? []
        : [`${mappings.poolUsed} of ${mappings.poolSize} addresses used${forecast(mappings)}`],
    ],
    ["sessions", [`${status.sessions}, room for ${status.maxSessions}`]],
    ["DNS", [`${dns.questions} questions, ${dns.synthesized} answers with an A record made from AAAA`]],
    ["upstreams", dns.upstreams.map(formatUpstream)],
  ];
  return aspects
    .flatMap(([name, lines]) => lines.map((line, index) => `${(index === 0 ? name : "").padEnd(12)}${line}`))
    .join("\n");
}

/** One line: `9.9.9.9 by tls: healthy, 12 questions, half of the answers within 8 ms, 99 % within 40 ms`. */
function formatUpstream({ latencyMs, ...upstream }: StatusBody["dns"]["upstreams"][number]): string {
  const round = (ms: number) => (ms < 10 ? ms.toFixed(1) : Math.round(ms));
  return [
    `${upstream.address} by ${upstream.transport}: ${upstream.healthy ? "healthy" : "NOT answering"}`,
    ...(upstream.problem === undefined ? [] : [upstream.problem]),
    `${upstream.questions} questions`,
    ...(latencyMs === undefined
      ? []
      : [`half of the answers within ${round(latencyMs.p50)} ms, 99 % within ${round(latencyMs.p99)} ms`]),
  ].join(", ");
}

function forecast({ poolGrowth = 0, poolExhaustedInS }: StatusBody["mappings"]): string {
  if (poolExhaustedInS === undefined) return "";
  return `, ${Math.round(poolGrowth)} more an hour: exhausted in ${formatDuration(poolExhaustedInS)} at that rate`;
}

function workers(count: number): string {
  return count === 1 ? "1 worker" : `${count} workers`;
}

export function registerStatus(program: Command): void {
  const command = program
    .command("status")
    .description("show what the gateway of this network namespace is doing")
    .option("--pool", "the SNAT addresses, too: how they are used, and how often no port was free", false)
    .addOption(outputOption());
  withAdminOption(command).action(async (options: { pool: boolean; output: string; admin?: string }) => {
    const addresses = await gatewayAddresses(options.admin);
    const status = await askGateway<StatusBody>("/v1/status", addresses);
    const pool = options.pool ? await askGateway<SnatPoolBody>("/v1/snat-pool", addresses) : undefined;
    if (options.output === "json") return printJson(pool ? { ...status, snatPool: pool.addresses } : status);
    print(formatStatus(status));
    if (pool !== undefined) print(`\n${formatPool(pool.addresses)}`);
  });
}

/** Sessions share ports; where ports are counted the percentage tells what is left. */
export function formatPool(addresses: SnatPoolBody["addresses"]): string {
  if (addresses.length === 0) return "No SNAT address is in use.";
  const used = ({ counts, inUse }: SnatPoolBody["addresses"][number]["tcp"], ports: number, unit: string) =>
    counts === "ports"
      ? `${inUse} ${unit} (${Math.round((inUse / ports) * 100)} %)`
      : `${inUse} ${inUse === 1 ? "session" : "sessions"}`;
  return formatTable(
    [
      { title: "SNAT address", align: "left" },
      { title: "ports", align: "right" },
      { title: "TCP", align: "right" },
      { title: "UDP", align: "right" },
      { title: "ICMP", align: "right" },
      { title: "allocated", align: "right" },
      { title: "exhausted", align: "right" },
    ],
    addresses.map(({ address, ports, tcp, udp, icmp }) => [
      address,
      String(ports),
      used(tcp, ports, "ports"),
      used(udp, ports, "ports"),
      used(icmp, ports, "ids"),
      String(tcp.allocated + udp.allocated + icmp.allocated),
      String(tcp.exhausted + udp.exhausted + icmp.exhausted),
    ]),
  );
}
