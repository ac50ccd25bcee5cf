import { hasCommand, isRoot, tunProblem } from "../../src/lab/prerequisites.ts";

export { type Executed, type ExecuteOptions, execute, mustExecute } from "../../src/lab/execute.ts";

/**
 * Options for a test that needs more than Node: commands by name, "root", "tun". The test is skipped, with the
 * reason told, where one of them is missing.
 */
export function needs(...requirements: readonly string[]): { skip: string | false } {
  const missing = requirements.map(problem).filter((reason) => reason !== undefined);
  return { skip: missing.length > 0 && missing.join("; ") };
}

function problem(requirement: string): string | undefined {
  if (requirement === "root") return isRoot() ? undefined : "needs root";
  if (requirement === "tun") return tunProblem();
  return hasCommand(requirement) ? undefined : `needs the command ${requirement}`;
}
