import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, type TestContext, test } from "node:test";
import { type Loaded, loadFiles, watchConfig, watchFiles } from "../../../src/config/files.ts";
import { maxFileBytes, type Snapshot } from "../../../src/config/observe.ts";
import { formatProblem } from "../../../src/config/problem.ts";
import type { ConfigSource } from "../../../src/config/source.ts";
import { Eg46Error } from "../../../src/errors.ts";
import { yamlOf } from "../../support/resources.ts";

const egress = (name: string, spec: object = {}) => yamlOf("F5SPKEgress", spec, { name });
const names = ({ resources }: Loaded) => resources.map(({ metadata }) => metadata.name);
const problems = (loaded: Loaded) => loaded.problems.map(formatProblem);

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "eg46-files-"));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** A watch whose state can be waited for. */
async function watching(t: TestContext, ...paths: string[]) {
  const abort = new AbortController();
  t.after(() => abort.abort());
  const seen: Loaded[] = [];
  let wake = () => {};
  const listener = (loaded: Loaded) => {
    seen.push(loaded);
    wake();
  };
  seen.push(await watchFiles(paths, listener, abort.signal));
  return {
    seen,
    stop: () => abort.abort(),
    latest: () => seen.at(-1)!,
    async until(what: string, condition: (loaded: Loaded) => boolean): Promise<Loaded> {
      const deadline = Date.now() + 10_000;
      while (!condition(seen.at(-1)!)) {
        assert.ok(Date.now() < deadline, `${what}: ${JSON.stringify(seen.at(-1))}`);
        await new Promise<void>((resolve) => {
          wake = resolve;
          setTimeout(resolve, 100);
        });
      }
      return seen.at(-1)!;
    },
  };
}

function link(target: string, path: string): string {
  symlinkSync(target, path);
  return path;
}

function pipe(path: string): string {
  execFileSync("mkfifo", [path]);
  return path;
}

const someLooks = () => new Promise((resolve) => setTimeout(resolve, 800));

suite("loadFiles", () => {
  test("a directory's .yaml and .yml, sorted, not what is below it", async (t) => {
    const dir = folder(t);
    for (const name of ["b.yaml", "a.yml", "c.json", "d.yaml.bak"])
      writeFileSync(join(dir, name), egress(name));
    mkdirSync(join(dir, "e.yaml"));
    writeFileSync(join(dir, "e.yaml", "f.yaml"), egress("f"));
    symlinkSync("nowhere", join(dir, "g.yaml"));
    const loaded = await loadFiles([dir]);
    assert.deepEqual([names(loaded), problems(loaded)], [["a.yml", "b.yaml"], []]);
  });

  test("an empty directory is fine", async (t) => {
    assert.deepEqual(await loadFiles([folder(t)]), { resources: [], problems: [] });
  });

  test("a file that is named twice is read once", async (t) => {
    const dir = folder(t);
    writeFileSync(join(dir, "a.yaml"), egress("a"));
    assert.deepEqual(names(await loadFiles([join(dir, "a.yaml"), dir])), ["a"]);
  });

  test("a resource in two files is a problem of the second", async (t) => {
    const dir = folder(t);
    writeFileSync(join(dir, "a.yaml"), `# first\n${egress("same")}`);
    writeFileSync(join(dir, "b.yaml"), egress("same"));
    const loaded = await loadFiles([dir]);
    assert.deepEqual(names(loaded), ["same"]);
    assert.deepEqual(problems(loaded), [
      `${dir}/b.yaml:1: metadata.name: F5SPKEgress spk-ingress/same is ignored here: it is in ${dir}/a.yaml:2 too`,
    ]);
  });

  const unreadable: [name: string, make: (dir: string) => string, message: RegExp][] = [
    ["missing", (dir) => join(dir, "x.yaml"), /^-f .*x\.yaml: does not exist$/],
    ["a dangling link", (dir) => link("nowhere", join(dir, "l")), /does not exist$/],
    ["a pipe", (dir) => pipe(join(dir, "p")), /is neither a file nor a directory$/],
  ];
  for (const [name, make, message] of unreadable)
    test(`a path that is ${name} is a usage error`, async (t) => {
      const check = (error: unknown) =>
        error instanceof Eg46Error && error.code === "EG46_USAGE" && message.test(error.message);
      await assert.rejects(loadFiles([make(folder(t))]), check);
    });

  test("content that is no configuration is a problem of its file", async (t) => {
    const dir = folder(t);
    writeFileSync(join(dir, "binary.yaml"), Buffer.from([0xff, 0xfe, 0]));
    writeFileSync(join(dir, "large.yaml"), "#".repeat(maxFileBytes + 1));
    writeFileSync(join(dir, "right.yaml"), egress("right"));
    const loaded = await loadFiles([dir]);
    assert.deepEqual(names(loaded), ["right"]);
    assert.deepEqual(problems(loaded), [
      `${dir}/binary.yaml: is not UTF-8 text`,
      `${dir}/large.yaml: is larger than ${maxFileBytes} bytes`,
    ]);
  });
});

