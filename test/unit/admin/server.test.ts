import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import { createAdmin } from "../../../src/admin/server.ts";
import type { GatewayView, ListedMapping } from "../../../src/admin/view.ts";
import { Eg46Error, errorCatalog } from "../../../src/errors.ts";
import { createLogger } from "../../../src/log.ts";
import { version } from "../../../src/version.ts";
import { sampleSession, sampleView } from "./sample-view.ts";

const log = createLogger("silent");

async function withAdmin(view: GatewayView, run: (url: string) => Promise<void>): Promise<void> {
  const admin = await createAdmin(view, { listen: "127.0.0.1:0", log });
  try {
    await run(`http://${admin.address}`);
  } finally {
    await admin.close();
  }
}

async function getJson(url: string): Promise<{ status: number; body: unknown }> {
  const response = await fetch(url);
  assert.match(response.headers.get("content-type") ?? "", /^application\/json/);
  return { status: response.status, body: await response.json() };
}

const storeDown = new Eg46Error("EG46_STORE_UNAVAILABLE", "redis://store:6379 does not answer");

// biome-ignore format: one response a line
const responses: readonly { name: string; path: string; view?: Partial<GatewayView>; status: number; body: unknown }[] = [
  { name: "healthz, serving", path: "/healthz", status: 200, body: { status: "ok" } },
  {
    name: "healthz, not serving", path: "/healthz", status: 503,
    view: { health: () => ({ ok: false, reasons: ["worker 1 is starting"] }) },
    body: { status: "unavailable", reasons: ["worker 1 is starting"] },
  },
  {
    name: "virtual servers, in the view's order", path: "/v1/virtual-servers", status: 200,
    body: { virtualServers: sampleView().virtualServers() },
  },
  { name: "drops, zero counts too", path: "/v1/drops", status: 200, body: { drops: sampleView().drops() } },
  {
    name: "mappings, a malformed one without host6", path: "/v1/mappings", status: 200,
    body: {
      mappings: [
        { nat4: "10.244.50.1", host6: "2001:db8::1", raw: "00010000000000000000000000022001:db8::1" },
        { nat4: "10.244.50.2", raw: "junk" },
      ],
    },
  },
  {
    name: "mappings, none", path: "/v1/mappings", status: 200,
    view: { async *listMappings() {} }, body: { mappings: [] },
  },
  {
    name: "mappings, store out of reach", path: "/v1/mappings", status: 503,
    // biome-ignore lint/correctness/useYield: it fails before its first entry
    view: { async *listMappings() { throw storeDown; } },
    body: {
      code: "EG46_STORE_UNAVAILABLE", message: "redis://store:6379 does not answer",
      remedy: errorCatalog.EG46_STORE_UNAVAILABLE.remedy,
    },
  },
  { name: "SNAT pool", path: "/v1/snat-pool", status: 200, body: { addresses: sampleView().snatPool() } },
  { name: "sessions", path: "/v1/sessions", status: 200, body: { sessions: [sampleSession] } },
  {
    name: "sessions, what is asked for reaches the view", path: "/v1/sessions?limit=7&pod=fd00::1&after=1-20", status: 200,
    view: { sessionPage: async (query) => ({ sessions: [], next: JSON.stringify(query) }) },
    body: { sessions: [], next: '{"limit":7,"pod":"fd00::1","after":"1-20"}' },
  },
  {
    name: "sessions, limit=0", path: "/v1/sessions?limit=0", status: 400,
    body: {
      code: "EG46_ADMIN_REQUEST", message: "limit='0': expected a number from 1 to 1000",
      remedy: errorCatalog.EG46_ADMIN_REQUEST.remedy,
    },
  },
  {
    name: "sessions, limit=1001", path: "/v1/sessions?limit=1001", status: 400,
    body: {
      code: "EG46_ADMIN_REQUEST", message: "limit='1001': expected a number from 1 to 1000",
      remedy: errorCatalog.EG46_ADMIN_REQUEST.remedy,
    },
  },
  {
    name: "sessions, limit=1&limit=2", path: "/v1/sessions?limit=1&limit=2", status: 400,
    body: {
      code: "EG46_ADMIN_REQUEST", message: "limit='1,2': expected a number from 1 to 1000",
      remedy: errorCatalog.EG46_ADMIN_REQUEST.remedy,
    },
  },
  {
    name: "sessions, pod=me", path: "/v1/sessions?pod=me", status: 400,
    body: {
      code: "EG46_ADMIN_REQUEST", message: "pod='me': expected an address",
      remedy: errorCatalog.EG46_ADMIN_REQUEST.remedy,
    },
  },
  {
    name: "sessions, after=x", path: "/v1/sessions?after=x", status: 400,
    body: {
      code: "EG46_ADMIN_REQUEST", message: "after='x': expected the `next` of the page before",
      remedy: errorCatalog.EG46_ADMIN_REQUEST.remedy,
    },
  },
  {
    name: "sessions, Pod=10.1.2.3", path: "/v1/sessions?Pod=10.1.2.3", status: 400,
    body: {
      code: "EG46_ADMIN_REQUEST", message: "there is no parameter 'Pod'; there are: pod, limit, after",
      remedy: errorCatalog.EG46_ADMIN_REQUEST.remedy,
    },
  },
  {
    name: "sessions, limit=5", path: "/v1/sessions/stream?limit=5", status: 400,
    body: {
      code: "EG46_ADMIN_REQUEST", message: "there is no parameter 'limit'; there are: pod",
      remedy: errorCatalog.EG46_ADMIN_REQUEST.remedy,
    },
  },
  {
    name: "sessions, too many readers", path: "/v1/sessions/stream", status: 503,
    view: { watchSessions: () => { throw new Eg46Error("EG46_ADMIN_BUSY", "4 readers follow the sessions already"); } },
    body: {
      code: "EG46_ADMIN_BUSY", message: "4 readers follow the sessions already",
      remedy: errorCatalog.EG46_ADMIN_BUSY.remedy,
    },
  },
  {
    name: "unknown path", path: "/v1/nothing", status: 404,
    body: {
      code: "EG46_ADMIN_REQUEST", message: "no such resource: GET /v1/nothing",
      remedy: "Check the path; a gateway of another version may lack it (`egress46 status` shows its version).",
    },
  },
  {
    name: "undecodable path", path: "/v1/%ff", status: 400,
    body: {
      code: "EG46_ADMIN_REQUEST", message: "'/v1/%ff' is not a valid url component",
      remedy: "Check the path; a gateway of another version may lack it (`egress46 status` shows its version).",
    },
  },
  {
    name: "a view that throws", path: "/v1/drops", status: 500,
    view: { drops: () => { throw new RangeError("out of bounds"); } },
    body: {
      code: "EG46_INTERNAL", message: "out of bounds",
      remedy: "This is a bug: report the message with the gateway's log.",
    },
  },
];

