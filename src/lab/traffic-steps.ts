import { setTimeout as sleep } from "node:timers/promises";
import { cidrContains, parseCidr } from "../addresses.ts";
import { createLogger } from "../log.ts";
import { decodeValue, keyOf } from "../mappings/codec.ts";
import { openStore } from "../mappings/open.ts";
import { labAddresses } from "./addresses.ts";
import { egress46 } from "./gateway.ts";
import { type Asked, ask, fetchPage } from "./pod-client.ts";
import { type Lab, labStore } from "./setup-steps.ts";
import { expect, type Step } from "./step.ts";

const { resolver, natSubnet, snatPool, web } = labAddresses;
const tmctl = "tmctl -f /var/tmstat/blade/tmm0 virtual_server_stat -s name,serverside.tot_conns";
/** The specification: counters may be a second late. */
const countersWithinMs = 3000;

export function trafficSteps(lab: Lab): readonly Step[] {
  /** What the Pod got for v6only.example. */
  let nat4 = "";
  return [
    {
      title: `As the Pod, ask ${resolver} for v6only.example`,
      async run() {
        const asked = await ask(lab.topology.pods[0], resolver, "v6only.example", "A");
        nat4 = dataOf(asked, "A")[0] ?? "";
        expect(
          nat4 !== "" && cidrContains(parseCidr(natSubnet), nat4),
          `no A record out of ${natSubnet} came back: ${show(asked).join("; ")}`,
        );
        expect(
          dataOf(asked, "AAAA")[0] === web.v6only,
          `the original AAAA is not with it: ${show(asked).join("; ")}`,
        );
        return show(asked);
      },
    },
    {
      title: "Look into the mapping store",
      async run() {
        const store = await openStore({ spec: labStore(lab), log: createLogger("silent"), create: false });
        const value = await store.get(nat4);
        await store.close();
        expect(value !== undefined, `there is no entry ${keyOf(nat4)}`);
        expect(
          decodeValue(value)?.host6 === web.v6only,
          `${keyOf(nat4)} does not lead to ${web.v6only}: ${value}`,
        );
        return [`key    ${keyOf(nat4)}`, `value  "${value}"`];
      },
    },
    visitStep(lab, "v6only.example", () => nat4, snatPool.ipv6),
    {
      title: "As the Pod, ask for dual.example: unchanged",
      async run() {
        const asked = await ask(lab.topology.pods[0], resolver, "dual.example", "A");
        expect(
          asked.answers.length === 1 && dataOf(asked, "A")[0] === web.dual4,
          `expected the A record ${web.dual4} alone: ${show(asked).join("; ")}`,
        );
        return show(asked);
      },
    },
    visitStep(lab, "dual.example", () => web.dual4, snatPool.ipv4),
    visitStep(lab, "v4only.example", () => web.v4only, snatPool.ipv4),
    {
      title: "Count: the virtual servers",
      async run() {
        // Questions: our two, and one for each page (a resolver without IPv6 asks for A only).
        const expected = { "egress-ipv4-nat46": 1, "egress-ipv4": 2, "egress-dns-ipv4": 5 };
        const deadline = performance.now() + countersWithinMs;
        for (;;) {
          const table = await lab.topology.gateway.run([...egress46, ...tmctl.split(" ")]);
          const short = Object.entries(expected).find(([name, least]) => count(table, name) < least);
          if (short === undefined) return [`$ ${tmctl}`, ...table.trimEnd().split("\n")];
          expect(
            performance.now() < deadline,
            `${short[0]} counts ${count(table, short[0])}, expected ${short[1]} or more:\n${table}`,
          );
          await sleep(100);
        }
      },
    },
  ];
}

/** The Pod fetches a page by name; `server` is whom it should connect to, `pool` what the server should see. */
function visitStep(lab: Lab, name: string, server: () => string, pool: readonly string[]): Step {
  return {
    title: `As the Pod, fetch http://${name}/`,
    async run() {
      const page = await fetchPage(lab.topology.pods[0], `http://${name}/`);
      expect(page.status === 200, `HTTP status ${page.status}`);
      expect(page.server === server(), `the Pod connected to ${page.server}, not to ${server()}`);
      const source = lab.internet.visits.findLast((visit) => visit.server === name)?.source ?? "";
      expect(
        pool.includes(source),
        `the server saw ${source || "nobody"}, which is not in ${pool.join(", ")}`,
      );
      return [
        ...page.body.trimEnd().split("\n"),
        `${lab.topology.pods[0].ipv4} → ${page.server}, seen by the server as ${source}; ${page.ms.toFixed(1)} ms`,
      ];
    },
  };
}

function dataOf(asked: Asked, type: string): string[] {
  return asked.answers.filter((answer) => answer.type === type).map(({ data }) => data);
}

function show({ question, answers, ms }: Asked): string[] {
  return [
    `? ${question}`,
    ...answers.map(({ name, ttl, type, data }) => `= ${name}  ${ttl}  ${type.padEnd(4)}  ${data}`),
    `${answers.length === 1 ? "one record" : `${answers.length} records`} in ${ms.toFixed(1)} ms`,
  ];
}

/** The number in the table's row of that name; 0 without such a row. */
function count(table: string, name: string): number {
  return Number(new RegExp(`^${name} +(\\d+)$`, "m").exec(table)?.[1] ?? 0);
}
