import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { pino } from "pino";
import { defaultPolicy, type QueryLogMode } from "../../../src/dns/policy.ts";
import { createQueryLog } from "../../../src/dns/query-log.ts";
import { askProxy, encodeQuestion } from "../../support/dns-client.ts";
import { startTestGateway } from "../../support/dns-gateway.ts";

interface Line {
  readonly level: number;
  readonly dns?: Record<string, unknown>;
  readonly leftOut?: number;
}

function logger(lines: Line[]) {
  return pino({ level: "info" }, { write: (line: string) => void lines.push(JSON.parse(line)) });
}

describe("the query log", () => {
  const cases: [mode: QueryLogMode, names: string[]][] = [
    ["off", []],
    ["all", ["v4only.example", "v6only.example", "nosuch.example", "v4only.example"]],
    ["dns46", ["v6only.example"]],
  ];
  for (const [mode, names] of cases)
    test(`${mode}: ${names.length} of four questions`, async (t) => {
      const lines: Line[] = [];
      const gateway = await startTestGateway({ policy: { ...defaultPolicy, log: mode }, log: logger(lines) });
      t.after(() => gateway.close());
      for (const name of ["v4only.example", "v6only.example", "nosuch.example"])
        await askProxy(gateway.proxy, { name, client: "10.1.2.3" });
      await askProxy(gateway.proxy, {
        name: "v4only.example",
        type: "TXT",
        transport: "tcp",
        client: "2001:db8::3",
      });
      const written = lines.flatMap(({ dns }) => (dns === undefined ? [] : [dns]));
      assert.deepEqual(
        written.map(({ name }) => name),
        names,
      );
      for (const line of written) assert.ok((line.ms as number) >= 0);
      const without = written.map(({ ms, ...rest }) => rest);
      const made = { nat4: "10.46.0.1", host6: "2001:db8:46::80" };
      const expected = [
        {
          client: "10.1.2.3",
          name: "v4only.example",
          type: "A",
          proto: "udp",
          rcode: "NOERROR",
          source: "upstream",
        },
        {
          client: "10.1.2.3",
          name: "v6only.example",
          type: "A",
          proto: "udp",
          rcode: "NOERROR",
          source: "synthesized",
          made: [made],
        },
        {
          client: "10.1.2.3",
          name: "nosuch.example",
          type: "A",
          proto: "udp",
          rcode: "NXDOMAIN",
          source: "upstream",
        },
        {
          client: "2001:db8::3",
          name: "v4only.example",
          type: "TXT",
          proto: "tcp",
          rcode: "NOERROR",
          source: "upstream",
        },
      ];
      assert.deepEqual(
        without,
        mode === "all" ? expected : expected.filter((line) => mode === "dns46" && line.made),
      );
    });

  test("a flood: as many lines as are allowed, then how many were left out", async () => {
    const lines: Line[] = [];
    const log = createQueryLog("all", logger(lines), 5)!;
    const asking = { transport: "udp", client: () => "10.1.2.3" } as const;
    const query = encodeQuestion({ name: "www.example" });
    for (let count = 0; count < 1000; count++) log(query, asking, undefined, 1);
    assert.ok(lines.length <= 10, `${lines.length} lines`);
    await sleep(1100);
    log(query, asking, undefined, 1);
    assert.equal((lines.at(-2)?.leftOut ?? 0) + lines.filter(({ dns }) => dns).length, 1001);
    assert.ok(lines.at(-1)?.dns);
  });

  test("what is no question, and octets that are no letters", () => {
    const lines: Line[] = [];
    const log = createQueryLog("all", logger(lines))!;
    const asking = { transport: "udp", client: () => "10.1.2.3" } as const;
    log(Uint8Array.of(1, 2, 3), asking, undefined, 0.5);
    const query = encodeQuestion({ name: "www.example" });
    query.write('"\n\x1b', 13, "latin1");
    log(query, asking, undefined, 0.5);
    assert.deepEqual(
      lines.map(({ dns }) => dns),
      [
        { client: "10.1.2.3", proto: "udp", ms: 0.5 },
        { client: "10.1.2.3", name: "\\034\\010\\027.example", type: "A", proto: "udp", ms: 0.5 },
      ],
    );
  });
});
