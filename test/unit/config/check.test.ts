import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { suite, test } from "node:test";
import { fileURLToPath } from "node:url";
import { projectRoot } from "../../support/resources.ts";

const cli = new URL("../../../src/cli/", import.meta.url);
const script = `
  const { createProgram, runProgram } = await import(${JSON.stringify(new URL("program.js", cli))});
  const { registerCheck } = await import(${JSON.stringify(new URL("check.js", cli))});
  const program = createProgram("egress46");
  registerCheck(program);
  await runProgram(program, ["node", "egress46", "check", ...process.argv.slice(1)]);
`;

function check(...args: string[]) {
  const node = ["--input-type=module", "-e", script, "--", ...args];
  const { status, stdout, stderr } = spawnSync(process.execPath, node, {
    cwd: fileURLToPath(projectRoot),
    encoding: "utf8",
  });
  return { status, lines: stdout.trimEnd().split("\n"), stderr };
}

suite("egress46 check", () => {
  test("a right file: what would be in force", () => {
    assert.deepEqual(check("-f", "examples/dns46-snatpool.yaml"), {
      status: 0,
      lines: [
        "F5SPKSnatpool spk-ingress/egress-snatpool: spec.addressList: has no IPv4 address: Pods' packets to IPv4 hosts are dropped for want of a SNAT",
        "egress spk-ingress/egress-crd would be active",
      ],
      stderr: "",
    });
  });

  test("a resource that lacks another would wait", () => {
    const { status, lines } = check("-f", "test/vectors/spec/dns46.yaml");
    assert.equal(status, 0);
    assert.match(lines.at(-1)!, /^egress spk-ingress\/egress-crd would wait: F5SPKSnatpool with spec\.name/);
  });

  test("a malformed file: file, line, field; exit status 1", () => {
    const { status, lines } = check("-f", "test/vectors/spec/automap-template.yaml", "examples/minimal.yaml");
    assert.equal(status, 1);
    assert.match(
      lines[1]!,
      /^test\/vectors\/spec\/automap-template\.yaml:7: spec\.dualStackEnabled: expected true or false/,
    );
    assert.equal(lines.at(-1), "egress spk-ingress/egress-crd would be active");
  });

  test("a path that does not exist: exit status 2", () => {
    const { status, stderr } = check("-f", "nowhere.yaml");
    assert.equal(status, 2);
    assert.match(stderr, /^EG46_USAGE: -f nowhere\.yaml: does not exist/);
  });
});
