import type { Command } from "commander";
import type { DropsBody } from "../admin/api.ts";
import type { DropCount } from "../admin/view.ts";
import { askGateway, gatewayAddresses, withAdminOption } from "./admin-client.ts";
import { outputOption, print, printJson } from "./output.ts";
import { formatTable } from "./table.ts";

/** Highest count first, then by name; reasons that never happened only with `all`. */
export function sortDrops(drops: readonly DropCount[], all: boolean): readonly DropCount[] {
  return drops
    .filter(({ count }) => all || count > 0)
    .sort((a, b) => b.count - a.count || a.reason.localeCompare(b.reason));
}

export function formatDrops(drops: readonly DropCount[]): string {
  if (drops.length === 0) return "No packet was dropped. (--all lists the reasons there are.)";
  return formatTable(
    [
      { title: "reason", align: "left" },
      { title: "packets", align: "right" },
      { title: "meaning", align: "left" },
    ],
    drops.map(({ reason, count, description }) => [reason, String(count), description]),
  );
}

export function registerDrops(program: Command): void {
  const command = program
    .command("drops")
    .description("list why packets were dropped, and how many")
    .option("-a, --all", "also reasons that never happened", false)
    .addOption(outputOption());
  withAdminOption(command).action(async (options: { all: boolean; output: string; admin?: string }) => {
    const body = await askGateway<DropsBody>("/v1/drops", await gatewayAddresses(options.admin));
    const drops = sortDrops(body.drops, options.all);
    if (options.output === "json") printJson({ drops });
    else print(formatDrops(drops));
  });
}
