import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { gatewayFilePath } from "../../../src/admin/gateway-file.ts";
import { createAdmin } from "../../../src/admin/server.ts";
import { askGateway, gatewayAddresses } from "../../../src/cli/admin-client.ts";
import { createLogger } from "../../../src/log.ts";
import { sampleView } from "./sample-view.ts";

const silent = createLogger("silent");

const lookups = [
  { name: "nothing registered", file: undefined, wanted: ["127.0.0.1:9046"] },
  {
    name: "registered",
    file: '{"pid":1,"admin":"127.0.0.1:7000"}',
    wanted: ["127.0.0.1:7000", "127.0.0.1:9046"],
  },
  {
    name: "registered, IPv6",
    file: '{"pid":1,"admin":"[::1]:7000"}',
    wanted: ["[::1]:7000", "127.0.0.1:9046"],
  },
  {
    name: "registered at the default",
    file: '{"pid":1,"admin":"127.0.0.1:9046"}',
    wanted: ["127.0.0.1:9046"],
  },
  { name: "--admin overrides", file: '{"pid":1,"admin":"127.0.0.1:7000"}', admin: "h:1", wanted: ["h:1"] },
  { name: "half-written file", file: '{"pid":1,"adm', wanted: ["127.0.0.1:9046"] },
  { name: "file without an address", file: '{"pid":1}', wanted: ["127.0.0.1:9046"] },
  { name: "file with no address in it", file: '{"pid":1,"admin":"x"}', wanted: ["127.0.0.1:9046"] },
];

for (const { name, file, admin, wanted } of lookups)
  test(`gateway discovery: ${name}`, async () => {
    const directory = await mkdtemp(join(tmpdir(), "egress46-"));
    if (file !== undefined) await writeFile(gatewayFilePath(directory), file);
    assert.deepEqual(await gatewayAddresses(admin, directory), wanted);
    await rm(directory, { recursive: true });
  });

test("gateway discovery: the file is named by the network namespace's inode", async () => {
  const { ino } = await stat("/proc/self/ns/net");
  assert.equal(gatewayFilePath("/run/egress46"), `/run/egress46/net-${ino}.json`);
});

test("gateway discovery: goes on to the next address when one is stale", async () => {
  const admin = await createAdmin(sampleView(), { listen: "127.0.0.1:0", log: silent });
  const body = await askGateway<{ drops: unknown[] }>("/v1/drops", ["127.0.0.1:1", admin.address]);
  assert.equal(body.drops.length, 3);
  await admin.close();
});

for (const listen of ["127.0.0.1:0", "localhost:0", "0.0.0.0:0", "[::1]:0", "[::]:0"])
  test(`asking: a gateway that listens on ${listen}`, async (t) => {
    if (listen.startsWith("[") && !existsSync("/proc/net/if_inet6"))
      return t.skip("this machine has no IPv6");
    const admin = await createAdmin(sampleView(), { listen, log: silent });
    const body = await askGateway<{ virtualServers: unknown[] }>("/v1/virtual-servers", [admin.address]);
    assert.equal(body.virtualServers.length, 2);
    await admin.close();
  });

test("asking: nobody listens → every address tried is named", () =>
  assert.rejects(askGateway("/v1/drops", ["127.0.0.1:1", "[::1]:1"]), {
    code: "EG46_ADMIN_UNREACHABLE",
    message: /^no gateway answers: tried 127\.0\.0\.1:1 \(ECONNREFUSED\), \[::1\]:1 \(E[A-Z]+\)$/,
  }));

test("asking: the gateway's own error arrives with its code", async () => {
  const admin = await createAdmin(sampleView(), { listen: "127.0.0.1:0", log: silent });
  await assert.rejects(askGateway("/v2/drops", [admin.address]), {
    code: "EG46_ADMIN_REQUEST",
    message: `${admin.address}: no such resource: GET /v2/drops`,
  });
  await admin.close();
});

test("asking: another program at the port is not taken for a gateway", async () => {
  const other = createServer((_request, response) => response.end("<html>hello</html>"));
  await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
  const address = `127.0.0.1:${(other.address() as AddressInfo).port}`;
  await assert.rejects(askGateway("/v1/drops", [address]), {
    code: "EG46_ADMIN_UNREACHABLE",
    message: `no gateway answers: tried ${address} (something answers, but not as an egress46 gateway)`,
  });
  other.close();
});
