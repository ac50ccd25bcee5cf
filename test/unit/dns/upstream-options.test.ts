import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Command } from "commander";
import {
  addDnsUpstreamOptions,
  type DnsUpstreamFlags,
  dnsUpstreamsOf,
} from "../../../src/cli/dns-upstream-options.ts";
import { readAuthority, upstreamSettings } from "../../../src/dns/upstream-options.ts";

function parse(...args: string[]): ReturnType<typeof dnsUpstreamsOf> {
  const command = new Command("run").exitOverride().configureOutput({ writeErr: () => undefined });
  addDnsUpstreamOptions(command);
  return dnsUpstreamsOf(command.parse(args, { from: "user" }).opts<DnsUpstreamFlags>());
}

describe("options of DNS upstreams", () => {
  test("default: UDP and TCP, 0x20 where it works", () => {
    assert.deepEqual(upstreamSettings(parse(), undefined), { letterCase: "auto" });
  });

  for (const [given, name] of [
    ["dns.quad9.net", "dns.quad9.net"],
    ["dns.quad9.net.", "dns.quad9.net"],
    ["2620:fe::fe", "2620:fe::fe"],
    ["9.9.9.9", "9.9.9.9"],
  ] as const)
    test(`--dns-tls ${given}`, () => {
      const ca = Buffer.from("pem");
      assert.deepEqual(upstreamSettings(parse("--dns-tls", given, "--dns-0x20", "off"), ca), {
        letterCase: "off",
        tls: { name, ca },
      });
    });

  test("--dns-tcp", () => {
    assert.deepEqual(upstreamSettings(parse("--dns-tcp"), undefined), { letterCase: "auto", tcp: true });
  });

  const wrong: [args: string[], message: RegExp][] = [
    [["--dns-tls", "https://dns.quad9.net"], /such as dns\.quad9\.net/],
    [["--dns-tls", ""], /such as dns\.quad9\.net/],
    [["--dns-tls-ca", "ca.crt"], /needs --dns-tls NAME/],
    [["--dns-tcp", "--dns-tls", "dns.test"], /exclude each other/],
    [["--dns-0x20", "on"], /auto, off/],
  ];
  for (const [args, message] of wrong)
    test(`refused: ${args.join(" ")}`, () => assert.throws(() => parse(...args), { message }));

  const junk = join(tmpdir(), `egress46-junk-${process.pid}.pem`);
  before(() => writeFileSync(junk, "no certificate"));
  after(() => rmSync(junk));
  for (const [why, file] of [
    ["not there", "/nowhere/ca.crt"],
    ["no certificate", junk],
  ] as const)
    test(`--dns-tls-ca names a file that is ${why}`, () => {
      const options = parse("--dns-tls", "dns.test", "--dns-tls-ca", file);
      assert.throws(() => readAuthority(options), { code: "EG46_USAGE", message: /^--dns-tls-ca must name/ });
    });
});
