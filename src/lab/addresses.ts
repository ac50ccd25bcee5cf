/** Every address of the lab's network. The specification's own where it has one: its examples work verbatim. */
export const labAddresses = {
  /** What Pods have as resolver: nobody has this address, the gateway answers for it. */
  resolver: "1.2.3.4",
  natSubnet: "10.244.50.0/24",
  sorry: "10.244.40.100",
  gateway: { external4: "10.244.40.1", external6: "2001::10:244:100:1" },
  /** On the gateway's external link. */
  internet: { router4: "10.244.40.2", router6: "2001::10:244:100:2" },
  externalNet: { ipv4: "10.244.40.0/24", ipv6: "2001::/64" },
  dns: ["10.244.40.252", "10.244.40.253"],
  /** On the external link too, so neighbours have to be answered for them. */
  snatPool: {
    ipv4: ["10.244.40.250", "10.244.40.251"],
    ipv6: ["2001::10:244:100:250", "2001::10:244:100:251"],
  },
  /** Hosts behind the internet's router. */
  web: {
    v6only: "2001:db8:46::80",
    dual4: "198.51.100.80",
    dual6: "2001:db8:46::81",
    v4only: "198.51.100.81",
    /** The host of the specification's manual entry, 10.144.175.220; it serves port 8080. */
    manual: "2002::10:20:2:206",
  },
} as const;

export interface PodAddresses {
  readonly ipv4: string;
  readonly ipv6: string;
  readonly gateway4: string;
  readonly gateway6: string;
  readonly net4: string;
  readonly net6: string;
}

/** Each Pod has a link of its own: Pod 0 is 10.244.1.10, Pod 1 is 10.244.2.10. */
export function podAddresses(index: number): PodAddresses {
  const link = index + 1;
  return {
    ipv4: `10.244.${link}.10`,
    ipv6: `fd00:10:244:${link}::10`,
    gateway4: `10.244.${link}.1`,
    gateway6: `fd00:10:244:${link}::1`,
    net4: `10.244.${link}.0/24`,
    net6: `fd00:10:244:${link}::/64`,
  };
}
