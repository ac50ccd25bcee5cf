import { installLacking, labTools, type Tool } from "../src/lab/prerequisites.ts";

/** What tests use beyond Node. Tests ask for the commands by name (`needs` in test/support/exec.ts). */
export const testTools: readonly Tool[] = [
  ...labTools,
  { command: "curl", debianPackage: "curl" },
  { command: "dig", debianPackage: "bind9-dnsutils" },
  { command: "editcap", debianPackage: "wireshark-common" },
  { command: "iperf3", debianPackage: "iperf3" },
  { command: "mergecap", debianPackage: "wireshark-common" },
  { command: "nc", debianPackage: "netcat-openbsd" },
  { command: "openssl", debianPackage: "openssl" },
  { command: "pip3", debianPackage: "python3-pip" },
  { command: "ping", debianPackage: "iputils-ping" },
  { command: "redis-cli", debianPackage: "redis-tools" },
  { command: "redis-server", debianPackage: "redis-server" },
  { command: "tayga", debianPackage: "tayga" },
  { command: "tcpdump", debianPackage: "tcpdump" },
  { command: "traceroute", debianPackage: "traceroute" },
  { command: "tshark", debianPackage: "tshark" },
];

/** Installs what is lacking where that is possible; tells on standard output what tests will miss. */
export async function provision(): Promise<void> {
  const missing = await installLacking(testTools, console.log);
  for (const { command, debianPackage } of missing)
    console.log(`missing: ${command} (Debian package ${debianPackage}); tests that need it are skipped`);
}
