import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Command, CommanderError } from "commander";
import { addDnsOptions, type DnsFlags, dnsPolicyOf } from "../../src/cli/dns-options.ts";
import { type DnsPolicy, defaultPolicy } from "../../src/dns/policy.ts";
import { Eg46Error } from "../../src/errors.ts";

function parse(args: string): DnsPolicy {
  const command = addDnsOptions(new Command().exitOverride().configureOutput({ writeErr: () => undefined }));
  command.parse(args.split(" ").filter(Boolean), { from: "user" });
  return dnsPolicyOf(command.opts<DnsFlags>());
}

describe("options of DNS46", () => {
  const good: [args: string, changed: Partial<DnsPolicy>][] = [
    ["", {}],
    ["--dns46-exclude-host 2001:DB8::1/32 fd00::/8", { excludeHosts: ["2001:db8::/32", "fd00::/8"] }],
    ["--dns46-exclude-host ::/0", { excludeHosts: ["::/0"] }],
    [
      "--dns46-exclude-client 10.1.2.3 --dns46-exclude-client 2001:db8::/64 10.0.0.0/8",
      { excludeClients: ["10.1.2.3/32", "2001:db8::/64", "10.0.0.0/8"] },
    ],
    ["--dns46-exclude-name example.net. a.B", { excludeNames: ["example.net.", "a.B"] }],
    ["--dns46-break-dnssec", { breakDnssec: true }],
    ["--dns46-max-hosts 1", { maxHosts: 1 }],
    ["--dns46-answer a --dns46-add-to-aaaa", { answer: "a", addToAaaa: true }],
    ["--dns-log all", { log: "all" }],
    ["--dns-log dns46", { log: "dns46" }],
  ];
  for (const [args, changed] of good)
    test(args || "none", () => assert.deepEqual(parse(args), { ...defaultPolicy, ...changed }));

  const bad: [args: string, message: RegExp][] = [
    ["--dns46-exclude-host 10.0.0.0/8", /--dns46-exclude-host: '10\.0\.0\.0\/8' is not an IPv6 prefix/],
    [
      "--dns46-exclude-host 2001:db8::/129",
      /--dns46-exclude-host: '2001:db8::\/129' is not an address prefix/,
    ],
    ["--dns46-exclude-client pods", /--dns46-exclude-client: 'pods' is not an address prefix/],
    ["--dns46-exclude-name a..b", /--dns46-exclude-name: 'a\.\.b' is not a domain name/],
    ["--dns46-max-hosts 0", /It must be a number from 1 to 64/],
    ["--dns46-max-hosts 65", /It must be a number from 1 to 64/],
    ["--dns46-answer aaaa", /Allowed choices are both, a/],
    ["--dns-log some", /Allowed choices are off, all, dns46/],
  ];
  for (const [args, message] of bad)
    test(`refused: ${args}`, () =>
      assert.throws(
        () => parse(args),
        (error) => {
          assert.ok(
            error instanceof CommanderError || (error instanceof Eg46Error && error.code === "EG46_USAGE"),
          );
          assert.match(error.message, message);
          return true;
        },
      ));
});
