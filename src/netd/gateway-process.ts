import { spawn } from "node:child_process";
import { descriptorChannel, sendDescriptors } from "../dataplane/descriptor-passing.ts";
import { close } from "../dataplane/syscalls.ts";
import type { Tun } from "../dataplane/tun.ts";
import { createPassages } from "./passages.ts";
import { gatewayUid, type Identity, unprivileged } from "./privileges.ts";
import type { DnsSocket, HostFacts, ToGateway, ToNetd } from "./protocol.ts";

/** Descriptor numbers in the gateway: 0–2 standard, 3 IPC, then these, and passages behind the TUNs. */
const channelFd = 4;
const firstTunFd = 5;
/** It needs a fifth of that. The whole of netd has two seconds. */
const stopWithinMs = 600;
/** Modules are looked up along the passage, not where it leads. */
const byPassage = ["--preserve-symlinks", "--preserve-symlinks-main"];

export interface GatewayProcess {
  readonly pid: number | undefined;
  /** The descriptor numbers of this process for {@link HostFacts}. */
  readonly descriptors: Pick<HostFacts, "tuns" | "descriptorChannel">;
  /** The store's folder as this process reaches it. */
  readonly storeFolder: string | undefined;
  readonly journalFolder: string | undefined;
  readonly sorryPageFd: number | undefined;
  send(message: ToGateway): void;
  sendDnsSockets(sockets: ReadonlyMap<DnsSocket, number>): void;
  kill(): void;
  /** Asks it to stop, kills it if it doesn't; resolves once it is gone. */
  stop(): Promise<void>;
}

export interface GatewayEvents {
  message(message: ToNetd): void;
  /** Once, however it ended: exit code, signal or spawn error. */
  exit(reason: string): void;
}

export interface GatewayLaunch {
  /** The gateway's main module. */
  readonly main: string;
  readonly identity: Identity;
  readonly tuns: readonly Tun[];
  /** Absolute path of an LMDB folder that is there. */
  readonly storeFolder: string | undefined;
  readonly journalFolder: string | undefined;
  /** Listens; the gateway inherits it. */
  readonly sorrySocket: number | undefined;
}

export function startGateway(
  { main, identity, tuns, storeFolder, journalFolder, sorrySocket }: GatewayLaunch,
  events: GatewayEvents,
): GatewayProcess {
  const sorry = sorrySocket === undefined ? [] : [sorrySocket];
  const passages = createPassages(gatewayUid(identity), firstTunFd + tuns.length + sorry.length);
  const [node, program] = [passages.to(process.execPath), passages.to(main)];
  const store = storeFolder && passages.to(storeFolder);
  const journal = journalFolder && passages.to(journalFolder);
  const [mine, theirs] = descriptorChannel();
  const launch = unprivileged(identity, node, [...(program === main ? [] : byPassage), program]);
  const child = spawn(launch.command, launch.args, {
    // Standard output is for the ready line, which netd prints.
    stdio: ["ignore", 2, 2, "ipc", theirs, ...tuns.map((tun) => tun.fd), ...sorry, ...passages.descriptors],
    // JSON has no bytes.
    serialization: "advanced",
    // Out of the terminal's process group: Ctrl-C is netd's to handle.
    detached: true,
    ...(launch.uid === undefined ? {} : { uid: launch.uid }),
    ...(launch.gid === undefined ? {} : { gid: launch.gid }),
  });
  close(theirs);
  passages.close();

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
    storeFolder: store,
    journalFolder: journal,
    sorryPageFd: sorrySocket === undefined ? undefined : firstTunFd + tuns.length,
    send,
    kill: () => void child.kill("SIGKILL"),
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
