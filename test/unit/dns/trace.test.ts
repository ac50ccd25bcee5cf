/** What `egress46 dig` tells: by the proxy and by real mappings over a real store. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { pino } from "pino";
import { type DigResult, dig } from "../../../src/dns/dig.ts";
import { recordType } from "../../../src/dns/message.ts";
import { textToName } from "../../../src/dns/name.ts";
import { defaultPolicy } from "../../../src/dns/policy.ts";
import { createMappings, type Mappings } from "../../../src/mappings/mappings.ts";
import { openStore } from "../../../src/mappings/open.ts";
import type { MappingStore } from "../../../src/mappings/store.ts";
import { startTestGateway, type TestGateway } from "../../support/dns-gateway.ts";

const log = pino({ level: "silent" });
const ask = (
  gateway: TestGateway,
  name: string,
  type: keyof typeof recordType = "A",
  client?: string,
): Promise<DigResult> =>
  dig(gateway.proxy, { name: textToName(name), type: recordType[type], transport: "udp", client });
/** Without what differs from run to run. */
const told = ({ steps }: DigResult) =>
  steps.map(({ step, found: { ms: _, ...found } }) =>
    [step, ...Object.entries(found).map(([key, value]) => `${key}=${value}`)].join(" "),
  );

describe("dig", () => {
  const folder = mkdtempSync(join(tmpdir(), "egress46-dig-"));
  let store: MappingStore;
  let mappings: Mappings;
  let gateway: TestGateway;
  before(async () => {
    store = await openStore({ spec: `lmdb:${folder}`, log });
    mappings = createMappings({
      store,
      sink: { install: async () => undefined, remove: async () => undefined },
      log,
    });
    mappings.setPool({ subnet: "10.46.0.0/24", reserved: 0 });
    await mappings.start();
    gateway = await startTestGateway({
      mapHost: (host6, { trace }) => mappings.mapHost(host6, trace),
      hostOf: (nat4) => mappings.lookup(nat4),
      policy: { ...defaultPolicy, excludeClients: ["10.9.0.0/16"] },
      config: { subnet: "10.46.0.0/24" },
    });
  });
  after(async () => {
    await gateway.close();
    await mappings.close();
    await store.close();
    rmSync(folder, { recursive: true });
  });

  test("a new host: both questions, the decision, candidates, the claim, the engine, the answer", async () => {
    const result = await ask(gateway, "v6only.example");
    const steps = told(result);
    const claim = steps.find((line) => line.startsWith("SETNX")) ?? "";
    const nat4 = /^SETNX nat4=(10\.46\.0\.\d+) made=true$/.exec(claim)?.[1];
    assert.ok(nat4, steps.join("\n"));
    assert.deepEqual(steps.slice(0, 4).sort(), [
      "upstream address=127.0.0.1 type=A said=NOERROR",
      "upstream address=127.0.0.1 type=A said=asked",
      "upstream address=127.0.0.1 type=AAAA said=NOERROR",
      "upstream address=127.0.0.1 type=AAAA said=asked",
    ]);
    assert.equal(steps[4], "policy decision=synthesize hosts=1 ttl=120");
    assert.ok(steps.includes(`candidate nat4=${nat4} holds=nothing`), steps.join("\n"));
    assert.equal(steps.at(-1), `engine nat4=${nat4} host6=2001:db8:46::80`);
    assert.deepEqual(result.answer?.records, [
      { section: "answer", name: "v6only.example.", ttl: 120, type: "A", data: nat4 },
      { section: "answer", name: "v6only.example.", ttl: 200, type: "AAAA", data: "2001:db8:46::80" },
    ]);
    assert.deepEqual(result.answer?.explanations, [`29 DNS46 ${nat4} <- 2001:db8:46::80`]);
    assert.deepEqual([result.answer?.rcode, result.answer?.flags], ["NOERROR", "qr rd"]);
    for (const { ms } of result.steps) assert.ok(ms >= 0 && ms <= result.ms);

    const again = told(await ask(gateway, "v6only.example"));
    assert.deepEqual(again.slice(5), [
      `known nat4=${nat4} host6=2001:db8:46::80 drains=false`,
      `engine nat4=${nat4} host6=2001:db8:46::80`,
    ]);

    const reversed = await ask(gateway, `${nat4.split(".").reverse().join(".")}.in-addr.arpa`, "PTR");
    assert.equal(told(reversed)[0], `policy decision=alias nat4=${nat4} host6=2001:db8:46::80`);
    assert.equal(reversed.answer?.records[0]?.type, "CNAME");
  });

  const cases: [name: string, type: keyof typeof recordType, client: string, last: string][] = [
    ["v4only.example", "A", "10.1.1.1", "policy decision=unchanged why=there is an A"],
    ["nosuch.example", "A", "10.1.1.1", "policy decision=unchanged why=NXDOMAIN for A"],
    ["nodata.example", "A", "10.1.1.1", "policy decision=unchanged why=neither A nor AAAA"],
    ["mapped.example", "A", "10.1.1.1", "policy decision=unchanged why=every AAAA is excluded"],
    ["aaaafail.example", "A", "10.1.1.1", "policy decision=fail why=no A, and SERVFAIL for AAAA"],
    ["v6only.example", "AAAA", "10.1.1.1", "policy decision=unchanged why=not a question for A"],
    ["v6only.example", "A", "10.9.1.1", "policy decision=unchanged why=the client is excluded"],
    [
      "250.0.46.10.in-addr.arpa",
      "PTR",
      "10.1.1.1",
      "policy decision=deny why=10.46.0.250 stands for no host",
    ],
  ];
  for (const [name, type, client, last] of cases)
    test(`${name} ${type} as ${client}: ${last}`, async () => {
      const steps = told(await ask(gateway, name, type, client));
      assert.equal(
        steps.findLast((step) => step.startsWith("policy")),
        last,
        steps.join("\n"),
      );
    });

  test("records of every kind as text", async () => {
    const { answer } = await ask(gateway, "nosuch.example");
    assert.match(answer!.records[0]!.data, /^ns\.example\. hostmaster\.example\. 1 3600 600 86400 120$/);
    const text = await ask(gateway, "nodata.example", "TXT");
    assert.equal(text.answer?.records[0]?.data, '"neither A nor AAAA"');
    const https = await ask(gateway, "svc.example", "HTTPS");
    assert.equal(https.answer?.records[0]?.data, "\\# 18 0001000001000302683200040004c0000201");
  });

  test("DNS46 off: no answer, no steps", async () => {
    gateway.proxy.configure(undefined);
    const { answer, steps } = await ask(gateway, "v6only.example");
    assert.deepEqual([answer, steps], [undefined, []]);
  });
});