suite("another ConfigSource", () => {
  test("snapshots that are copies: what did not change keeps its state, what broke what it said", async () => {
    let tell = (_: Snapshot) => {};
    const snapshot = (a: string, b: string): Snapshot =>
      new Map([
        ["/f/a.yaml", { root: "/f", bytes: Buffer.from(a) }],
        ["/f/b.yaml", { root: "/f", bytes: Buffer.from(b) }],
      ]);
    const source: ConfigSource = {
      async start(listener) {
        tell = listener;
        return snapshot(egress("a"), egress("b"));
      },
    };
    const seen: Loaded[] = [];
    seen.push(await watchConfig(source, (loaded) => seen.push(loaded), new AbortController().signal));
    tell(snapshot("kind: [", egress("b")));
    tell(snapshot("kind: [", egress("c")));
    assert.deepEqual(seen.map(names), [
      ["a", "b"],
      ["a", "b"],
      ["a", "c"],
    ]);
    assert.deepEqual(problems(seen[2]!), problems(seen[1]!));
    assert.match(problems(seen[2]!).join(), /a\.yaml: what this file said before stays in force/);
  });
});

suite("watchFiles", () => {
  test("a file edited, replaced by rename, deleted, back again", async (t) => {
    const file = join(folder(t), "a.yaml");
    writeFileSync(file, egress("one"));
    const watch = await watching(t, file);
    assert.deepEqual(names(watch.latest()), ["one"]);
    writeFileSync(file, egress("two"));
    await watch.until("edit", (loaded) => names(loaded).join() === "two");
    writeFileSync(`${file}.new`, egress("three"));
    renameSync(`${file}.new`, file);
    await watch.until("rename", (loaded) => names(loaded).join() === "three");
    unlinkSync(file);
    const gone = await watch.until("deletion", ({ problems }) => problems.length > 0);
    assert.deepEqual(names(gone), ["three"]);
    assert.deepEqual(problems(gone), [
      `${file}: does not exist`,
      `${file}: what this file said before stays in force`,
    ]);
    writeFileSync(file, egress("four"));
    const back = await watch.until("return", (loaded) => names(loaded).join() === "four");
    assert.deepEqual(problems(back), []);
  });

  test("a directory's files come and go", async (t) => {
    const dir = folder(t);
    const watch = await watching(t, dir);
    writeFileSync(join(dir, "a.yaml"), egress("a"));
    await watch.until("first file", (loaded) => names(loaded).join() === "a");
    unlinkSync(join(dir, "a.yaml"));
    const empty = await watch.until("deletion", (loaded) => names(loaded).length === 0);
    assert.deepEqual(problems(empty), []);
  });

  test("a directory that vanishes keeps its resources", async (t) => {
    const dir = join(folder(t), "mount");
    mkdirSync(dir);
    writeFileSync(join(dir, "a.yaml"), egress("a"));
    const watch = await watching(t, dir);
    renameSync(dir, `${dir}-away`);
    const away = await watch.until("unmount", ({ problems }) => problems.length > 0);
    assert.deepEqual([names(away), problems(away)], [["a"], [`${dir}: does not exist`]]);
    renameSync(`${dir}-away`, dir);
    const back = await watch.until("mount", ({ problems }) => problems.length === 0);
    assert.deepEqual(names(back), ["a"]);
  });

  test("a broken file keeps what it said; its neighbours go on", async (t) => {
    const dir = folder(t);
    writeFileSync(join(dir, "a.yaml"), egress("a"));
    writeFileSync(join(dir, "b.yaml"), egress("b"));
    const watch = await watching(t, dir);
    writeFileSync(join(dir, "a.yaml"), egress("a2", { dualStackEnabled: "perhaps" }));
    writeFileSync(join(dir, "b.yaml"), egress("b2"));
    const broken = await watch.until(
      "breakage",
      (loaded) => names(loaded).join() === "a,b2" && loaded.problems.length > 0,
    );
    assert.equal(
      problems(broken)[0],
      `${dir}/a.yaml:7: spec.dualStackEnabled: expected true or false, got "perhaps"`,
    );
    writeFileSync(join(dir, "a.yaml"), egress("a2"));
    const mended = await watch.until("repair", (loaded) => names(loaded).includes("a2"));
    assert.deepEqual(problems(mended), []);
  });

  test("resources stay in the order in which they were first seen", async (t) => {
    const dir = folder(t);
    writeFileSync(join(dir, "m.yaml"), egress("old"));
    const watch = await watching(t, dir);
    writeFileSync(join(dir, "a.yaml"), egress("new"));
    await watch.until("addition", (loaded) => names(loaded).join() === "old,new");
    renameSync(join(dir, "m.yaml"), join(dir, "z.yaml"));
    const moved = await watch.until("move", ({ resources }) =>
      resources.some(({ source }) => source.file.endsWith("z.yaml")),
    );
    assert.deepEqual(names(moved), ["old", "new"]);
  });

  test("a ConfigMap mount: ..data is swapped", async (t) => {
    const dir = folder(t);
    const publish = (version: string, name: string) => {
      mkdirSync(join(dir, version));
      writeFileSync(join(dir, version, "egress.yaml"), egress(name));
      symlinkSync(version, join(dir, "..data_tmp"));
      renameSync(join(dir, "..data_tmp"), join(dir, "..data"));
    };
    publish("..1", "one");
    symlinkSync("..data/egress.yaml", join(dir, "egress.yaml"));
    const watch = await watching(t, dir);
    assert.deepEqual(names(watch.latest()), ["one"]);
    publish("..2", "two");
    rmSync(join(dir, "..1"), { recursive: true });
    await watch.until("swap", (loaded) => names(loaded).join() === "two");
    assert.deepEqual(problems(watch.latest()), []);
  });

  test("nothing is reported when nothing changed, or after the abort", async (t) => {
    const file = join(folder(t), "a.yaml");
    writeFileSync(file, egress("a"));
    const watch = await watching(t, file);
    writeFileSync(file, egress("a"));
    await someLooks();
    watch.stop();
    writeFileSync(file, egress("b"));
    await someLooks();
    assert.equal(watch.seen.length, 1);
  });
});
