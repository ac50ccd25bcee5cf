import { InvalidArgumentError } from "commander";
import { canonicalCidrs, cidrContains, parseCidr } from "../addresses.ts";
import { Eg46Error } from "../errors.ts";

/** Worker n has routing table 4600 + n; and no host has more cores to give. */
const maxWorkers = 64;

export function parseWorkers(text: string): number {
  const workers = Number(text);
  if (!/^\d+$/.test(text) || workers < 1 || workers > maxWorkers)
    throw new InvalidArgumentError(`It must be a number from 1 to ${maxWorkers}.`);
  return workers;
}

/** `--internal-net`, as netd and port blocks have them. Throws EG46_USAGE. */
export function internalNets(texts: readonly string[] = []): string[] {
  try {
    return canonicalCidrs(texts);
  } catch (cause) {
    throw new Eg46Error("EG46_USAGE", `--internal-net: ${(cause as Error).message}`, { cause });
  }
}

/** The networks that blocks of ports are counted off in. Throws EG46_USAGE, also where one lies in another. */
export function blockNets(texts: readonly string[] = []): string[] {
  const nets = internalNets(texts);
  for (const inner of nets)
    for (const outer of nets)
      if (
        inner !== outer &&
        cidrContains(parseCidr(outer), parseCidr(inner).network) &&
        isLonger(inner, outer)
      )
        throw new Eg46Error(
          "EG46_USAGE",
          `--internal-net ${inner} lies in ${outer}: with --port-block each address is counted off once; leave one of them out`,
        );
  return nets;
}

function isLonger(inner: string, outer: string): boolean {
  return parseCidr(inner).prefixLength > parseCidr(outer).prefixLength;
}
