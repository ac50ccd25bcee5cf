import { InvalidArgumentError, Option } from "commander";

export interface DnsCacheFlags {
  /** Bytes; 0 = off. */
  readonly dnsCache: number;
}

const units: Readonly<Record<string, number>> = { K: 1 << 10, M: 1 << 20 };
const smallest = 1 << 16;
const largest = 1 << 27;
/** Some 40,000 answers. */
const standard = 1 << 23;

export const dnsCacheOption = () =>
  new Option(
    "--dns-cache <size>",
    "memory for DNS answers, of each worker and of the gateway, such as 512K or 64M; off: none are kept",
  )
    .argParser(parseSize)
    .default(standard, "8M");

function parseSize(text: string): number {
  if (text === "off") return 0;
  const [, number = "", unit = ""] = /^(\d+)([KM])$/.exec(text) ?? [];
  const bytes = Number(number) * (units[unit] ?? 0);
  if (bytes < smallest || bytes > largest)
    throw new InvalidArgumentError("It must be a size from 64K to 128M, or off.");
  return bytes;
}
