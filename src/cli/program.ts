import { Command, CommanderError } from "commander";
import { Eg46Error, explain } from "../errors.ts";
import { version } from "../version.ts";

/** A commander program whose errors, and those of commands added to it afterwards, reach {@link runProgram}. */
export function createProgram(name: string): Command {
  return new Command(name)
    .version(version, "-V, --version")
    .showHelpAfterError(`(${name} --help shows how)`)
    .exitOverride();
}

/** Parses, runs, explains an error on standard error. Exit status: 2 for a usage error, 1 for any other. */
export async function runProgram(program: Command, argv: readonly string[]): Promise<void> {
  try {
    await program.parseAsync(argv);
  } catch (error) {
    // commander has printed its own message, or the help that was asked for.
    if (error instanceof CommanderError) process.exit(error.exitCode === 0 ? 0 : 2);
    process.stderr.write(`${explain(error)}\n`);
    process.exit(error instanceof Eg46Error && error.code === "EG46_USAGE" ? 2 : 1);
  }
}
