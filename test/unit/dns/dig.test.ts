/** Interoperability with dig (Debian package bind9-dnsutils) over real sockets, the upstream a process of its own. */
import assert from "node:assert/strict";
import { execFile, execFileSync, spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { pino } from "pino";
import { createDnsProxy, type DnsProxy } from "../../../src/dns/proxy.ts";
import { serveTcp, serveUdp } from "../../../src/dns/server.ts";
import { testZone } from "../../support/dns-names.ts";

function digMissing(): string | false {
  try {
    execFileSync("dig", ["-v"], { stdio: "ignore" });
    return false;
  } catch {
    return "dig is not installed (Debian: bind9-dnsutils)";
  }
}

describe("dig", { skip: digMissing() }, () => {
  const folder = mkdtempSync(join(tmpdir(), "egress46-dig-"));
  const program = fileURLToPath(new URL("../../support/dns-server.js", import.meta.url));
  const udp = createSocket("udp4");
  const tcp = createServer();
  let upstream: ReturnType<typeof spawn>;
  let proxy: DnsProxy;

  before(async () => {
    const zoneFile = join(folder, "zone.json");
    writeFileSync(zoneFile, JSON.stringify(testZone));
    upstream = spawn(
      process.execPath,
      [program, "--listen", "127.0.0.1", "--port", "0", "--zone", zoneFile],
      {
        stdio: ["ignore", "pipe", "inherit"],
      },
    );
    const [line] = (await once(createInterface({ input: upstream.stdout! }), "line")) as [string];
    const upstreamPort = Number(/^dns-server ready 127\.0\.0\.1#(\d+)$/.exec(line)?.[1]);
    proxy = createDnsProxy({
      mapHost: async (host6) => ({
        kind: "mapped",
        nat4: `10.46.0.${Number.parseInt(host6.split("::")[1]!, 16) & 255}`,
      }),
      log: pino({ level: "silent" }),
      upstreamPort,
    });
    proxy.configure({ upstreams: ["127.0.0.1"], maxTtl: 3600 });
    serveUdp(udp, proxy, () => true);
    serveTcp(tcp, proxy, () => true);
    await once(udp.bind(0, "127.0.0.1"), "listening");
    await once(tcp.listen(udp.address().port, "127.0.0.1"), "listening");
  });
  after(async () => {
    proxy.close();
    udp.close();
    tcp.close();
    upstream.kill();
    await once(upstream, "exit");
    rmSync(folder, { recursive: true });
  });

  const dig = async (...options: string[]): Promise<string> => {
    const all = ["@127.0.0.1", "-p", String(udp.address().port), "+time=4", "+tries=1", ...options];
    return (await promisify(execFile)("dig", all)).stdout;
  };

  const synthesized =
    /v6only\.example\.\s+120\s+IN\s+A\s+10\.46\.0\.128\n.*\s200\s+IN\s+AAAA\s+2001:db8:46::80/;
  for (const options of [
    [],
    ["+tcp"],
    ["+dnssec"],
    ["+noedns"],
    ["+bufsize=512"],
    ["+bufsize=4096"],
    ["+nocookie"],
    ["+norecurse"],
    ["+tcp", "+dnssec"],
    ["+cdflag"],
    ["+ednsopt=65001:deadbeef"],
  ])
    test(`${["v6only.example A", ...options].join(" ")}: the new A, then the AAAA, nothing to complain of`, async () => {
      const text = await dig("v6only.example", "A", ...options);
      assert.match(text, /status: NOERROR/);
      assert.match(text, synthesized);
      assert.doesNotMatch(text, /malformed|mismatch|extra bytes|;; Warning: (?!recursion)/i);
      const explained = /EDE: 29.*DNS46 10\.46\.0\.128 <- 2001:db8:46::80/.test(text);
      assert.equal(explained, !options.includes("+noedns"), text);
    });

  const cases: [args: string[], expected: RegExp][] = [
    [["big.example", "TXT"], /"29 x{200}"/],
    [["big.example", "TXT", "+ignore"], /flags:[a-z ]* tc[a-z ]*;/],
    [["crowd.example", "A", "+noedns"], /10\.46\.0\.7\n/],
    [["svc.example", "HTTPS"], /HTTPS\s+1 \. alpn="h2" ipv4hint=192\.0\.2\.1/],
    [["nosuch.example", "A"], /status: NXDOMAIN[\s\S]*SOA/],
    [["v6only.example", "A", "+opcode=notify"], /status: NOTIMP/],
    [["v6only.example", "A", "+edns=1", "+noednsneg"], /status: (NOERROR|BADVERS)/],
    [["v6only.example", "AXFR"], /Transfer failed/],
    [["-x", "192.0.2.1"], /status: NXDOMAIN/],
  ];
  for (const [args, expected] of cases)
    test(`${args.join(" ")}: ${expected.source}`, async () => assert.match(await dig(...args), expected));
});
