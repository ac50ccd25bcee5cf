import { InvalidArgumentError, Option } from "commander";
import {
  defaultBehaviour,
  type NatBehaviour,
  type NatProtocol,
  natProtocols,
  portBlockSizes,
} from "../engine/behaviour.ts";
import { Eg46Error } from "../errors.ts";

/** The flags of NatBehaviour, and the one that port blocks need. */
export interface BehaviourFlags {
  readonly eim: readonly NatProtocol[];
  readonly eif: readonly NatProtocol[];
  readonly portBlock?: number;
  readonly internalNet?: readonly string[];
}

const { smallest, largest } = portBlockSizes;

export const eimOption = () =>
  new Option(
    "--eim <protocol,...>",
    "which of tcp, udp keep one outer port for all remote ends; icmp always does",
  )
    .argParser(parseProtocols)
    .default(defaultBehaviour.eim, defaultBehaviour.eim.join());

export const eifOption = () =>
  new Option(
    "--eif <protocol,...>",
    "which of those let anybody in by an outer port in use; none: only whom the Pod sent to",
  )
    .argParser((text) => (text === "none" ? [] : parseProtocols(text)))
    .default(defaultBehaviour.eif, "none");

export const portBlockOption = () =>
  new Option(
    "--port-block <size>",
    `ports of the fixed block that each Pod has: a power of two, ${smallest} to ${largest}; 0: Pods share ports`,
  ).argParser(parseBlockSize);

export const behaviourHelp = `
Ports: a protocol outside --eim gets a port for each remote end, so that one address serves many more flows, but peers that
learn an outer port from a third host (STUN) can't use it. Inside --eif such peers get in before the Pod has sent to them;
not to an IPv4 Pod from IPv6 hosts, for which it has no address. --port-block fixes the ports of each Pod: 'egress46 blocks'
tells whose they were, without a log; it needs --internal-net, in whose order blocks are counted off.
`;

/** Throws EG46_USAGE where the flags contradict each other. */
export function behaviourOf({ eim, eif, portBlock = 0, internalNet }: BehaviourFlags): NatBehaviour {
  const mapped: readonly NatProtocol[] = [...new Set([...eim, "icmp" as const])];
  const unmapped = eif.filter((protocol) => !mapped.includes(protocol));
  if (unmapped.length > 0)
    throw new Eg46Error(
      "EG46_USAGE",
      `--eif ${unmapped}: its outer port belongs to one remote end, so nobody else can be let in by it; add it to --eim`,
    );
  if (portBlock > 0 && (internalNet ?? []).length === 0)
    throw new Eg46Error(
      "EG46_USAGE",
      "--port-block needs --internal-net: blocks are counted off in its order, which routes of the host must not change",
    );
  return { eim: mapped, eif: [...new Set(eif)], portBlock };
}

function parseProtocols(text: string): NatProtocol[] {
  const names = text.split(",");
  const isProtocol = (name: string): name is NatProtocol => natProtocols.some((known) => known === name);
  if (!names.every(isProtocol)) throw new InvalidArgumentError("It must be a list such as udp,tcp.");
  return names;
}

function parseBlockSize(text: string): number {
  const size = Number(text);
  if (text === "0") return 0;
  if (!/^\d+$/.test(text) || size < smallest || size > largest || (size & (size - 1)) !== 0)
    throw new InvalidArgumentError(`It must be a power of two from ${smallest} to ${largest}, or 0.`);
  return size;
}