for (const { name, path, view, status, body } of responses)
  test(`admin: ${name} → ${status}`, () =>
    withAdmin(sampleView(view), async (url) => {
      assert.deepEqual(await getJson(url + path), { status, body });
    }));

// biome-ignore format: a matrix of requests
const badDigs: readonly [query: string, message: RegExp][] = [
  ["", /name='undefined': expected a domain name/],
  ["?name=", /name='': expected a domain name/],
  ["?name=a..b", /name='a\.\.b': expected a domain name/],
  ["?name=a&name=b", /name='a,b': expected a domain name/],
  ["?name=a&type=OPT", /type='OPT': expected a type/],
  ["?name=a&type=TYPE65536", /type='TYPE65536': expected a type/],
  ["?name=a&type=toString", /type='toString': expected a type/],
  ["?name=a&transport=dot", /transport='dot': expected udp or tcp/],
  ["?name=a&client=me", /client='me': expected an address/],
  ["?name=a&more=1", /there is no parameter 'more'; there are: name, type, client, transport/],
];
for (const [query, message] of badDigs)
  test(`admin: dig${query} → 400`, () =>
    withAdmin(sampleView(), async (url) => {
      const { status, body } = await getJson(`${url}/v1/dig${query}`);
      assert.equal(status, 400);
      assert.match((body as { message: string }).message, message);
    }));

test("admin: dig passes the question on", () =>
  withAdmin(
    sampleView({
      dig: async ({ name, type, client, transport }) => ({
        ...{ name: Buffer.from(name).toString("latin1"), type: `${type} ${client} ${transport}` },
        ...{ steps: [], ms: 0 },
      }),
    }),
    async (url) => {
      const { status, body } = await getJson(
        `${url}/v1/dig?name=a.b.&type=type64&client=10.1.2.3&transport=tcp`,
      );
      assert.deepEqual(
        [status, body],
        [200, { name: "\x01a\x01b\0", type: "64 10.1.2.3 tcp", steps: [], ms: 0 }],
      );
    },
  ));

test("admin: status tells state, store, uptime and version", () =>
  withAdmin(sampleView(), async (url) => {
    const { status, body } = await getJson(`${url}/v1/status`);
    assert.equal(status, 200);
    const { uptimeSeconds, ...rest } = body as { uptimeSeconds: number };
    assert.ok(Number.isInteger(uptimeSeconds) && uptimeSeconds >= 0);
    const { questions, synthesized, responses: byCode, failures, upstreams } = sampleView().dns();
    assert.deepEqual(rest, {
      version,
      ...sampleView().status(),
      health: { ok: true, reasons: [] },
      store: { name: "lmdb:/var/lib/egress46", connected: true },
      mappings: { known: 6, malformed: 1, poolSize: 254, poolUsed: 5 },
      sessions: 4,
      maxSessions: 1000,
      dns: { questions, synthesized, responses: byCode, failures, upstreams },
    });
  }));

