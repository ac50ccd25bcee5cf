import { addressText } from "./address-form.ts";
import { poolAddressOffsets as fields, poolProtocols, poolUseOffsets as use } from "./layout.gen.ts";
import type { EngineMemory } from "./memory.ts";

export interface ProtocolUse {
  /** Ports and identifiers that bindings have; where ports are by remote end (`--eim`), sessions: a port serves many. */
  readonly inUse: number;
  /** Ever, since the address came to the pool. */
  readonly allocated: number;
  /** Refused for want of a free port. */
  readonly exhausted: number;
}

export interface AddressUse {
  readonly address: string;
  /** How many ports it has, of each protocol. */
  readonly ports: number;
  readonly tcp: ProtocolUse;
  readonly udp: ProtocolUse;
  readonly icmp: ProtocolUse;
}

/** The addresses that one engine has, in the order of its pool, read while it runs. */
export function readPoolUse({ buffer, layout }: EngineMemory): AddressUse[] {
  const view = new DataView(buffer);
  const bytes = new Uint8Array(buffer);
  const counters = new BigUint64Array(buffer);
  const found: AddressUse[] = [];
  for (let index = 0; index < layout.maxPoolAddresses; index++) {
    const entry = layout.poolAddresses + index * fields.sizeof;
    if (view.getUint32(entry + fields.family, true) === 0) continue;
    const generation = view.getUint32(entry + fields.generation, true);
    const [tcp, udp, icmp] = poolProtocols.map(({ code }) => {
      const at = layout.poolUse + (index * poolProtocols.length + code) * use.sizeof;
      const read = (offset: number) => Number(counters[(at + offset) >> 3]);
      return { inUse: read(use.inUse), allocated: read(use.allocated), exhausted: read(use.exhausted) };
    }) as [ProtocolUse, ProtocolUse, ProtocolUse];
    const each: AddressUse = {
      address: addressText(bytes.slice(entry + fields.lo, entry + fields.lo + 16)),
      ports:
        view.getUint32(entry + fields.lastPort, true) - view.getUint32(entry + fields.firstPort, true) + 1,
      ...{ tcp, udp, icmp },
    };
    // Another address may just have taken the place: then the next look shows it.
    if (view.getUint32(entry + fields.generation, true) === generation) found.push(each);
  }
  return found;
}

/** Sum over workers: under automap they share an address, a part of its ports each. */
export function addPoolUse(all: readonly (readonly AddressUse[])[]): AddressUse[] {
  const sums = new Map<string, AddressUse>();
  for (const each of all.flat()) {
    const sum = sums.get(each.address);
    sums.set(each.address, sum === undefined ? each : addAddress(sum, each));
  }
  return [...sums.values()];
}

function addAddress(a: AddressUse, b: AddressUse): AddressUse {
  return {
    address: a.address,
    ports: a.ports + b.ports,
    tcp: addProtocol(a.tcp, b.tcp),
    udp: addProtocol(a.udp, b.udp),
    icmp: addProtocol(a.icmp, b.icmp),
  };
}

function addProtocol(a: ProtocolUse, b: ProtocolUse): ProtocolUse {
  return {
    inUse: a.inUse + b.inUse,
    allocated: a.allocated + b.allocated,
    exhausted: a.exhausted + b.exhausted,
  };
}
