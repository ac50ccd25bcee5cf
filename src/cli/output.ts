import { Option } from "commander";

/** `-o text|json`, for commands that show something. */
export function outputOption(): Option {
  return new Option("-o, --output <format>", "how to print it").choices(["text", "json"]).default("text");
}

let guarded = false;

/** To standard output; a reader that went away (`| head -1`) is not an error. */
export function print(text: string): void {
  if (!guarded)
    process.stdout.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") throw error;
      process.exit(0);
    });
  guarded = true;
  process.stdout.write(`${text}\n`);
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value, undefined, 2));
}