test("admin: the stream of sessions is an object a line, and a reader that leaves ends it", async () => {
  let left = false;
  const view = sampleView({
    async *watchSessions(pod, signal) {
      yield [{ change: "created", session: { ...sampleSession, pod: pod ?? "" } }];
      // Nothing happens any more: only the signal tells that nobody listens.
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
      left = true;
    },
  });
  await withAdmin(view, async (url) => {
    const response = await fetch(`${url}/v1/sessions/stream?pod=10.9.9.9`);
    assert.equal(response.headers.get("content-type"), "application/x-ndjson; charset=utf-8");
    const reader = response.body!.getReader();
    const { value } = await reader.read();
    const line = { change: "created", session: { ...sampleSession, pod: "10.9.9.9" } };
    assert.equal(Buffer.from(value!).toString(), `${JSON.stringify(line)}\n`);
    await reader.cancel();
    while (!left) await new Promise((resolve) => setTimeout(resolve, 10));
  });
});

test("admin: 50,000 mappings arrive whole, and a reader that leaves early ends the listing", async () => {
  let ended = 0;
  const view = sampleView({
    async *listMappings(): AsyncGenerator<ListedMapping> {
      try {
        for (let n = 0; n < 50_000; n++)
          yield { nat4: `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`, host6: "::1", raw: "x" };
      } finally {
        ended++;
      }
    },
  });
  await withAdmin(view, async (url) => {
    const { body } = await getJson(`${url}/v1/mappings`);
    const { mappings } = body as { mappings: ListedMapping[] };
    assert.equal(new Set(mappings.map(({ nat4 }) => nat4)).size, 50_000);
    assert.equal(ended, 1);

    const leaving = await fetch(`${url}/v1/mappings`);
    const reader = leaving.body?.getReader();
    await reader?.read();
    await reader?.cancel();
    while (ended < 2) await new Promise((resolve) => setTimeout(resolve, 10));
  });
});

test("admin: a store that fails half-way breaks the body off instead of ending it well-formed", () =>
  withAdmin(
    sampleView({
      async *listMappings() {
        for (let n = 0; n < 5_000; n++) yield { nat4: "10.0.0.1", host6: "::1", raw: "x" };
        throw storeDown;
      },
    }),
    async (url) => {
      await assert.rejects(async () => (await fetch(`${url}/v1/mappings`)).text());
      assert.equal((await fetch(`${url}/healthz`)).status, 200);
    },
  ));

// The timeout is below every keep-alive timeout of Node and Fastify.
test("admin: close() does not wait for a keep-alive connection or a request under way", {
  timeout: 4_000,
}, async () => {
  const events = new EventEmitter();
  const never = new Promise<IteratorResult<ListedMapping>>(() => {});
  function next() {
    events.emit("asked");
    return never;
  }
  const view = sampleView({ listMappings: () => ({ [Symbol.asyncIterator]: () => ({ next }) }) });
  const admin = await createAdmin(view, { listen: "127.0.0.1:0", log });
  const port = Number(admin.address.split(":")[1]);
  const idle = connect(port, "127.0.0.1");
  const waiting = connect(port, "127.0.0.1");
  const closed = [idle, waiting].map((socket) => new Promise((resolve) => socket.on("close", resolve)));
  for (const socket of [idle, waiting]) socket.on("error", () => {});
  const asked = once(events, "asked");
  idle.write("GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n");
  waiting.write("GET /v1/mappings HTTP/1.1\r\nhost: x\r\n\r\n");
  await Promise.all([once(idle, "data"), asked]);
  await admin.close();
  await Promise.all(closed);
});

test("admin: a taken address is named, with what to do", async () => {
  const first = await createAdmin(sampleView(), { listen: "127.0.0.1:0", log });
  await assert.rejects(createAdmin(sampleView(), { listen: first.address, log }), (error) => {
    assert.ok(error instanceof Eg46Error);
    assert.equal(error.code, "EG46_ADMIN_LISTEN");
    assert.equal(error.message, `cannot listen on ${first.address}: another process listens there already`);
    return true;
  });
  await first.close();
});

for (const listen of [
  "9046",
  "127.0.0.1",
  "127.0.0.1:70000",
  "::1:9046",
  "[::g]:1",
  "",
  "http://127.0.0.1:9046",
])
  test(`admin: '${listen}' is no listen address`, () =>
    assert.rejects(createAdmin(sampleView(), { listen, log }), { code: "EG46_USAGE" }));
