/** What the filter is told may be anything: no trap, and nothing leaves. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createHost } from "../../../src/proxy-wasm/host.ts";
import { filterBytes, filterHost, install } from "../../support/filter-host.ts";

const module = new WebAssembly.Module(filterBytes);
const settings = {
  active: true,
  dualStack: true,
  internalNets: ["10.1.0.0/16"],
  natSubnets: ["10.64.0.0/10"],
  snat: ["2001:db8:5::9", "198.51.100.9"],
};

test("addresses", async (t) => {
  const host = await filterHost(t);
  await install(host.feed, { "10.64.0.1": "2001:db8::1" });
  host.feed.configure(settings);
  const { connect } = host.worker();
  await connect("10.1.2.3:1", "10.64.0.1:80").settled();
  const odd = fc.oneof(
    fc.string({ maxLength: 80 }),
    fc.ipV4(),
    fc.ipV6().map((address) => `[${address}]:80`),
    fc.constantFrom(
      "[",
      "]",
      "[]:80",
      "[:::]:1",
      "[1::2::3]:80",
      "[::]:65536",
      "1.2.3.4:",
      "256.1.1.1:1",
      "/run/x",
      "x".repeat(70_000),
    ),
  );
  fc.assert(
    fc.property(odd, odd, (from, to) => {
      const connection = connect(from, to);
      assert.notEqual(connection.state(), "open");
      connection.close();
    }),
    { numRuns: 500 },
  );
  assert.equal(connect("10.1.2.3:1", "10.64.0.1:80").state(), "open", "it works still");
});

test("bodies of the feed and answers", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ maxLength: 300 }),
      fc.boolean(),
      fc.constantFrom("200", "404", "503", "", "2000", "x"),
      async (bytes, magic, status) => {
        const body = Uint8Array.from(bytes);
        if (magic && body.length >= 8)
          new DataView(body.buffer).setBigUint64(0, 0x0000_0001_3634_4745n, true);
        // A trap in the callback is an unhandled rejection: the test fails.
        const http = () => Promise.resolve({ headers: [[":status", status]] as const, body });
        const vm = createHost({ module, http });
        for (const root of ["egress46-feed", "egress46"]) {
          const plugin = vm.plugin(root, '{"feedCluster":"f"}');
          for (let n = 0; n < 2; n++) {
            plugin?.tick();
            plugin?.connect({ "source.address": "10.1.2.3:1", "destination.address": "10.64.0.9:80" });
            await new Promise((resolve) => setImmediate(resolve));
          }
        }
      },
    ),
    { numRuns: 200 },
  );
});

test("configurations", () => {
  const host = createHost({ module });
  fc.assert(
    fc.property(
      fc.oneof(fc.string(), fc.json(), fc.constantFrom(" ".repeat(70_000), `{"${"x".repeat(60_000)}`)),
      (text) => {
        assert.equal(host.plugin("egress46", text), undefined);
      },
    ),
    { numRuns: 500 },
  );
});
