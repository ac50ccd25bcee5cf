import { labAddresses } from "./addresses.ts";
import { type Gateway, gatewayCommand, startGateway } from "./gateway.ts";
import { type Internet, startInternet } from "./internet.ts";
import { expect, type Step } from "./step.ts";
import { buildTopology, type Topology } from "./topology.ts";

/** What the set-up steps make, each its own field, for the steps after them. */
export interface Lab {
  topology: Topology;
  internet: Internet;
  gateway: Gateway;
}

export function setupSteps(lab: Lab, ownResolvConf: boolean): readonly Step[] {
  return [
    {
      title: "Build three network namespaces",
      async run() {
        lab.topology = await buildTopology({ resolver: ownResolvConf });
        const { pods, gateway, internet } = lab.topology;
        const { gateway: self, resolver } = labAddresses;
        return [
          `Pod       ${pods[0].name.padEnd(22)} ${pods[0].ipv4}, IPv4 only, resolver ${resolver}`,
          `gateway   ${gateway.name.padEnd(22)} ${pods[0].gateway4} inside, ${self.external4} and ${self.external6} outside`,
          `internet  ${internet.name.padEnd(22)} no route back to the Pod`,
        ];
      },
    },
    {
      title: "Start the internet: web servers and DNS",
      async run() {
        lab.internet = await startInternet(lab.topology);
        const { web, dns } = labAddresses;
        return [
          `v6only.example   ${web.v6only}`,
          `dual.example     ${web.dual6} and ${web.dual4}`,
          `v4only.example   ${web.v4only}`,
          `DNS              ${dns.join(", ")}`,
        ];
      },
    },
    {
      title: "Start the gateway",
      async run() {
        const command = gatewayCommand(lab.topology, { store: labStore(lab) });
        lab.gateway = await startGateway(lab.topology, command);
        return [`$ egress46 ${command.slice(2).join(" ")}`, lab.gateway.readyLine];
      },
    },
    {
      title: "Look at what the Pod lacks: IPv6",
      async run() {
        const [pod] = lab.topology.pods;
        const { code, stderr } = await pod.execute(["ip", "route", "get", labAddresses.web.v6only]);
        expect(code !== 0, "the Pod has a route to an IPv6 address; it should have IPv4 only");
        return [`$ ip route get ${labAddresses.web.v6only}`, stderr.trim().split("\n").at(-1) ?? ""];
      },
    },
  ];
}

export function labStore({ topology }: Lab): string {
  return `lmdb:${topology.folder}/mappings`;
}
