import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { test } from "node:test";
import { serveSorryPage } from "../../../src/gateway/sorry-page.ts";
import { openSorrySocket } from "../../../src/netd/sorry-socket.ts";
import { quiet } from "../../support/mapping-stores.ts";

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" ? (address?.port ?? 0) : 0;
}

test("the sorry page: 503 and when to come back, whatever is asked for; a port in use is named", async () => {
  const place = { host: "127.0.0.1", port: await freePort() };
  const server = serveSorryPage(openSorrySocket(place), quiet);
  try {
    for (const [method, path] of [
      ["GET", "/"],
      ["POST", "/any/thing?x=1"],
      ["HEAD", "/"],
    ] as const) {
      const response = await fetch(`http://127.0.0.1:${place.port}${path}`, { method });
      assert.equal(response.status, 503);
      assert.equal(response.headers.get("retry-after"), "60");
      assert.equal(/No address free/.test(await response.text()), method !== "HEAD");
    }
    assert.throws(() => openSorrySocket(place), {
      code: "EG46_SORRY_PAGE",
      message: `--sorry-page 127.0.0.1:${place.port}: another process has it`,
    });
  } finally {
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  }
});
