import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { createAdmin } from "../../src/admin/server.ts";
import { encodeValue, keyOf } from "../../src/mappings/codec.ts";
import { storeReference } from "../../src/mappings/open.ts";
import { heldKey } from "../../src/mappings/record-keys.ts";
import type { MappingStore } from "../../src/mappings/store.ts";
import { execute, needs } from "../support/exec.ts";
import { lmdbLab, quiet, redisLab, type StoreLab, until } from "../support/mapping-stores.ts";
import { sampleView } from "../unit/admin/sample-view.ts";

const module = (path: string) => JSON.stringify(new URL(`../../src/cli/${path}`, import.meta.url).href);
const script = `import { createProgram, runProgram } from ${module("program.js")};
  import { registerMappings } from ${module("mappings.js")};
  const program = createProgram("egress46");
  registerMappings(program);
  await runProgram(program, ["node", "egress46", ...process.argv.slice(1)]);`;

const command = (...args: string[]) =>
  execute([process.execPath, "--input-type=module", "-e", script, "mappings", ...args]);

const labs: Record<string, { needs: string[]; start: () => Promise<StoreLab> }> = {
  lmdb: { needs: [], start: lmdbLab },
  "redis with client certificates": {
    needs: ["redis-server", "openssl"],
    start: () => redisLab({ tls: true }),
  },
};

