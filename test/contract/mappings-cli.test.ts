import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createAdmin } from "../../src/admin/server.ts";
import { encodeValue, keyOf } from "../../src/mappings/codec.ts";
import { storeReference } from "../../src/mappings/open.ts";
import type { MappingStore } from "../../src/mappings/store.ts";
import { execute, needs } from "../support/exec.ts";
import { lmdbLab, quiet, redisLab, type StoreLab } from "../support/mapping-stores.ts";
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

test("a Redis that does not answer: exit 1 within seconds, with the reason", async () => {
  const startMs = performance.now();
  const result = await command("ls", "--store", "redis://127.0.0.1:1");
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
