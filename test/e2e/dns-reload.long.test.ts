/** A minute of questions at 70 % of what the gateway can answer, while its CRs are applied again every second. */
import assert from "node:assert/strict";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { dnsperf } from "../../bench/dns/dnsperf.ts";
import { egress46 } from "../../bench/dns/worlds.ts";
import { warmNames, writeQuestions } from "../../bench/dns/zones.ts";
import { needs } from "../support/exec.ts";

const seconds = 60;
const tools = needs("root", "tun", "ip", "nft", "dig", "dnsperf", "nsd", "redis-server", "redis-cli");

for (const [kind, label, type] of [
  ["plain answers", "four", "A"],
  ["DNS46", "six", "A"],
] as const)
  test(`${kind}: no answer is lost`, tools, async (t) => {
    const { resolvers, folder, resources, close } = await egress46("redis", 1);
    t.after(close);
    const [resolver] = resolvers;
    const { pod, address: server } = resolver!;
    const questions = writeQuestions(`${folder}/questions`, {
      zone: "warm.bench",
      label,
      type,
      count: warmNames,
    });
    await dnsperf(pod, { server, questions });
    const most = await dnsperf(pod, { server, questions, seconds: 5 });
    const text = readFileSync(resources!, "utf8");
    let applied = 0;
    const applying = setInterval(() => {
      // Whole files appear at once, as a ConfigMap's do.
      writeFileSync(`${resources}.new`, `${text}  maxDNS46TTL: ${100 + (applied++ % 2)}\n`);
      renameSync(`${resources}.new`, resources!);
    }, 1000);
    const rate = Math.floor(most.perSecond * 0.7);
    const load = dnsperf(pod, { server, questions, seconds, rate });
    const answered = await load.finally(() => clearInterval(applying));
    t.diagnostic(
      `${most.perSecond.toFixed(0)}/s at most; ${answered.completed} answers at ${rate}/s, ${applied} times applied`,
    );
    assert.ok(applied >= seconds - 5);
    assert.ok(answered.completed > 0.9 * rate * seconds, "the gateway kept up with the questions");
    assert.deepEqual(
      { lost: answered.lost, codes: Object.keys(answered.codes) },
      { lost: 0, codes: ["NOERROR"] },
    );
  });
