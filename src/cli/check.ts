import type { Command } from "commander";
import { loadFiles } from "../config/files.ts";
import { formatNote } from "../config/notes.ts";
import { formatProblem } from "../config/problem.ts";
import { type Resolution, resolveEgress } from "../config/resolve.ts";
import { print } from "./output.ts";

export function registerCheck(program: Command): void {
  program
    .command("check")
    .description("validate custom resources without a gateway; exit status 1 when one is malformed")
    .requiredOption("-f, --file <path...>", "a YAML file, or a directory whose .yaml and .yml files are read")
    .action(async ({ file }: { file: string[] }) => {
      const { resources, problems } = await loadFiles(file);
      const resolution = resolveEgress(resources);
      const lines = [
        ...problems.map(formatProblem),
        ...resolution.notes.map(formatNote),
        describe(resolution),
      ];
      print(lines.join("\n"));
      if (problems.some(({ level }) => level === "error")) process.exitCode = 1;
    });
}

function describe(resolution: Resolution): string {
  switch (resolution.state) {
    case "active":
      return `egress ${resolution.egress.namespace}/${resolution.egress.name} would be active`;
    case "waiting":
      return `egress ${resolution.namespace}/${resolution.name} would wait: ${resolution.reason}`;
    case "none":
      return "no F5SPKEgress that could be in force";
  }
}
