import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { type Admin, createAdmin } from "../../../src/admin/server.ts";
import { createLogger } from "../../../src/log.ts";
import { version } from "../../../src/version.ts";
import { sampleView } from "./sample-view.ts";

interface Outcome {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

const executables = { egress46: "main.js", tmctl: "tmctl.js" };

/** Runs a compiled executable; `ADMIN` in the arguments stands for the address of a live admin API. */
function run(executable: keyof typeof executables, args: readonly string[], admin: Admin): Promise<Outcome> {
  const script = fileURLToPath(new URL(`../../../src/${executables[executable]}`, import.meta.url));
  const filled = args.map((arg) => (arg === "ADMIN" ? admin.address : arg));
  return new Promise((resolve) => {
    execFile(process.execPath, [script, ...filled], (error, stdout, stderr) =>
      resolve({ status: error === null ? 0 : Number(error.code), stdout, stderr }),
    );
  });
}

const specifiedLine = [
  "-f",
  "/var/tmstat/blade/tmm0",
  "virtual_server_stat",
  "-s",
  "name,serverside.tot_conns",
];
const specifiedTable = `name              serverside.tot_conns
----------------- --------------------
egress-ipv4-nat46                   19
egress-dns-ipv4                     12
`;

// biome-ignore format: a matrix of command lines
const runs: readonly { command: keyof typeof executables; args: readonly string[]; status: number; stdout?: string | RegExp; stderr?: string | RegExp }[] = [
  { command: "tmctl", args: [...specifiedLine, "--admin", "ADMIN"], status: 0, stdout: specifiedTable, stderr: "" },
  { command: "egress46", args: ["tmctl", ...specifiedLine, "--admin", "ADMIN"], status: 0, stdout: specifiedTable, stderr: "" },
  { command: "tmctl", args: ["-f", "/no/such/path", "virtual_server_stat", "-s", "name", "--admin", "ADMIN"], status: 0, stdout: /^name\n-{17}\negress-/ },
  { command: "tmctl", args: ["--version"], status: 0, stdout: `${version}\n` },
  { command: "tmctl", args: [], status: 2, stdout: "", stderr: /missing required argument 'table'/ },
  { command: "tmctl", args: ["nothing_stat"], status: 2, stdout: "", stderr: /EG46_USAGE: no table 'nothing_stat'/ },
  { command: "tmctl", args: ["virtual_server_stat", "-s", "nothing"], status: 2, stdout: "", stderr: /has no column 'nothing'; there are: name, / },
  { command: "tmctl", args: ["virtual_server_stat", "--admin", "127.0.0.1:1"], status: 1, stdout: "", stderr: /^EG46_ADMIN_UNREACHABLE: .*127\.0\.0\.1:1 \(ECONNREFUSED\)\n {2}traffic: .*\n {2}remedy: / },
  { command: "tmctl", args: ["virtual_server_stat", "--admin", "nonsense"], status: 2, stdout: "", stderr: /EG46_USAGE: 'nonsense' is not an address/ },
  { command: "egress46", args: ["--help"], status: 0, stdout: /egress46 lab[\s\S]*egress46 run -f[\s\S]*egress46 status/, stderr: "" },
  { command: "egress46", args: ["--version"], status: 0, stdout: `${version}\n` },
  { command: "egress46", args: [], status: 2, stdout: "", stderr: /The three most useful command lines/ },
  { command: "egress46", args: ["frobnicate"], status: 2, stdout: "", stderr: /unknown command 'frobnicate'/ },
  { command: "egress46", args: ["drops", "--nothing"], status: 2, stdout: "", stderr: /unknown option '--nothing'/ },
  { command: "egress46", args: ["drops", "-o", "xml"], status: 2, stdout: "", stderr: /Allowed choices are text, json/ },
  { command: "egress46", args: ["drops", "--admin", "127.0.0.1:1"], status: 1, stdout: "", stderr: /EG46_ADMIN_UNREACHABLE/ },
  {
    command: "egress46", args: ["drops", "--admin", "ADMIN"], status: 0,
    stdout:
`reason       packets meaning
------------ ------- -----------------------------------
bad-checksum       7 The IPv4 header checksum is wrong
ttl-expired        2 The packet's hop limit ran out here
`,
  },
  {
    command: "egress46", args: ["drops", "--all", "--admin", "ADMIN"], status: 0,
    stdout: /bad-checksum +7 .*\nttl-expired +2 .*\nno-snat +0 No SNAT address and port was free\n$/,
  },
  { command: "egress46", args: ["drops", "-o", "json", "--admin", "ADMIN"], status: 0, stdout: /^\{\n {2}"drops": \[\n {4}\{\n {6}"reason": "bad-checksum"/ },
  { command: "egress46", args: ["status", "--admin", "ADMIN"], status: 0, stdout: /^gateway {5}egress46 \d[\s\S]*\nhealth {6}ok\negress {6}a\/egress\n[\s\S]*\nDNS46 pool {2}5 of 254/ },
  {
    command: "egress46", args: ["status", "--pool", "--admin", "ADMIN"], status: 0,
    stdout: /\n\nSNAT address {2}ports +TCP +UDP +ICMP +allocated +exhausted\n[- ]+\n2001:db8:5::9 64512 +3 sessions +32256 ports \(50 %\) +0 ids \(0 %\) +40037 +3\n$/,
  },
  { command: "egress46", args: ["status", "--pool", "-o", "json", "--admin", "ADMIN"], status: 0, stdout: /"snatPool": \[\n {4}\{\n {6}"address": "2001:db8:5::9"/ },
  {
    command: "egress46", args: ["sessions", "--admin", "ADMIN"], status: 0,
    stdout:
`protocol Pod           destination    SNAT                  remote host          state             age idle
-------- ------------- -------------- --------------------- -------------------- ----------- --------- ----
tcp      10.1.2.3:4000 10.244.50.7:80 [2001:db8:5::9]:23456 [2001:db8:46::80]:80 established 1 min 5 s  1 s
`,
  },
  { command: "egress46", args: ["sessions", "ls", "--pod", "10.1.2.3", "--limit", "1", "-o", "json", "--admin", "ADMIN"], status: 0, stdout: /^\{\n {2}"sessions": \[\n {4}\{\n {6}"id": "0-4-3"[\s\S]*"more": false\n\}\n$/ },
  { command: "egress46", args: ["sessions", "ls", "--pod", "me"], status: 2, stdout: "", stderr: /argument 'me' is invalid. It must be the address of a Pod/ },
  { command: "egress46", args: ["sessions", "ls", "--limit", "-1"], status: 2, stdout: "", stderr: /It must be a number, 0 or more/ },
  { command: "egress46", args: ["sessions", "--admin", "127.0.0.1:1"], status: 1, stdout: "", stderr: /EG46_ADMIN_UNREACHABLE/ },
  { command: "egress46", args: ["sessions", "watch", "--admin", "127.0.0.1:1"], status: 1, stdout: "", stderr: /EG46_ADMIN_UNREACHABLE/ },
  {
    command: "egress46", args: ["sessions", "watch", "--admin", "ADMIN"], status: 1, stderr: /EG46_ADMIN_UNREACHABLE: .*the gateway has gone away/,
    stdout:
`created  tcp  10.1.2.3:4000 to 10.244.50.7:80 as [2001:db8:5::9]:23456 to [2001:db8:46::80]:80 init
changed  tcp  10.1.2.3:4000 to 10.244.50.7:80 as [2001:db8:5::9]:23456 to [2001:db8:46::80]:80 established
gap      changes came faster than they could be read
ended    tcp  10.1.2.3:4000 to 10.244.50.7:80 as [2001:db8:5::9]:23456 to [2001:db8:46::80]:80 after 1 min 5 s
`,
  },
  { command: "egress46", args: ["sessions", "watch", "--limit", "1", "--admin", "ADMIN"], status: 0, stdout: /^created .* init\n$/, stderr: "" },
  { command: "egress46", args: ["sessions", "watch", "--limit", "1", "-o", "json", "--admin", "ADMIN"], status: 0, stdout: /^\{"change":"present",.*\}\n\{"change":"created",.*\}\n$/ },
  {
    command: "egress46", args: ["dig", "v6only.example", "--admin", "ADMIN"], status: 0, stderr: "",
    stdout:
`; egress46 dig v6only.example. A

;; steps
     1.2 ms  upstream  address 10.1.1.53, type A, rcode NOERROR, answers 0, ms 1
     3.1 ms  engine    nat4 10.244.50.7, host6 2001:db8:46::80

;; status NOERROR, flags qr rd ra
;; extended error 29 DNS46 10.244.50.7 <- 2001:db8:46::80

;; answer
v6only.example.\t60\tIN\tA\t10.244.50.7
v6only.example.\t60\tIN\tAAAA\t2001:db8:46::80

;; 120 bytes in 3.3 ms
`,
  },
  { command: "egress46", args: ["dig", "v6only.example", "aaaa", "--json", "--admin", "ADMIN"], status: 0, stdout: /^\{\n {2}"name": "v6only.example.",\n {2}"type": "AAAA"[\s\S]*"step": "engine"/ },
  { command: "egress46", args: ["dig", "v6only.example", "--tcp", "--client", "10.1.2.3", "-o", "json", "--admin", "ADMIN"], status: 0, stdout: /"rcode": "NOERROR"/ },
  { command: "egress46", args: ["dig"], status: 2, stdout: "", stderr: /missing required argument 'name'/ },
  { command: "egress46", args: ["dig", "a..b", "--admin", "ADMIN"], status: 1, stdout: "", stderr: /EG46_ADMIN_REQUEST: .*name='a\.\.b': expected a domain name/ },
  { command: "egress46", args: ["dig", "a", "NONSENSE", "--admin", "ADMIN"], status: 1, stdout: "", stderr: /type='NONSENSE': expected a type such as A/ },
  { command: "egress46", args: ["dig", "a", "AXFR", "--admin", "ADMIN"], status: 1, stdout: "", stderr: /type='AXFR': expected a type such as A/ },
  { command: "egress46", args: ["dig", "a", "--client", "me", "--admin", "ADMIN"], status: 1, stdout: "", stderr: /client='me': expected an address/ },
  { command: "egress46", args: ["status", "-o", "json", "--admin", "ADMIN"], status: 0, stdout: /"state": "active"/ },
];

test("commands: output and exit status", async (t) => {
  const admin = await createAdmin(sampleView(), { listen: "127.0.0.1:0", log: createLogger("silent") });
  for (const { command, args, ...wanted } of runs)
    await t.test(`${command} ${args.join(" ")} → ${wanted.status}`, async () => {
      const found = await run(command, args, admin);
      assert.equal(found.status, wanted.status, found.stderr);
      for (const stream of ["stdout", "stderr"] as const) {
        const text = wanted[stream];
        if (text instanceof RegExp) assert.match(found[stream], text);
        else if (text !== undefined) assert.equal(found[stream], text);
      }
    });
  await admin.close();
});
