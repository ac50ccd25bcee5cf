import { type Command, InvalidArgumentError } from "commander";
import { isIpv4, isIpv6 } from "../addresses.ts";
import type { SessionsBody } from "../admin/api.ts";
import { defaultLimit, maxPage } from "../admin/session-query.ts";
import type { ListedSession, SessionChange } from "../admin/view.ts";
import { askGateway, gatewayAddresses, withAdminOption } from "./admin-client.ts";
import { followGateway } from "./admin-stream.ts";
import { formatDuration } from "./duration.ts";
import { outputOption, print, printJson } from "./output.ts";
import { formatTable } from "./table.ts";

interface Flags {
  readonly pod?: string;
  readonly limit?: number;
  readonly output: string;
  readonly admin?: string;
}

const watchHelp = `
A session that is over within a tenth of a second may not be seen. With -o json a JSON object a line, and the sessions
that exist come first, as 'present'.`;

export function registerSessions(program: Command): void {
  const sessions = program
    .command("sessions")
    .description("show the sessions that Pods have through the gateway");
  withSessionOptions(sessions.command("ls", { isDefault: true }))
    .description("list those that exist now, in no order")
    .option("--limit <n>", "at most so many; 0 = all", parseLimit, defaultLimit)
    .action(list);
  withSessionOptions(sessions.command("watch"))
    .description("show sessions as they begin, change and end, until Ctrl-C")
    .option("--limit <n>", "end after so many changes, without those 'present'; 0 = never", parseLimit, 0)
    .addHelpText("after", watchHelp)
    .action(watch);
}

function withSessionOptions(command: Command): Command {
  return withAdminOption(
    command.option("--pod <address>", "only those of this inner address", parsePod).addOption(outputOption()),
  );
}

async function list({ pod, limit = defaultLimit, output, admin }: Flags): Promise<void> {
  const addresses = await gatewayAddresses(admin);
  const wanted = limit === 0 ? Number.POSITIVE_INFINITY : limit;
  const sessions: ListedSession[] = [];
  let after: string | undefined;
  do {
    const query = new URLSearchParams({
      limit: String(Math.min(maxPage, wanted - sessions.length)),
      ...(pod !== undefined && { pod }),
      ...(after !== undefined && { after }),
    });
    const page = await askGateway<SessionsBody>(`/v1/sessions?${query}`, addresses);
    sessions.push(...page.sessions);
    after = page.next;
  } while (after !== undefined && sessions.length < wanted);
  if (output === "json") return printJson({ sessions, more: after !== undefined });
  print(formatSessions(sessions, pod));
  if (after !== undefined) print(`There are more than these ${limit}; --limit 0 shows all.`);
}

export function formatSessions(sessions: readonly ListedSession[], pod?: string): string {
  if (sessions.length === 0) return pod === undefined ? "No session exists." : `${pod} has no session.`;
  return formatTable(
    [
      { title: "protocol", align: "left" },
      { title: "Pod", align: "left" },
      { title: "destination", align: "left" },
      { title: "SNAT", align: "left" },
      { title: "remote host", align: "left" },
      { title: "state", align: "left" },
      { title: "age", align: "right" },
      { title: "idle", align: "right" },
    ],
    sessions.map((session) => [
      ...cells(session),
      formatDuration(Math.floor(session.ageMs / 1000)),
      formatDuration(Math.floor(session.idleMs / 1000)),
    ]),
  );
}

function cells(session: ListedSession): string[] {
  const { protocol, pod, podPort, destination, snat, snatPort, remote, remotePort, state = "" } = session;
  return [
    protocol,
    endpoint(pod, podPort),
    endpoint(destination, remotePort),
    endpoint(snat, snatPort),
    endpoint(remote, remotePort),
    state.toLowerCase(),
  ];
}

/** A remote end has no ICMP identifier. */
function endpoint(address: string, port: number): string {
  if (port === 0) return address;
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

async function watch({ pod, limit = 0, output, admin }: Flags): Promise<void> {
  const query = pod === undefined ? "" : `?${new URLSearchParams({ pod })}`;
  const path = `/v1/sessions/stream${query}`;
  const known = new Map<string, Known>();
  let shown = 0;
  for await (const change of await followGateway<SessionChange>(path, await gatewayAddresses(admin))) {
    const line = output === "json" ? JSON.stringify(change) : describe(change, known);
    if ("session" in change) known.set(change.session.id, knownAs(change.session));
    if (change.change === "ended") known.delete(change.id);
    // Those that were there before: only for what is told of them later.
    if (change.change !== "present" || output === "json") print(line);
    if (change.change !== "present" && ++shown === limit) return process.exit(0);
  }
}

/** What the watch has been told of a session; `begunMs` by performance.now(). */
interface Known {
  readonly session: ListedSession | undefined;
  readonly begunMs: number;
}
const unknown: Known = { session: undefined, begunMs: 0 };
const knownAs = (session: ListedSession): Known => ({ session, begunMs: performance.now() - session.ageMs });

/** A line, in columns as wide as addresses mostly are. */
export function describe(change: SessionChange, known: ReadonlyMap<string, Known>): string {
  if (change.change === "gap") return "gap      changes came faster than they could be read";
  const { session, begunMs } =
    "session" in change ? knownAs(change.session) : (known.get(change.id) ?? unknown);
  if (session === undefined) return `${change.change.padEnd(8)} session`;
  const [protocol = "", from = "", to = "", snat = "", remote = "", state = ""] = cells(session);
  const age =
    change.change === "ended"
      ? `after ${formatDuration(Math.floor((performance.now() - begunMs) / 1000))}`
      : state;
  return `${change.change.padEnd(8)} ${protocol.padEnd(4)} ${from} to ${to} as ${snat} to ${remote} ${age}`.trimEnd();
}

function parsePod(text: string): string {
  if (isIpv4(text) || isIpv6(text)) return text;
  throw new InvalidArgumentError("It must be the address of a Pod, such as 10.1.2.3.");
}

function parseLimit(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("It must be a number, 0 or more.");
}
