import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Command } from "commander";
import {
  addMappingOptions,
  type MappingFlags,
  mappingOptions,
  parseDuration,
} from "../../src/cli/mapping-options.ts";
import { createForecast } from "../../src/mappings/forecast.ts";
import { formatSetnx, parseSetnx } from "../../src/mappings/setnx-lines.ts";

const parsed = (...args: string[]) =>
  mappingOptions(
    addMappingOptions(new Command().exitOverride().configureOutput({ writeErr: () => {} }))
      .parse(args, { from: "user" })
      .opts<MappingFlags>(),
  );

describe("options about mappings", () => {
  const hour = 3_600_000;
  test("by default mappings never end; caches have an hour, and so has a quarantine", () =>
    assert.deepEqual(parsed(), { life: { leaseMs: 0, graceMs: hour, quarantineMs: hour } }));

  test("times in units; the journal's slice; the page", () =>
    assert.deepEqual(
      parsed(
        ...["--mapping-lease", "12h", "--mapping-grace", "90", "--mapping-quarantine", "2d"],
        ...["--mapping-journal", "/tmp/j", "--gateway-slice", "2/4", "--sorry-page", "10.244.40.100:80"],
      ),
      {
        life: { leaseMs: 12 * hour, graceMs: 90_000, quarantineMs: 48 * hour },
        journal: { dir: "/tmp/j", slice: { number: 2, count: 4 } },
        sorryPage: { host: "10.244.40.100", port: 80 },
      },
    ));

  for (const args of [
    ["--mapping-lease", "9s"],
    ["--mapping-lease", "x"],
    ["--mapping-grace", "1w"],
    ["--mapping-grace", "99999d"],
    ["--gateway-slice", "0/4", "--mapping-journal", "/tmp/j"],
    ["--gateway-slice", "5/4", "--mapping-journal", "/tmp/j"],
    ["--gateway-slice", "1/4"],
    ["--sorry-page", "[::1]:80"],
    ["--sorry-page", "10.0.0.1"],
  ])
    test(`${args.join(" ")} is refused`, () => assert.throws(() => parsed(...args)));

  for (const [text, seconds] of Object.entries({
    "90": 90,
    "90s": 90,
    "15m": 900,
    "12h": 43_200,
    "7d": 604_800,
    "0": 0,
  }))
    test(`${text} is ${seconds} s`, () => assert.equal(parseDuration(text), seconds));
});

describe("SETNX lines", () => {
  const key = "0073c3b6eft_dns4610.0.0.1";
  const texts: Record<string, string> = {
    "as the specification writes it": `SETNX 0073c3b6eft_dns4610.144.175.220 "00010000000000000000000000022002::10:20:2:206"`,
    "quotes, backslashes and control characters": `SETNX ${key} "a\\"b\\\\c\\nd\\x00e\\x7f"`,
    "bytes beyond ASCII": `SETNX ${key} "\\xc3\\xa9"`,
  };
  for (const [name, line] of Object.entries(texts))
    test(`${name}: read and written the same`, () => {
      const entry = parseSetnx(line);
      assert.ok(entry);
      assert.equal(formatSetnx(entry), line);
    });

  test("without quotes, in lower case, with blanks around", () =>
    assert.deepEqual(parseSetnx(`  setnx  ${key}   abc `), { nat4: "10.0.0.1", value: "abc" }));
  for (const line of ["", "   ", "# SETNX"])
    test(`'${line}' says nothing`, () => assert.equal(parseSetnx(line), undefined));
  for (const line of ["SET a b", "SETNX x y", `SETNX ${key}`, `SETNX ${key} "open`, `SETNX ${key} "a" b`])
    test(`'${line}' is refused`, () => assert.throws(() => parseSetnx(line), TypeError));
});

describe("forecast of a pool", () => {
  function watched(minutes: number, used: (minute: number) => number, size = 1000) {
    let nowMs = 0;
    const forecast = createForecast(() => nowMs);
    for (let minute = 0; minute <= minutes; minute++) {
      nowMs = minute * 60_000;
      forecast.look("10.0.0.0/22", size, used(minute));
    }
    return forecast;
  }
  test("nothing is said of the first minutes", () =>
    assert.equal(watched(4, (m) => m * 10).growth(), undefined));
  test("steady growth: as many an hour, and when it will be over", () => {
    const forecast = watched(30, (minute) => 100 + minute * 10);
    assert.equal(forecast.growth(), 600);
    assert.equal(forecast.exhaustedInS(), 3600);
  });
  test("what was before the last hour counts no more", () => {
    const forecast = watched(180, (minute) => Math.min(minute, 100));
    assert.equal(forecast.growth(), 0);
    assert.equal(forecast.exhaustedInS(), undefined);
  });
  test("a pool that empties", () => assert.equal(watched(60, (minute) => 200 - minute).growth(), -60));
});
