/** Settings that name a SNAT address wait for Envoy's cluster of it. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { clustersThere } from "../../../src/envoy/clusters-there.ts";

const address = "2001:db8::1";
const line = "snat_2001:db8:0:0:0:0:0:1::added_via_api::true\n";

test("clusters that Envoy has after a while", async (t) => {
  let looks = 0;
  const server = createServer((_, response) => void response.end(++looks < 4 ? "" : line));
  t.after(() => server.close());
  await once(server.listen(0, "127.0.0.1"), "listening");
  const admin = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  await clustersThere(admin, [address], 20_000);
  assert.equal(looks, 4);
  const started = performance.now();
  await clustersThere(admin, [address, "2001:db8::2"], 200);
  assert.ok(performance.now() - started >= 200, "not for ever, but as long as it may");
});

test("no Envoy", async () => {
  const started = performance.now();
  await clustersThere("127.0.0.1:1", [address], 20_000);
  assert.ok(performance.now() - started < 5000);
});
