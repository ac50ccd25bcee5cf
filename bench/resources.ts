/** The CRs of a gateway that a bench starts: a SNAT pool, and DNS46. */
import { labAddresses } from "../src/lab/addresses.ts";

export interface BenchResources {
  /** The nth list is the nth worker's. */
  readonly lists: readonly (readonly string[])[];
  /** Default: the lab's. */
  readonly natSubnet?: string;
  readonly upstreams?: readonly string[];
}

/** YAML; what follows it with two blanks in front belongs to the F5SPKEgress. */
export function benchResources({
  lists,
  natSubnet = labAddresses.natSubnet,
  upstreams = labAddresses.dns,
}: BenchResources): string {
  return `
apiVersion: k8s.f5net.com/v1
kind: F5SPKSnatpool
metadata: { name: pool, namespace: spk-ingress }
spec: { name: egress_snatpool, addressList: ${JSON.stringify(lists)} }
---
apiVersion: k8s.f5net.com/v1
kind: F5SPKEgress
metadata: { name: egress-crd, namespace: spk-ingress }
spec:
  egressSnatpool: egress_snatpool
  dnsNat46Enabled: true
  dnsNat46Ipv4Subnet: ${natSubnet}
  dnsNat46PoolIps: ${JSON.stringify(upstreams)}
`;
}
