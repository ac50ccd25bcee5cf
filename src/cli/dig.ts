import type { Command } from "commander";
import type { DigBody } from "../admin/api.ts";
import { askGateway, gatewayAddresses, withAdminOption } from "./admin-client.ts";
import { outputOption, print, printJson } from "./output.ts";

interface Flags {
  readonly client?: string;
  readonly tcp: boolean;
  readonly json: boolean;
  readonly output: string;
  readonly admin?: string;
}

const help = `
It is a real question to the running gateway: upstreams are asked, and a mapping that a Pod's question would make is made.

Steps: upstream = it is asked, then what it said; policy = what was decided, and why; known = the host has an address; candidate = an
address that the host may have, and what the store holds there; SETNX = the claim of one; engine = the workers have it.`;

export function registerDig(program: Command): void {
  const command = program
    .command("dig <name> [type]")
    .description("resolve a name by the running gateway and show each step")
    .option("--client <address>", "ask as this Pod would (default: as nobody in particular)")
    .option("--tcp", "as a question over TCP: no limit to the size of the answer", false)
    .option("--json", "the same as -o json", false)
    .addOption(outputOption())
    .addHelpText("after", help);
  withAdminOption(command).action(async (name: string, type: string | undefined, flags: Flags) => {
    const query = new URLSearchParams({
      name,
      type: type ?? "A",
      transport: flags.tcp ? "tcp" : "udp",
      ...(flags.client !== undefined && { client: flags.client }),
    });
    const result = await askGateway<DigBody>(`/v1/dig?${query}`, await gatewayAddresses(flags.admin));
    if (flags.json || flags.output === "json") printJson(result);
    else print(formatDig(result));
    if (result.answer === undefined) process.exitCode = 1;
  });
}

export function formatDig({ name, type, steps, ms, answer }: DigBody): string {
  const lines = steps.map(({ ms: at, step, found }) => {
    const details = Object.entries(found).map(([key, value]) => `${key} ${value}`);
    return `${at.toFixed(1).padStart(8)} ms  ${step.padEnd(10)}${details.join(", ")}`;
  });
  const head = [`; egress46 dig ${name} ${type}`, "", ";; steps", ...lines, ""];
  if (answer === undefined)
    return [...head, ";; no answer: dnsNat46Enabled is off, or too many questions are in flight"].join("\n");
  const { rcode, flags, records, explanations, bytes } = answer;
  const sections = ["answer", "authority", "additional"].flatMap((section) => {
    const rows = records.filter((record) => record.section === section);
    const texts = rows.map((record) => `${record.name}\t${record.ttl}\tIN\t${record.type}\t${record.data}`);
    return rows.length === 0 ? [] : [`;; ${section}`, ...texts, ""];
  });
  return [
    ...head,
    `;; status ${rcode}, flags ${flags}`,
    ...explanations.map((text) => `;; extended error ${text}`),
    "",
    ...sections,
    `;; ${bytes} bytes in ${ms.toFixed(1)} ms`,
  ].join("\n");
}
