import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import {
  closeSync,
  copyFileSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statfsSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { numberToIpv4 } from "../../src/addresses.ts";
import { encodeValue } from "../../src/mappings/codec.ts";
import { checkLmdbFile } from "../../src/mappings/lmdb-check.ts";
import { createMappings } from "../../src/mappings/mappings.ts";
import { openStore } from "../../src/mappings/open.ts";
import type { MappingStore } from "../../src/mappings/store.ts";
import { mustExecute, needs } from "../support/exec.ts";
import { quiet, recorded, until } from "../support/mapping-stores.ts";

const value = encodeValue("2001:db8::1");
const unavailable = { code: "EG46_STORE_UNAVAILABLE" };
const refusesAll = (claims: readonly Promise<unknown>[]) =>
  Promise.all(claims.map((claim) => assert.rejects(claim, unavailable)));

/** Takes all but `spare` bytes of the file system. */
function fill(file: string, spare: number): void {
  const { bavail, bsize } = statfsSync(join(file, ".."));
  writeFileSync(file, Buffer.alloc(Math.max(0, bavail * bsize - spare)));
}

describe("LMDB on a file system that fills up", needs("root", "mount", "umount"), () => {
  let dir: string;
  before(async () => {
    dir = mkdtempSync(join(tmpdir(), "egress46-small-"));
    await mustExecute(["mount", "-t", "tmpfs", "-o", "size=256k", "egress46-small", dir]);
  });
  after(async () => {
    await mustExecute(["umount", "--lazy", dir]);
    rmSync(dir, { recursive: true });
  });

  // With a little space left, LMDB finds out itself, in the middle of a commit.
  const cases = { "not a block free": 0, "less free than a commit of 500 claims needs": 20_480 };
  for (const [index, [name, spare]] of Object.entries(cases).entries())
    test(`${name}: claims are refused, the rest goes on, logged once; space back: claims again`, async () => {
      const { log, lines } = recorded();
      const store = await openStore({ spec: `lmdb:${dir}/${index}`, log });
      const held = new Set<number>();
      const sink = {
        install: async (nat4: number) => void held.add(nat4),
        remove: async (nat4: number) => void held.delete(nat4),
      };
      const mappings = createMappings({ store, sink, log });
      mappings.setPool({ subnet: "10.5.0.0/16", reserved: 0 });
      try {
        await mappings.start();
        const known = await mappings.mapHost("2001:db8::1");
        fill(join(dir, "filler"), spare);
        const burst = Array.from({ length: 500 }, (_, host) =>
          mappings.mapHost(`2001:db8:1::${(host + 1).toString(16)}`),
        );
        const settled = await Promise.allSettled(burst);
        assert.ok(settled.some(({ status }) => status === "rejected"));
        for (const each of settled)
          if (each.status === "rejected") assert.equal(each.reason.code, "EG46_STORE_UNAVAILABLE");
        await refusesAll([store.claim("10.9.0.1", value), store.claim("10.9.0.2", value)]);
        // To LMDB a write that was cut short is an I/O error.
        assert.match(mappings.status().storeProblem ?? "", /no space left|input\/output error/i);
        assert.equal(mappings.status().storeConnected, true);
        assert.deepEqual(await mappings.mapHost("2001:db8::1"), known);
        assert.equal(await store.get(known.kind === "mapped" ? known.nat4 : ""), value);
        assert.equal(lines.length, 1, JSON.stringify(lines));
        assert.match(
          lines[0]!,
          /^mapping store lmdb:\S+ cannot be written: (no space left|input\/output error)/i,
        );

        rmSync(join(dir, "filler"));
        await until("writable", () => mappings.status().storeProblem === undefined);
        assert.match(lines[1]!, /can be written again after \d+ s/);
        assert.equal((await mappings.mapHost("2001:db8:2::1")).kind, "mapped");
        assert.equal(await store.claim("10.9.0.1", value), true);
      } finally {
        await mappings.close();
        await store.close();
        rmSync(join(dir, "filler"), { force: true });
        rmSync(join(dir, String(index)), { recursive: true });
      }
    });

  test("full at the first start: a clear error, nothing left that the next start would stumble over", async () => {
    fill(join(dir, "filler"), 0);
    const spec = `lmdb:${dir}/new`;
    await assert.rejects(openStore({ spec, log: quiet }), { ...unavailable, message: /no space left/i });
    rmSync(join(dir, "filler"));
    const store = await openStore({ spec, log: quiet });
    assert.equal(await store.claim("10.0.0.1", value), true);
    await store.close();
  });
});

describe("LMDB file that is damaged", () => {
  const hosts = 3000;
  let dir: string;
  let sound: string;
  const open = () => openStore({ spec: `lmdb:${dir}`, log: quiet });
  const file = () => join(dir, "data.mdb");
  before(async () => {
    dir = mkdtempSync(join(tmpdir(), "egress46-damaged-"));
    sound = join(dir, "sound.mdb");
    const store = await open();
    const all = Array.from({ length: hosts }, (_, index) => numberToIpv4(0x0a000001 + index));
    await Promise.all(all.map((nat4) => store.claim(nat4, value)));
    for (const nat4 of all.slice(0, 500)) await store.release(nat4);
    await store.close();
    copyFileSync(file(), sound);
  });
  after(() => rmSync(dir, { recursive: true, force: true }));

  const pageSize = 4096;
  function poke(offset: number, bytes: Uint8Array): void {
    const fd = openSync(file(), "r+");
    writeSync(fd, bytes, 0, bytes.length, offset);
    closeSync(fd);
  }
  /** The pages that the newest meta page's trees begin with. */
  function rootOffset(): number {
    const bytes = readFileSync(file());
    const [a, b] = [bytes.readBigUInt64LE(24 + 128), bytes.readBigUInt64LE(pageSize + 24 + 128)] as const;
    return Number(bytes.readBigUInt64LE((a > b ? 0 : pageSize) + 24 + 112)) * pageSize;
  }
  const damages: Record<string, { damage: () => void; text: RegExp }> = {
    "random bytes": { damage: () => writeFileSync(file(), randomBytes(40_000)), text: /no meta page/ },
    "random bytes in the first 40 kB": { damage: () => poke(0, randomBytes(40_000)), text: /no meta page/ },
    text: { damage: () => writeFileSync(file(), "nat4: host6\n".repeat(2000)), text: /no meta page/ },
    empty: { damage: () => truncateSync(file(), 0), text: /empty|ends before/ },
    "a few bytes": { damage: () => truncateSync(file(), 100), text: /ends before byte/ },
    "cut to half": {
      damage: () => truncateSync(file(), statSync(file()).size / 2),
      text: /ends before byte/,
    },
    "another data version": { damage: () => poke(28, Uint8Array.of(1, 0)), text: /data version 1/ },
    "a second meta page of zeros": {
      damage: () => poke(pageSize, new Uint8Array(pageSize)),
      text: /no meta page/,
    },
    "a root page of zeros": {
      damage: () => poke(rootOffset(), new Uint8Array(pageSize)),
      text: /page \d+: /,
    },
    "a root page of random bytes": {
      damage: () => poke(rootOffset(), randomBytes(pageSize)),
      text: /page \d+: /,
    },
    "a child that is out of range": {
      // The last entry of a page is its lowest; a branch entry begins with the page number.
      damage: () =>
        poke(
          rootOffset() + 24 + readFileSync(file()).readUInt16LE(rootOffset() + 22),
          Uint8Array.of(255, 255, 255),
        ),
      text: /is referred to/,
    },
  };
  for (const [name, { damage, text }] of Object.entries(damages))
    test(`${name}: EG46_STORE_CORRUPT naming the file, which stays as it is`, async () => {
      copyFileSync(sound, file());
      damage();
      const before = readFileSync(file());
      await assert.rejects(open(), (error: Error & { code: string }) => {
        assert.equal(error.code, "EG46_STORE_CORRUPT");
        assert.ok(error.message.startsWith(`lmdb:${dir}: data.mdb is no sound LMDB file: `));
        assert.match(error.message, text);
        return true;
      });
      assert.ok(before.equals(readFileSync(file())));
    });

  test("sound: opened, every entry there", async () => {
    copyFileSync(sound, file());
    const store: MappingStore = await open();
    let count = 0;
    for await (const _ of store.list()) count++;
    assert.equal(count, hosts - 500);
    await store.close();
  });

  test("a file that another process writes to all the time is never taken for damaged", async () => {
    copyFileSync(sound, file());
    const code = `import { open } from ${JSON.stringify(import.meta.resolve("lmdb"))};
      const db = open({ path: ${JSON.stringify(dir)}, noSubdir: false, encoding: "string" });
      process.stdout.write("writing");
      for (let n = 0; ; n++) {
        await db.put("0073c3b6eft_dns4610.9." + (n >> 8 & 255) + "." + (n & 255), "x".repeat(n % 90));
        if (n % 3 === 0) await db.remove("0073c3b6eft_dns4610.9.0." + (n & 255));
      }`;
    const writer = spawn(process.execPath, ["--input-type=module", "-e", code], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    try {
      await once(writer.stdout, "data");
      for (let index = 0; index < 300; index++) checkLmdbFile(file(), "the file");
    } finally {
      const ended = once(writer, "exit");
      writer.kill("SIGKILL");
      await ended;
    }
    checkLmdbFile(file(), "the file");
  });
});
