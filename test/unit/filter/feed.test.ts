/** Mappings on their way: gateway → feed → singleton → shared data → each worker's table. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { describe, type TestContext, test } from "node:test";
import pino from "pino";
import { ipv4ToNumber, ipv6ToBytes, numberToIpv4 } from "../../../src/addresses.ts";
import { parseListenAddress } from "../../../src/admin/listen-address.ts";
import { createFeed } from "../../../src/envoy/feed.ts";
import { filterHost, install } from "../../support/filter-host.ts";
import { endpoint } from "../../support/filter-scenarios.ts";

const settings = {
  active: true,
  dualStack: false,
  internalNets: ["10.1.0.0/16"],
  natSubnets: ["10.64.0.0/10"],
  snat: ["2001:db8:5::9"],
};
const pod = endpoint("10.1.2.3", 40000);
const hostOf = (n: number) => `2001:db8:47::${n.toString(16)}`;
const head = "envoy.network.transport_socket.original_dst_address";

describe("mappings", () => {
  test("60,000 at once, then each change, in two workers, without a question", async (t) => {
    let asked = 0;
    const host = await filterHost(t, {
      lookup: async () => {
        asked++;
        return undefined;
      },
    });
    const first = ipv4ToNumber("10.64.0.0");
    const count = 60_000;
    for (let n = 1; n <= count; n++) await host.feed.install(first + n, ipv6ToBytes(hostOf(n & 0xffff)));
    host.feed.configure(settings);
    const workers = [host.worker(0), host.worker(1)];
    const allowed = (worker: (typeof workers)[number], nat4: number) =>
      worker.connect(pod, endpoint(numberToIpv4(nat4), 80)).state();
    for (const worker of workers) {
      await worker.connect(pod, endpoint(numberToIpv4(first + 1), 80)).settled();
      for (let n = 1; n <= count; n += 97) assert.equal(allowed(worker, first + n), "open", `${n}`);
    }
    // Many small changes: the log in shared data grows, and is written anew.
    for (let round = 0; round < 5; round++) {
      for (let n = 1; n <= 2000; n++) {
        await host.feed.install(first + 100_000 + n, ipv6ToBytes(hostOf(round + 1)));
        if (n % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      await host.feed.remove(first + 1 + round);
    }
    for (const worker of workers) {
      await host.until("the last change is there", () => {
        const connection = worker.connect(pod, endpoint(numberToIpv4(first + 102_000), 80));
        return connection.filterState.get(head)?.startsWith("[2001:db8:47:0:0:0:0:5]") === true;
      });
      assert.equal(allowed(worker, first + count), "open");
    }
    assert.equal(asked, 0);
    for (const worker of workers) {
      const connection = worker.connect(pod, endpoint(numberToIpv4(first + 1), 80));
      assert.equal(await connection.settled(), "closed", "a deleted one is asked for, and refused");
    }
    assert.equal(asked, 2);
  });

  test("an unknown one is asked for once, for all who wait, and not remembered", async (t) => {
    const asked: string[] = [];
    let answer: string | undefined = hostOf(1);
    const host = await filterHost(t, {
      async lookup(nat4) {
        asked.push(nat4);
        await new Promise((resolve) => setTimeout(resolve, 30));
        return answer;
      },
    });
    host.feed.configure(settings);
    await host.until(
      "settings",
      () => host.worker().connect(pod, endpoint("10.1.9.9", 80)).state() === "closed",
    );
    const open = () => host.worker().connect(pod, endpoint("10.64.0.7", 80));
    const waiting = Array.from({ length: 50 }, open);
    assert.ok(waiting.every((connection) => connection.state() === "paused"));
    waiting[3]!.close();
    const states = await Promise.all(waiting.map((connection) => connection.settled()));
    assert.deepEqual(
      states.filter((state) => state === "open").length,
      49,
      "but for the one whose client went away",
    );
    assert.deepEqual(asked, ["10.64.0.7"]);
    answer = undefined;
    assert.equal(await open().settled(), "closed");
    answer = hostOf(1);
    assert.equal(await open().settled(), "open");
  });

  test("the gateway dies: known ones go on, unknown ones are refused in time", async (t) => {
    const host = await filterHost(t, {}, { feedCluster: "f", waitMs: 300 });
    await install(host.feed, { "10.64.0.1": hostOf(1) });
    host.feed.configure(settings);
    const { connect } = host.worker();
    assert.equal(await connect(pod, endpoint("10.64.0.1", 80)).settled(), "open");
    host.dead(true);
    assert.equal(connect(pod, endpoint("10.64.0.1", 80)).state(), "open");
    const started = performance.now();
    assert.equal(await connect(pod, endpoint("10.64.0.2", 80)).settled(), "closed");
    assert.ok(performance.now() - started > 250, "it waited");
    await host.until(
      "it is counted",
      () => host.counters()["egress46_drops_total.reason.MAPPING_TIMEOUT"] === 1,
    );
  });

  test("nothing is known: connections wait for the settings", async (t) => {
    let ready = false;
    const host = await filterHost(t, { ready: () => ready });
    await install(host.feed, { "10.64.0.1": hostOf(1) });
    host.feed.configure(settings);
    const connection = host.worker().connect(pod, endpoint("10.64.0.1", 80));
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(connection.state(), "paused");
    ready = true;
    assert.equal(await connection.settled(), "open");
  });
});

test("while the gateway isn't ready, or has too much to look up, an address is asked for again", async (t) => {
  let ready = false;
  let most = 0;
  let now = 0;
  const host = await filterHost(t, {
    ready: () => ready,
    async lookup(nat4) {
      most = Math.max(most, ++now);
      await new Promise((resolve) => setTimeout(resolve, 50));
      now--;
      return hostOf(ipv4ToNumber(nat4) & 0xffff);
    },
  });
  host.feed.configure(settings);
  const open = (n: number) =>
    host.worker().connect(pod, endpoint(numberToIpv4(ipv4ToNumber("10.64.0.0") + n), 80));
  ready = true;
  await host.until(
    "settings",
    () => host.worker().connect(pod, endpoint("10.1.9.9", 80)).state() === "closed",
  );
  ready = false;
  const waiting = Array.from({ length: 400 }, (_, n) => open(n + 1));
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.ok(waiting.every((connection) => connection.state() === "paused"));
  ready = true;
  for (const connection of waiting) assert.equal(await connection.settled(), "open");
  assert.ok(most <= 200, `${most} look-ups at once`);
});

test("odd questions are answered, and the feed goes on", async (t) => {
  const { port, feed } = await bareFeed(t);
  for (const path of ["//", "/%", "/v1/feed/", "/v1/mappings/1.2.3", "/v1/mappings/999.1.1.1"])
    assert.equal(await statusOf(port, path), 404, path);
  const whole = await Promise.all(
    ["?position=-1&epoch=x", "?position=NaN", "?position=1e99", "?&&=", "?position=1.5"].map((query) =>
      statusOf(port, `/v1/feed${query}`),
    ),
  );
  assert.deepEqual(new Set(whole), new Set([200]));
  await install(feed, { "10.64.0.1": hostOf(1) });
});

async function bareFeed(t: TestContext) {
  const feed = createFeed({
    ready: () => true,
    lookup: async () => undefined,
    log: pino({ level: "silent" }),
  });
  t.after(() => feed.close());
  const { port } = parseListenAddress(await feed.listen({ host: "127.0.0.1", port: 0 }));
  return { feed, port };
}

/** Of a request whose path goes out as it is. */
async function statusOf(port: number, path: string): Promise<number> {
  const socket = connect(port, "127.0.0.1").setEncoding("latin1");
  socket.end(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
  const [first] = (await once(socket, "data")) as [string];
  socket.destroy();
  return Number(first.split(" ")[1]);
}

test("a mapping of 0.0.0.0 takes no room", async (t) => {
  const host = await filterHost(t);
  const worker = host.worker();
  await install(host.feed, { "10.64.0.1": hostOf(1), "0.0.0.0": hostOf(2), "10.64.0.2": hostOf(3) });
  const pages = worker.vm.memoryPages();
  host.feed.configure(settings);
  assert.equal(await worker.connect(pod, endpoint("10.64.0.2", 80)).settled(), "open");
  assert.equal(worker.vm.memoryPages(), pages);
});

test("a question that is never answered is asked again", async (t) => {
  const asked: string[] = [];
  const host = await filterHost(
    t,
    { lookup: async (nat4) => (asked.push(nat4) === 1 ? new Promise<never>(() => {}) : hostOf(1)) },
    { feedCluster: "f", waitMs: 5000 },
  );
  host.feed.configure(settings);
  assert.equal(await host.worker().connect(pod, endpoint("10.64.0.7", 80)).settled(), "open");
  assert.equal(asked.length, 2);
});

test("50,000 connections leave the memory as it was", async (t) => {
  const host = await filterHost(t);
  await install(host.feed, { "10.64.0.1": hostOf(1) });
  host.feed.configure(settings);
  const worker = host.worker();
  await worker.connect(pod, endpoint("10.64.0.1", 80)).settled();
  const pages = worker.vm.memoryPages();
  for (let n = 0; n < 50_000; n++) worker.connect(pod, endpoint("10.64.0.1", 80)).close();
  assert.equal(worker.vm.memoryPages(), pages);
  const counter = "egress46_connections_total.virtual_server.egress-ipv4-nat46";
  await host.until("all are counted", () => host.counters()[counter] === 50_001);
});
