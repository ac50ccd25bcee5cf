import { spawn } from "node:child_process";
import { descriptorChannel, sendDescriptors } from "../dataplane/descriptor-passing.ts";
import { close } from "../dataplane/syscalls.ts";
import type { Tun } from "../dataplane/tun.ts";
import { type Identity, unprivileged } from "./privileges.ts";
import type { DnsSocket, HostFacts, ToGateway, ToNetd } from "./protocol.ts";

/** Descriptor numbers in the gateway: 0–2 standard, 3 IPC, then these. */
const channelFd = 4;
const firstTunFd = 5;
const stopWithinMs = 1000;

export interface GatewayProcess {
  readonly pid: number | undefined;
  /** The descriptor numbers of this process for {@link HostFacts}. */
  readonly descriptors: Pick<HostFacts, "tuns" | "descriptorChannel">;
  send(message: ToGateway): void;
  sendDnsSockets(sockets: ReadonlyMap<DnsSocket, number>): void;
  /** Asks it to stop, kills it after a second; resolves once it is gone. */
  stop(): Promise<void>;
}

export interface GatewayEvents {
  message(message: ToNetd): void;
  /** Once, however it ended: exit code, signal or spawn error. */
  exit(reason: string): void;
}

export function startGateway(
  main: string,
  identity: Identity,
  tuns: readonly Tun[],
  events: GatewayEvents,
): GatewayProcess {
  const [mine, theirs] = descriptorChannel();
  const launch = unprivileged(identity, process.execPath, [main]);
  const child = spawn(launch.command, launch.args, {
    // Standard output is for the ready line, which netd prints.
    stdio: ["ignore", 2, 2, "ipc", theirs, ...tuns.map((tun) => tun.fd)],
    // Out of the terminal's process group: Ctrl-C is netd's to handle.
    detached: true,
    ...(launch.uid === undefined ? {} : { uid: launch.uid }),
    ...(launch.gid === undefined ? {} : { gid: launch.gid }),
  });
  close(theirs);

  let over = false;
  const ended = new Promise<void>((resolve) => {
    const end = (reason: string) => {
      if (over) return;
      over = true;
      close(mine);
      resolve();
      events.exit(reason);
    };
    child.on("error", (error) => {
      if (child.pid === undefined) end(error.message);
    });
    child.on("exit", (code, signal) => end(signal ?? `exit code ${code}`));
  });
  child.on("message", (message) => events.message(message as ToNetd));

  const send = (message: ToGateway): void => {
    // A gateway that is going away reports it by its exit.
    if (child.connected) child.send(message, () => {});
  };
  return {
    pid: child.pid,
    descriptors: {
      tuns: tuns.map(({ name, uso }, worker) => ({ name, fd: firstTunFd + worker, uso })),
      descriptorChannel: channelFd,
    },
    send,
    sendDnsSockets(sockets) {
      if (over) return;
      if (sockets.size > 0) sendDescriptors(mine, [...sockets.values()]);
      send({ type: "dns-sockets", sockets: [...sockets.keys()] });
    },
    async stop() {
      send({ type: "stop" });
      const timer = setTimeout(() => child.kill("SIGKILL"), stopWithinMs);
      await ended;
      clearTimeout(timer);
    },
  };
}
