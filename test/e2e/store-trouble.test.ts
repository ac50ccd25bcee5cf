/** A gateway whose embedded store gets into trouble: what is known goes on, what is wrong is said once. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { mustExecute, needs } from "../support/exec.ts";
import { childOf, eventually, gatewayLab } from "../support/gateway-lab.ts";

const tools = needs("root", "tun", "ip", "nft", "curl", "dig", "mount", "umount");

test("the embedded store in trouble", tools, async (t) => {
  let small = "";
  const lab = await gatewayLab(t, {
    async store(topology) {
      small = join(topology.folder, "small");
      mkdirSync(small);
      await mustExecute(["mount", "-t", "tmpfs", "-o", "size=64k", "egress46-small", small]);
      topology.cleanup.defer(() => mustExecute(["umount", small]).then(() => {}));
      return { url: `lmdb:${small}/store` };
    },
  });
  const [pod] = lab.topology.pods;
  const filler = () => join(small, "filler");
  const page = () => pod.run(["curl", "-sS", "--max-time", "5", "http://v6only.example/"]);
  const status = async (name: string) =>
    (await pod.run(["dig", name, "A"])).match(/status: (\w+)/)?.[1] ?? "none";

  await t.test("full disk: SERVFAIL for new names only, the same process, one line in the log", async () => {
    assert.match(await page(), /Welcome/);
    const gateway = childOf(lab.gateway.pid);
    const { bavail, bsize } = statfsSync(small);
    writeFileSync(filler(), Buffer.alloc(bavail * bsize));
    for (let index = 0; index < 5; index++) assert.equal(await status("manual.example"), "SERVFAIL");
    assert.match(await page(), /Welcome/);
    assert.match(await lab.command("status"), /no new mappings: no space left on the file system/);
    assert.equal(childOf(lab.gateway.pid), gateway);
    const log = lab.gateway.stderr();
    assert.equal(log.match(/cannot be written/g)?.length, 1, log);
    assert.doesNotMatch(log, /Write error|mapping could not be made/);
  });

  await t.test("space again: new names get their mapping", async () => {
    rmSync(filler());
    await eventually("an answer", async () => (await status("manual.example")) === "NOERROR");
    assert.match(lab.gateway.stderr(), /can be written again after \d+ s/);
    assert.doesNotMatch(await lab.command("status"), /no new mappings/);
  });

  await t.test("a damaged file: the next start ends with its name and what to do", async () => {
    await lab.gateway.stop();
    writeFileSync(join(small, "store/data.mdb"), randomBytes(20_000));
    const wanted = new RegExp(
      `EG46_STORE_CORRUPT: lmdb:${small}/store: data\\.mdb is no sound LMDB file: no meta page`,
    );
    await assert.rejects(lab.restart(), wanted);
    assert.ok(existsSync(join(small, "store/data.mdb")));
  });
});
