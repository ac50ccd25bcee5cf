import ipaddr from "ipaddr.js";
import { ipv6ToBytes, isIpv4, isIpv6, parseCidr } from "../addresses.ts";
import { type Fault, type Path, quote } from "./problem.ts";
import type { Kind } from "./types.ts";

/** What should have stood there, or undefined when the text is right. */
type Rule = (text: string) => string | undefined;

/** Ranges of ipaddr.js that no packet may leave from, and no host be reached at. */
const never = new Set(["unspecified", "broadcast", "multicast"]);
const notRoutable = new Set([...never, "loopback", "linkLocal", "ipv4Mapped"]);

function address(family: "IPv4" | "IPv6" | undefined, example: string, unusable: ReadonlySet<string>): Rule {
  const expected = family === undefined ? "an IPv4 or IPv6 address" : `an ${family} address`;
  return (text) => {
    const valid = (family !== "IPv6" && isIpv4(text)) || (family !== "IPv4" && isIpv6(text));
    if (!valid) return `${expected} such as ${example}`;
    const range = ipaddr.parse(text).range();
    return unusable.has(range) ? `${expected} that can be used here (this one is ${range})` : undefined;
  };
}

function ipv4Prefix(text: string): string | undefined {
  const expected = "an IPv4 prefix such as 10.244.50.0/24";
  if (!/^[^/]+\/\d{1,2}$/.test(text)) return expected;
  try {
    const { network, prefixLength, family } = parseCidr(text);
    if (family !== 4) return expected;
    // Wider prefixes would take in half of the IPv4 Internet, or loopback.
    if (prefixLength < 8) return `${expected}, of length 8 to 32`;
    const range = network.startsWith("0.") ? "unspecified" : ipaddr.parse(network).range();
    return notRoutable.has(range) ? `an IPv4 prefix that can be used here (this one is ${range})` : undefined;
  } catch {
    return expected;
  }
}

/** RFC 6052 §2.2. */
function nat64Prefix(text: string): string | undefined {
  const expected = "an IPv6 prefix such as 64:ff9b::/96";
  if (!text.includes("/")) return expected;
  try {
    const { network, prefixLength, family } = parseCidr(text);
    if (family !== 6) return expected;
    if (![32, 40, 48, 56, 64, 96].includes(prefixLength))
      return `${expected}, of length 32, 40, 48, 56, 64 or 96 (RFC 6052)`;
    if (ipv6ToBytes(network)[8] !== 0) return `${expected}, with bits 64 to 71 zero (RFC 6052)`;
    const range = ipaddr.parse(network).range();
    return notRoutable.has(range) ? `an IPv6 prefix that can be used here (this one is ${range})` : undefined;
  } catch {
    return expected;
  }
}

/** By path, `*` for any index. Only values that no pattern of the CRD can judge in full. */
const rules: Readonly<Record<Kind, Readonly<Record<string, Rule>>>> = {
  F5SPKEgress: {
    "spec.dnsNat46Ipv4Subnet": ipv4Prefix,
    "spec.dnsNat46PoolIps.*": address(undefined, "10.244.40.252", never),
    "spec.dnsNat46SorryIp": address("IPv4", "10.244.40.100", never),
    "spec.dnsNat46SorryIP": address("IPv4", "10.244.40.100", never),
    "spec.nat64Ipv6Subnet": nat64Prefix,
  },
  F5SPKSnatpool: { "spec.addressList.*.*": address(undefined, "2001:db8::1", notRoutable) },
  F5SPKVlan: {
    "spec.selfip_v4s.*": address("IPv4", "10.244.100.2", notRoutable),
    "spec.selfip_v6s.*": address("IPv6", "2001:db8::1", notRoutable),
  },
};

/** Checks every text that has a rule; what isn't a text is the schema's business. */
export function checkValues(kind: Kind, object: unknown): Fault[] {
  return Object.entries(rules[kind]).flatMap(([pattern, rule]) =>
    select(object, pattern.split("."), []).flatMap(({ path, value }) => {
      const expected = typeof value === "string" ? rule(value) : undefined;
      return expected === undefined ? [] : [{ path, message: `expected ${expected}, got ${quote(value)}` }];
    }),
  );
}

function select(value: unknown, [step, ...rest]: string[], path: Path): { path: Path; value: unknown }[] {
  if (step === undefined) return [{ path, value }];
  if (step === "*")
    return Array.isArray(value) ? value.flatMap((item, index) => select(item, rest, [...path, index])) : [];
  const own = typeof value === "object" && value !== null && Object.hasOwn(value, step);
  return own ? select((value as Record<string, unknown>)[step], rest, [...path, step]) : [];
}
