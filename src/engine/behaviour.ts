/** How the gateway maps ports and whom it lets in by them (RFC 4787 §4, §5). Fixed for the life of an engine. */
export interface NatBehaviour {
  /** Protocols whose inner endpoints keep one outer port for all remote ends; the others have one for each. */
  readonly eim: readonly NatProtocol[];
  /** Of these, those whose outer port is open to any remote end while it is in use. */
  readonly eif: readonly NatProtocol[];
  /** Ports of the fixed block that each Pod has (RFC 7422); 0 = Pods share the ports of their SNAT address. */
  readonly portBlock: number;
}

export const natProtocols = ["tcp", "udp", "icmp"] as const;
export type NatProtocol = (typeof natProtocols)[number];

/** Powers of two, these included. */
export const portBlockSizes = { smallest: 64, largest: 32768 } as const;

export const defaultBehaviour: NatBehaviour = { eim: ["udp", "icmp"], eif: [], portBlock: 0 };

const numbers: Readonly<Record<NatProtocol, number>> = { icmp: 1, tcp: 6, udp: 17 };

/** As the engine has it: bit n stands for IP protocol n. An ICMP query has no remote port to depend on. */
export function protocolMask(protocols: readonly NatProtocol[]): number {
  return protocols.reduce((mask, protocol) => mask | (1 << numbers[protocol]), 0);
}
