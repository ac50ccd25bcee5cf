import type { Command } from "commander";
import { runLab } from "../lab/lab.ts";

export function registerLab(program: Command): void {
  program
    .command("lab")
    .description("show it at work on this machine: a Pod, a gateway and an internet in network namespaces")
    .option(
      "--once",
      "end after the last step (exit status 0 if every step held) instead of staying up",
      false,
    )
    .addHelpText("after", "\nExample:\n  egress46 lab --once")
    .action(async ({ once }: { once: boolean }) => {
      process.exitCode = await runLab({ once });
    });
}