for (const [name, lab] of Object.entries(labs))
  describe(`egress46 mappings on ${name}, a gateway having the store open`, needs(...lab.needs), () => {
    let place: StoreLab;
    let gateway: MappingStore;
    before(async () => {
      place = await lab.start();
      gateway = await place.open();
    });
    after(async () => {
      await gateway?.close();
      await place?.stop();
    });
    const run = (...args: string[]) => command(...args, ...place.flags);

    test("add, get, ls, a refused second add, rm", async () => {
      assert.equal((await run("ls")).stdout, "NAT IPv4 IPv6 host\n-------- ---------\n");
      const added = await run("add", "10.144.175.220", "2002:0::10:20:2:206");
      const stdout = `10.144.175.220 is 2002::10:20:2:206 now in ${place.flags[1]}\n`;
      assert.deepEqual(added, { code: 0, stdout, stderr: "" });
      assert.equal(await gateway.get("10.144.175.220"), "00010000000000000000000000022002::10:20:2:206");
      const again = await run("add", "10.144.175.220", "2001:db8::1");
      assert.equal(again.code, 1);
      assert.match(
        again.stderr,
        /^EG46_MAPPING_EXISTS: 10\.144\.175\.220 is taken in .*: 2002::10:20:2:206\n/,
      );
      await place.foreignSet(keyOf("10.0.0.9"), "rub\u001bbish");
      assert.equal(
        (await run("ls")).stdout,
        [
          "NAT IPv4       IPv6 host",
          "-------------- --------------------------",
          '10.0.0.9       malformed: "rub\\u001bbish"',
          "10.144.175.220 2002::10:20:2:206",
          "",
        ].join("\n"),
      );
      const header = { generation: "0001", timeout: "00000000", flags: "0000000000000002" };
      const entry = { nat4: "10.144.175.220", ...header, host6: "2002::10:20:2:206" };
      assert.deepEqual(JSON.parse((await run("ls", "-o", "json")).stdout), [
        { nat4: "10.0.0.9", malformed: "rub\u001bbish" },
        entry,
      ]);
      assert.deepEqual(JSON.parse((await run("get", "10.144.175.220", "-o", "json")).stdout), entry);
      assert.match((await run("get", "10.0.0.9")).stdout, /10\.0\.0\.9 +malformed: /);
      const removed = `10.144.175.220 is free now in ${place.flags[1]}\n`;
      assert.equal((await run("rm", "10.144.175.220")).stdout, removed);
      assert.equal(await gateway.get("10.144.175.220"), undefined);
    });

    test("rm of a leased entry says whom its address stays held for", async () => {
      const lease = { host6: "2001:db8::1", entryMs: 60_000, heldMs: 90_000 };
      await gateway.claim("10.0.0.8", "00010000000100000000000000022001:db8::1", lease);
      const stdout = `10.0.0.8 is gone from ${place.flags[1]}, and stays held for 2001:db8::1\n`;
      assert.deepEqual(await run("rm", "10.0.0.8"), { code: 0, stdout, stderr: "" });
    });

    test("export, import elsewhere, and back: line by line the same; what is there stays", async () => {
      const entries = {
        "10.8.0.1": encodeValue("2001:db8::81"),
        "10.8.0.2": "00ff00000000000000000000000a2001:DB8:0::82",
        "10.8.0.3": 'rub"bi\\sh\u001b',
      };
      for (const [nat4, value] of Object.entries(entries)) await gateway.claim(nat4, value);
      const exported = await run("export");
      const lines = exported.stdout.trim().split("\n").sort();
      assert.deepEqual(
        lines.filter((line) => line.includes("10.8.0")),
        [
          'SETNX 0073c3b6eft_dns4610.8.0.1 "00010000000000000000000000022001:db8::81"',
          'SETNX 0073c3b6eft_dns4610.8.0.2 "00ff00000000000000000000000a2001:DB8:0::82"',
          'SETNX 0073c3b6eft_dns4610.8.0.3 "rub\\"bi\\\\sh\\x1b"',
        ],
      );
      const target = await lmdbLab();
      const file = join(tmpdir(), `egress46-export-${process.pid}`);
      try {
        writeFileSync(file, `# comment\n\n${lines.filter((line) => /10\.8\.0/.test(line)).join("\n")}\n`);
        const first = await command("import", file, ...target.flags);
        assert.match(first.stdout, /: 2 created, 0 present already, 0 in conflict, 1 malformed\n$/);
        assert.match(first.stderr, /^10\.8\.0\.3: malformed: /);
        assert.equal(first.code, 1);
        assert.equal(await target.foreignGet(keyOf("10.8.0.2")), entries["10.8.0.2"]);
        await target.foreignDelete(keyOf("10.8.0.1"));
        await target.foreignSet(keyOf("10.8.0.1"), encodeValue("2001:db8::99"));
        const again = await command("import", file, ...target.flags);
        assert.match(again.stdout, /: 0 created, 1 present already, 1 in conflict, 1 malformed\n$/);
        assert.match(again.stderr, /10\.8\.0\.1: is for 2001:db8::81 here, 2001:db8::99 has it in the store/);
        writeFileSync(file, `${lines[0]}\nSET x y\n`);
        const wrong = await command("import", file, ...target.flags);
        assert.equal(wrong.code, 2);
        assert.match(wrong.stderr, /line 2: expected SETNX key "value"; nothing was imported/);
      } finally {
        rmSync(file, { force: true });
        await target.stop();
        for (const nat4 of Object.keys(entries)) await gateway.release(nat4);
      }
    });

    test("check: duplicates, malformed and outside entries, exit 1; a sound store, exit 0", async () => {
      const before = JSON.parse((await run("check", "-o", "json")).stdout).findings.length;
      await gateway.claim("10.9.0.1", encodeValue("2001:db8::91"));
      const lease = { host6: "2001:db8::92", entryMs: 60_000, heldMs: 90_000 };
      await gateway.claim("10.9.0.2", encodeValue("2001:db8::92", 60), lease);
      assert.equal(JSON.parse((await run("check", "-o", "json")).stdout).findings.length, before);
      await gateway.claim("10.9.0.3", encodeValue("2001:db8::91"));
      await gateway.claim("10.9.0.4", "rubbish");
      await gateway.claim("10.9.0.5", encodeValue("2001:db8::93", 60));
      const found = await run("check", "--subnet", "10.9.0.0/30");
      assert.equal(found.code, 1);
      for (const line of [
        /^10\.9\.0\.3 +duplicate 2001:db8::91 has 10\.9\.0\.1 already$/m,
        /^10\.9\.0\.4 +malformed "rubbish"$/m,
        /^10\.9\.0\.5 +outside +2001:db8::93, not in 10\.9\.0\.0\/30$/m,
        /^10\.9\.0\.5 +unheld +2001:db8::93 has a lease, but it is held for nobody$/m,
      ])
        assert.match(found.stdout, line);
      for (let last = 1; last <= 5; last++) await gateway.release(`10.9.0.${last}`);
    });

    test("watch: a line for each change, until it is ended; ls shows names", async () => {
      const child = spawn(
        process.execPath,
        ["--input-type=module", "-e", script, "mappings", "watch", "--json", ...place.flags],
        { stdio: ["ignore", "pipe", "inherit"] },
      );
      let output = "";
      child.stdout.on("data", (part) => {
        output += part;
      });
      try {
        // It tells what changes from the moment on that it follows: the first changes may be before that.
        await until(
          "a change told",
          async () => {
            await gateway.claim("10.10.0.1", encodeValue("2001:db8::a1"));
            // Longer than LMDB's watch takes to look again: what comes and goes in between nobody else hears of.
            await delay(200);
            await gateway.release("10.10.0.1");
            await delay(300);
            return output.includes("10.10.0.1") || output.includes("10.10.0.2");
          },
          15_000,
        );
        await gateway.claim("10.10.0.2", encodeValue("2001:db8::a2"));
        const created = '{"change":"created","nat4":"10.10.0.2","generation":"0001"';
        await until("created", () => output.includes(created));
        await gateway.records.put([
          { key: "egress46:name:www.example.org", value: "2001:db8::a2", lifeMs: 60_000 },
        ]);
        assert.match((await run("ls")).stdout, /^10\.10\.0\.2 +2001:db8::a2 +www\.example\.org$/m);
        await gateway.release("10.10.0.2");
        await until("deleted", () => output.includes('{"change":"deleted","nat4":"10.10.0.2"}'));
      } finally {
        const ended = once(child, "exit");
        child.kill("SIGINT");
        assert.deepEqual(await ended, [0, null]);
      }
    });

    test("without --store it is the gateway's store, certificates and all", async () => {
      const [, spec = "", , redisCert, , redisKey, , redisCa] = place.flags;
      const files = redisCert && redisKey && redisCa ? { redisCert, redisKey, redisCa } : {};
      const view = sampleView({ store: () => storeReference({ spec, ...files }) });
      const admin = await createAdmin(view, { listen: "127.0.0.1:0", log: quiet });
      try {
        const added = await command("add", "10.0.0.77", "2001:db8::77", "--admin", admin.address);
        assert.equal(added.stdout, `10.0.0.77 is 2001:db8::77 now in ${spec}\n`);
        assert.equal(await gateway.get("10.0.0.77"), encodeValue("2001:db8::77"));
        await command("rm", "10.0.0.77", "--admin", admin.address);
        assert.equal(await gateway.get("10.0.0.77"), undefined);
      } finally {
        await admin.close();
      }
    });

    const refused: Record<string, { args: string[]; code: number; text: RegExp }> = {
      "get of a missing one": {
        args: ["get", "10.0.0.1"],
        code: 1,
        text: /^EG46_MAPPING_ABSENT: 10\.0\.0\.1/,
      },
      "rm of a missing one": { args: ["rm", "10.0.0.1"], code: 1, text: /^EG46_MAPPING_ABSENT: 10\.0\.0\.1/ },
      "add to no address": {
        args: ["add", "10.0.0", "2001:db8::1"],
        code: 2,
        text: /^EG46_USAGE: '10\.0\.0'/,
      },
      "add of no host": { args: ["add", "10.0.0.1", "fe80::1"], code: 2, text: /^EG46_USAGE: 'fe80::1'/ },
    };
    for (const [what, { args, code, text }] of Object.entries(refused))
      test(`${what} exits ${code} and says why`, async () => {
        const result = await run(...args);
        assert.equal(result.code, code);
        assert.match(result.stderr, text);
      });
  });

