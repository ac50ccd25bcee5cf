/** The feed where others reach it: both ends show a certificate, and whoever doesn't gets nothing. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { Agent, get } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import pino from "pino";
import { parseListenAddress } from "../../../src/admin/listen-address.ts";
import { createFeed } from "../../../src/envoy/feed.ts";
import { readFeedTls } from "../../../src/envoy/feed-tls.ts";
import { needs } from "../../support/exec.ts";
import { makeCertificates } from "../../support/redis.ts";

test("mutual TLS", needs("openssl"), async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "egress46-feed-"));
  t.after(() => rmSync(dir, { recursive: true }));
  const { ca, server, client } = await makeCertificates(dir);
  const feed = createFeed(
    { ready: () => true, lookup: async () => undefined, log: pino({ level: "silent" }) },
    readFeedTls({ ...server, ca }),
  );
  t.after(() => feed.close());
  const address = parseListenAddress(await feed.listen({ host: "127.0.0.1", port: 0 }));
  const ask = (certificate: object) =>
    new Promise<number | undefined>((resolve) => {
      const agent = new Agent({ ca: readFileSync(ca), ...certificate });
      get({ ...address, path: "/v1/feed", agent }, (response) => {
        response.resume();
        resolve(response.statusCode);
      }).on("error", () => resolve(undefined));
    });
  assert.equal(await ask({}), undefined, "without a certificate");
  assert.equal(await ask({ cert: readFileSync(client.cert), key: readFileSync(client.key) }), 200);

  const other = mkdtempSync(join(tmpdir(), "egress46-feed-"));
  t.after(() => rmSync(other, { recursive: true }));
  const next = await makeCertificates(other);
  feed.secure(readFeedTls({ ...next.server, ca: next.ca })!);
  const before = { cert: readFileSync(client.cert), key: readFileSync(client.key) };
  assert.equal(await ask(before), undefined, "of the authority before");
  const { cert, key } = next.client;
  assert.equal(
    await ask({ ca: readFileSync(next.ca), cert: readFileSync(cert), key: readFileSync(key) }),
    200,
  );

  assert.equal(readFeedTls(undefined), undefined);
  assert.throws(() => readFeedTls({ cert: client.cert, key: server.key, ca }), { code: "EG46_USAGE" });
  assert.throws(() => readFeedTls({ ...server, ca: `${dir}/none` }), { code: "EG46_USAGE" });
});
