import { formatCidr, parseCidr } from "../addresses.ts";
import { Eg46Error } from "../errors.ts";
import type { AutomapRoute, NetworkPlan, SharedPorts } from "./protocol.ts";

/**
 * A plan comes from a process with fewer rights: nothing but addresses, prefixes and numbers in range may pass from it
 * to `ip` and `nft`. Returns it in canonical text. Throws EG46_HOST_NETWORK naming the value.
 */
export function checkPlan(plan: NetworkPlan, devices: number): NetworkPlan {
  // With Envoy there is no device, and everything is worker 0's.
  const tuns = Math.max(devices, 1);
  const worker = (value: number) => integer("worker", value, 0, tuns - 1);
  return {
    workers: integer("workers", plan.workers, 1, tuns),
    natSubnets: plan.natSubnets.map((net) => canonical(() => formatCidr(parseCidr(net)))),
    snatPool: plan.snatPool.map((entry) => ({
      address: address(entry.address),
      worker: worker(entry.worker),
    })),
    ...(plan.shared && { shared: sharedPorts(plan.shared, worker) }),
    automap: plan.automap.map((route) => automapRoute(route, worker)),
    dnsIntercept: plan.dnsIntercept === true,
    ...(plan.envoy && { envoy: { sources: plan.envoy.sources.map(address), dns: plan.envoy.dns === true } }),
  };
}

function sharedPorts({ addresses, slices }: SharedPorts, worker: (value: number) => number): SharedPorts {
  return {
    addresses: addresses.map(address),
    slices: slices.map((slice) => ({
      worker: worker(slice.worker),
      ports: portRange("shared port", slice.ports),
    })),
  };
}

function portRange(name: string, [low, high]: AutomapRoute["ports"]): AutomapRoute["ports"] {
  const first = integer(name, low, 1, 65535);
  return [first, integer(name, high, first, 65535)];
}

function automapRoute(route: AutomapRoute, worker: (value: number) => number): AutomapRoute {
  const checked = {
    address: address(route.address),
    alias: address(route.alias),
    worker: worker(route.worker),
    ports: portRange("automap port", route.ports),
  };
  if (parseCidr(checked.address).family !== parseCidr(checked.alias).family)
    throw invalid(`alias ${checked.alias} is of another family than ${checked.address}`);
  return checked;
}

function address(text: string): string {
  return canonical(() => {
    if (text.includes("/")) throw new TypeError(`'${text}' is not an address`);
    return parseCidr(text).network;
  });
}

function integer(name: string, value: number, low: number, high: number): number {
  if (!Number.isInteger(value) || value < low || value > high)
    throw invalid(`${name} ${value} is not in ${low}–${high}`);
  return value;
}

function canonical(parse: () => string): string {
  try {
    return parse();
  } catch (cause) {
    throw invalid((cause as Error).message);
  }
}

function invalid(text: string): Eg46Error {
  return new Eg46Error("EG46_HOST_NETWORK", `plan refused: ${text}`);
}