for (const name of ["ls", "watch"])
  test(`${name} of a Redis that does not answer: exit 1 within seconds, with the reason`, async () => {
    const startMs = performance.now();
    const result = await command(name, "--store", "redis://127.0.0.1:1");
    assert.equal(result.code, 1);
    assert.match(
      result.stderr,
      /^EG46_STORE_UNAVAILABLE: redis:\/\/127\.0\.0\.1:1: SCAN: connect ECONNREFUSED/,
    );
    assert.ok(performance.now() - startMs < 10_000);
  });

for (const args of [["ls"], ["get", "10.0.0.1"], ["rm", "10.0.0.1"]])
  test(`${args[0]} in a folder that is not there: exit 1, and it is still not there`, async () => {
    const dir = join(tmpdir(), `egress46-absent-${process.pid}`);
    const result = await command(...args, "--store", `lmdb:${dir}/store`);
    assert.equal(result.code, 1);
    assert.match(result.stderr, /^EG46_STORE_UNAVAILABLE: lmdb:.*: open: there is no store in this folder\n/);
    assert.equal(existsSync(dir), false);
  });

test("a store with credentials, which the gateway does not tell: exit 2, --store is asked for", async () => {
  const view = sampleView({ store: () => storeReference({ spec: "redis://gate:secret@h:6379/1" }) });
  const admin = await createAdmin(view, { listen: "127.0.0.1:0", log: quiet });
  try {
    const result = await command("ls", "--admin", admin.address);
    assert.equal(result.code, 2);
    assert.match(result.stderr, /^EG46_USAGE: the gateway logs in to its store redis:\/\/h:6379\/1: name it/);
    assert.doesNotMatch(result.stderr, /secret/);
  } finally {
    await admin.close();
  }
});

test(
  "import of leased entries: they live for their timeout, the TTL and the grace that is given",
  needs("redis-server"),
  async () => {
    const target = await redisLab();
    const file = join(tmpdir(), `egress46-leased-${process.pid}`);
    try {
      writeFileSync(file, `SETNX ${keyOf("10.8.1.1")} "${encodeValue("2001:db8::1", 100)}"\n`);
      const flags = ["--mapping-grace", "10m", "--mapping-quarantine", "1d"];
      const { code, stdout } = await command("import", file, ...flags, ...target.flags);
      assert.match(stdout, /: 1 created/);
      assert.equal(code, 0);
      const left = async (key: string) => Number(await target.redis?.cli("TTL", key));
      const leftS = await left(keyOf("10.8.1.1"));
      assert.ok(leftS > 790 && leftS <= 820, String(leftS));
      const heldS = (await left(heldKey("10.8.1.1"))) - leftS;
      assert.ok(Math.abs(heldS - 86_400) <= 1, String(heldS));
    } finally {
      rmSync(file, { force: true });
      await target.stop();
    }
  },
);
