import {
  bindSocket,
  checked,
  close,
  listen,
  O_CLOEXEC,
  O_NONBLOCK,
  setsockopt,
  socket,
} from "../dataplane/syscalls.ts";
import { Eg46Error } from "../errors.ts";

const backlog = 128;
const AF_INET = 2;
const SOCK_STREAM = 1;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SOL_IP = 0;
const IP_FREEBIND = 15;

/**
 * A listening TCP socket for the page behind dnsNat46SorryIp, whose port only root may have. The address may come later
 * than we do. Throws EG46_SORRY_PAGE; the caller closes the descriptor.
 */
export function openSorrySocket({ host, port }: { readonly host: string; readonly port: number }): number {
  const one = Buffer.from([1, 0, 0, 0]);
  const address = Buffer.alloc(16);
  address.writeUInt16LE(AF_INET, 0);
  address.writeUInt16BE(port, 2);
  address.set(host.split(".").map(Number), 4);
  const fd = checked("socket", socket(AF_INET, SOCK_STREAM | O_NONBLOCK | O_CLOEXEC, 0));
  try {
    checked("SO_REUSEADDR", setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, one, 4));
    checked("IP_FREEBIND", setsockopt(fd, SOL_IP, IP_FREEBIND, one, 4));
    checked("bind", bindSocket(fd, address, address.length));
    checked("listen", listen(fd, backlog));
    return fd;
  } catch (cause) {
    close(fd);
    const used = cause instanceof Error && "code" in cause && cause.code === "EADDRINUSE";
    const reason = used ? "another process has it" : cause;
    throw new Eg46Error("EG46_SORRY_PAGE", `--sorry-page ${host}:${port}: ${reason}`, { cause });
  }
}
