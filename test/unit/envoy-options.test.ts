/** The command line of Envoy as the data plane: what it makes of the options, and what it refuses. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Command } from "commander";
import { addEnvoyOptions, type EnvoyFlags, envoyOf } from "../../src/cli/envoy-options.ts";
import { addMappingOptions } from "../../src/cli/mapping-options.ts";
import { bootstrap } from "../../src/envoy/bootstrap.ts";
import { secretFiles } from "../../src/envoy/secrets.ts";

const options = (...args: string[]) =>
  envoyOf(addEnvoyOptions(addMappingOptions(new Command())).parse(args, { from: "user" }).opts<EnvoyFlags>());
const envoy = ["--data-plane", "envoy", "--envoy-dir", "/run/e"];
const tls = ["cert", "key", "ca"].flatMap((name) => [`--envoy-feed-${name}`, `/etc/${name}.pem`]);

test("without --data-plane there is none", () => assert.equal(options(), undefined));

test("defaults", () =>
  assert.deepEqual(options(...envoy), {
    dir: "/run/e",
    admin: "127.0.0.1:9901",
    feed: "127.0.0.1:9047",
    dns: "127.0.0.1:9053",
    redirect: "redirect",
    proxyPort: 15001,
    dnsPort: 15053,
  }));

test("a feed that others reach, by mutual TLS", () => {
  const made = options(...envoy, "--envoy-feed", "192.0.2.1:9047", ...tls);
  assert.deepEqual(made?.tls, { cert: "/etc/cert.pem", key: "/etc/key.pem", ca: "/etc/ca.pem" });
  assert.match(JSON.stringify(bootstrap(made!)), /feed-certificate\.yaml.*feed-authority\.yaml/);
  const secrets = JSON.stringify(secretFiles(made!.tls!));
  for (const file of Object.values(made!.tls!)) assert.ok(secrets.includes(`{"filename":"${file}"}`), file);
});

describe("refused", () => {
  for (const [name, args, text] of [
    ["no folder", ["--data-plane", "envoy"], /needs --envoy-dir/],
    ["a folder without Envoy", ["--envoy-dir", "/run/e"], /--data-plane envoy only/],
    ["an open feed", [...envoy, "--envoy-feed", "0.0.0.0:9047"], /loopback address .* unless/],
    [
      "an open DNS",
      [...envoy, "--envoy-dns", "192.0.2.1:9053"],
      /--envoy-dns 192\.0\.2\.1:9053: it must be a loopback/,
    ],
    ["half of TLS", [...envoy, ...tls.slice(0, 4)], /go together/],
    ["leases, whose use nobody could tell", [...envoy, "--mapping-lease", "1h"], /--mapping-lease/],
    ["an admin address", [...envoy, "--envoy-admin", "9901"], /'9901' is not an address/],
  ] as const)
    test(name, () => assert.throws(() => options(...args), { code: "EG46_USAGE", message: text }));
});
