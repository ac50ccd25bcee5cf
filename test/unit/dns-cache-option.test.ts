/** `--dns-cache` and what a worker's memory has room for. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Command } from "commander";
import { type DnsCacheFlags, dnsCacheOption } from "../../src/cli/dns-cache-option.ts";
import { createAnswerCache } from "../../src/dns/cache.ts";
import { defaultSizes } from "../../src/engine/engine.ts";
import { checkSizes } from "../../src/engine/options.ts";

function parse(...args: string[]): number {
  const command = new Command("run").addOption(dnsCacheOption()).exitOverride();
  command.configureOutput({ writeErr: () => {} });
  return command.parse(args, { from: "user" }).opts<DnsCacheFlags>().dnsCache;
}

describe("--dns-cache", () => {
  for (const [text, bytes] of [
    ["off", 0],
    ["64K", 65_536],
    ["512K", 524_288],
    ["8M", 8_388_608],
    ["128M", 134_217_728],
  ] as const)
    test(text, () => {
      assert.equal(parse("--dns-cache", text), bytes);
      // The gateway's own cache has room for any of them.
      assert.equal(createAnswerCache(bytes).counts().entries, 0);
    });

  test("default: 8M, for which there is room beside the default tables", async () => {
    assert.equal(parse(), 1 << 23);
    await checkSizes({ ...defaultSizes, dnsCache: parse() });
  });

  for (const text of ["", "8", "8m", "8MB", "63K", "129M", "1G", "-8M", "1.5M", "on", "0"])
    test(`'${text}' is refused`, () =>
      assert.throws(() => parse(`--dns-cache=${text}`), {
        code: /^commander\./,
        message: /64K to 128M, or off/,
      }));

  test("no room beside the other tables: the message names it", () =>
    assert.rejects(checkSizes({ maxSessions: 2_500_000, maxMappings: 1 << 17, dnsCache: 1 << 27 }), {
      code: "EG46_USAGE",
      message: /--dns-cache 131072K: .* there is room for \d+ sessions/,
    }));
});
