import assert from "node:assert/strict";
import { test } from "node:test";
import { mustExecute, needs } from "../support/exec.ts";

const url = JSON.stringify(new URL("../../src/mappings/default-store.js", import.meta.url).href);
const script = `import { defaultStore } from ${url};
  import { readlinkSync } from "node:fs";
  console.log(JSON.stringify([defaultStore(), readlinkSync("/proc/self/ns/net").match(/[0-9]+/)[0]]));`;
const program = [process.execPath, "--input-type=module", "-e", script];

test(
  "a network namespace of its own gets a folder of its own, stable within it",
  needs("root", "unshare"),
  async () => {
    const [store, inode] = JSON.parse(await mustExecute(["unshare", "--net", ...program]));
    assert.equal(store, `lmdb:/var/lib/egress46/net-${inode}`);
  },
);

test(
  "PID 1's namespace has 'default'; an ordinary user can tell the difference too",
  needs("root", "unshare", "setpriv"),
  async () => {
    // A new PID namespace makes the program PID 1 itself.
    const asPid1 = ["unshare", "--net", "--pid", "--fork", "--mount-proc", ...program];
    assert.equal(JSON.parse(await mustExecute(asPid1))[0], "lmdb:/var/lib/egress46/default");
    const ordinary = ["unshare", "--net", "setpriv", "--reuid", "65534", "--clear-groups", ...program];
    const [store, inode] = JSON.parse(await mustExecute(ordinary));
    assert.equal(store, `lmdb:/var/lib/egress46/net-${inode}`);
  },
);
