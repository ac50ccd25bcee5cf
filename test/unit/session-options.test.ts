/** What `egress46 run` is told of sessions: each option good and bad, and what the engine makes of it. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Command } from "commander";
import {
  addSessionOptions,
  engineOptions,
  type SessionFlags,
  shortTimes,
} from "../../src/cli/session-options.ts";
import { createEngine, defaultSizes } from "../../src/engine/engine.ts";
import { limitsOffsets } from "../../src/engine/layout.gen.ts";
import { applyLimits, checkSizes, type EngineLimits } from "../../src/engine/options.ts";

function parse(args: readonly string[]): SessionFlags {
  const command = addSessionOptions(new Command("run")).exitOverride();
  command.configureOutput({ writeErr: () => {} });
  return command.parse(args, { from: "user" }).opts();
}

const standard = { holdDownMs: 120_000, podSessions: 0 };
const good: readonly (readonly [line: string, limits: EngineLimits, sizes?: object])[] = [
  ["", standard],
  ["--session-timeout udp=120", { ...standard, udpMs: 120_000 }],
  ["--session-timeout tcp=9000", { ...standard, tcpEstablishedMs: 9_000_000 }],
  ["--session-timeout tcp-transitory=300", { ...standard, tcpTransitoryMs: 300_000 }],
  ["--session-timeout tcp-syn=30", { ...standard, tcpSynMs: 30_000 }],
  ["--session-timeout icmp=61", { ...standard, icmpMs: 61_000 }],
  ["--session-timeout udp=600 icmp=90", { ...standard, udpMs: 600_000, icmpMs: 90_000 }],
  ["--session-timeout udp=600 --session-timeout tcp-syn=1", { ...standard, udpMs: 600_000, tcpSynMs: 1000 }],
  ["--session-timeout udp=1000000", { ...standard, udpMs: 1_000_000_000 }],
  ["--hold-down 0", { ...standard, holdDownMs: 0 }],
  ["--hold-down 300", { ...standard, holdDownMs: 300_000 }],
  ["--pod-sessions 2000", { ...standard, podSessions: 2000 }],
  ["--max-sessions 64", standard, { maxSessions: 64 }],
  ["--max-mappings 1", standard, { maxMappings: 1 }],
];

describe("good", () => {
  for (const [line, limits, sizes = {}] of good)
    test(line || "(none)", () => {
      const options = engineOptions(parse(line.split(" ").filter(Boolean)));
      assert.deepEqual(options, { limits, sizes: { ...defaultSizes, ...sizes } });
    });
});

const bad: readonly (readonly [line: string, message: RegExp])[] = [
  ["--session-timeout", /argument missing/],
  ["--session-timeout udp", /must be NAME=SECONDS; the names are udp, tcp, tcp-transitory, tcp-syn, icmp/],
  ["--session-timeout sctp=5", /must be NAME=SECONDS/],
  ["--session-timeout toString=5", /must be NAME=SECONDS/],
  ["--session-timeout udp=", /whole number from 1 to 1000000/],
  ["--session-timeout udp=0", /whole number from 1 to/],
  ["--session-timeout udp=1.5", /whole number/],
  ["--session-timeout udp=5m", /whole number/],
  ["--session-timeout udp=1000001", /whole number/],
  ["--session-timeout udp=300 udp=400", /udp is given twice/],
  ["--hold-down -1", /whole number from 0 to 1000000/],
  ["--hold-down x", /whole number/],
  ["--max-sessions 63", /whole number from 64 to/],
  ["--max-sessions 1e6", /whole number/],
  ["--max-sessions 4294967296", /whole number/],
  ["--max-mappings 0", /whole number from 1 to/],
  ["--pod-sessions -5", /whole number from 0 to/],
  ["--pod-sessions ten", /whole number/],
];

describe("bad", () => {
  for (const [line, message] of bad)
    test(line, () => assert.throws(() => parse(line.split(" ")), { code: /^commander\./, message }));
});

describe("shorter than an RFC wants: a warning", () => {
  for (const [line, warnings] of [
    ["", []],
    ["--session-timeout udp=119", [/^--session-timeout udp=119: less than the 120 s of RFC 4787 REQ-5: /]],
    ["--session-timeout tcp=7439", [/7440 s of RFC 5382 REQ-5/]],
    ["--session-timeout tcp-transitory=239", [/240 s of RFC 5382 REQ-5/]],
    ["--session-timeout tcp-syn=1", []],
    ["--session-timeout icmp=59", [/60 s of RFC 5508 REQ-2/]],
    ["--hold-down 119", [/120 s of RFC 6888 REQ-8: late packets/]],
    ["--hold-down 0 --session-timeout udp=30", [/RFC 4787/, /RFC 6888/]],
  ] as const)
    test(line || "(none)", () => {
      const found = shortTimes(parse(line.split(" ").filter(Boolean)));
      assert.equal(found.length, warnings.length);
      for (const [index, warning] of warnings.entries()) assert.match(found[index]!, warning);
    });
});

test("the help's defaults are the engine's", async () => {
  const { words, layout } = await createEngine({ maxSessions: 64, maxMappings: 1 });
  const limit = (field: keyof EngineLimits) => words[(layout.limits + limitsOffsets[field]) >> 2]! / 1000;
  const help = addSessionOptions(new Command("run")).helpInformation().replace(/\s+/g, " ");
  const times = `udp=${limit("udpMs")} tcp=${limit("tcpEstablishedMs")} tcp-transitory=${limit("tcpTransitoryMs")} tcp-syn=${limit("tcpSynMs")} icmp=${limit("icmpMs")}`;
  assert.ok(help.includes(`(default: ${times})`), help);
  assert.match(help, new RegExp(`--hold-down <seconds> [^(]*\\(default: ${limit("holdDownMs")}\\)`));
  assert.match(help, new RegExp(`--max-sessions <n> [^(]*\\(default: ${defaultSizes.maxSessions}\\)`));
  assert.match(help, new RegExp(`--max-mappings <n> [^(]*\\(default: ${defaultSizes.maxMappings}\\)`));
});

test("the engine gets every limit", async () => {
  const engine = await createEngine({ maxSessions: 64, maxMappings: 1 });
  const line =
    "--session-timeout udp=1 tcp=2 tcp-transitory=3 tcp-syn=4 icmp=5 --hold-down 6 --pod-sessions 7".split(
      " ",
    );
  const { limits } = engineOptions(parse(line));
  applyLimits({ buffer: engine.bytes.buffer, layout: engine.layout }, limits);
  const read = (field: keyof EngineLimits) =>
    engine.words[(engine.layout.limits + limitsOffsets[field]) >> 2];
  assert.deepEqual(
    (
      [
        "udpMs",
        "tcpEstablishedMs",
        "tcpTransitoryMs",
        "tcpSynMs",
        "icmpMs",
        "holdDownMs",
        "podSessions",
      ] as const
    ).map(read),
    [1000, 2000, 3000, 4000, 5000, 6000, 7],
  );
});

describe("tables larger than a worker's memory", () => {
  test("the defaults fit", () => checkSizes(defaultSizes));

  for (const [name, sizes, room] of [
    ["sessions", { maxSessions: 100_000_000, maxMappings: 1000 }, /there is room for (\d+) sessions/],
    [
      "mappings",
      { maxSessions: 1000, maxMappings: 100_000_000 },
      /there is room for (\d+) beside 1024 sessions/,
    ],
  ] as const)
    test(`${name}: refused, and what the message offers fits`, async () => {
      const error = await checkSizes(sizes).then(
        () => assert.fail("it fits"),
        (caught: Error & { code?: string }) => caught,
      );
      assert.equal(error.code, "EG46_USAGE");
      const most = Number(room.exec(error.message)?.[1] ?? assert.fail(error.message));
      assert.ok(most > 100_000);
      await checkSizes(
        name === "sessions" ? { ...sizes, maxSessions: most } : { maxSessions: 1024, maxMappings: most },
      );
    });
});
