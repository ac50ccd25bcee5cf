import { bindSocket, checked, close, listen, O_CLOEXEC, O_NONBLOCK, socket } from "../dataplane/syscalls.ts";
import { Eg46Error } from "../errors.ts";
import {
  AF_INET,
  enable,
  IP_FREEBIND,
  SO_REUSEADDR,
  SOCK_STREAM,
  SOL_IP,
  SOL_SOCKET,
  socketAddress,
  whyNotOpened,
} from "./sockets.ts";

const backlog = 128;

/**
 * A listening TCP socket for the page behind dnsNat46SorryIp, whose port only root may have. The address may come later
 * than we do. Throws EG46_SORRY_PAGE; the caller closes the descriptor.
 */
export function openSorrySocket({ host, port }: { readonly host: string; readonly port: number }): number {
  const address = socketAddress(4, host, port);
  const fd = checked("socket", socket(AF_INET, SOCK_STREAM | O_NONBLOCK | O_CLOEXEC, 0));
  try {
    enable(fd, "SO_REUSEADDR", SOL_SOCKET, SO_REUSEADDR);
    enable(fd, "IP_FREEBIND", SOL_IP, IP_FREEBIND);
    checked("bind", bindSocket(fd, address, address.length));
    checked("listen", listen(fd, backlog));
    return fd;
  } catch (cause) {
    close(fd);
    const reason = whyNotOpened(cause);
    throw new Eg46Error("EG46_SORRY_PAGE", `--sorry-page ${host}:${port}: ${reason}`, { cause });
  }
}
