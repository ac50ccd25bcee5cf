import { checked, close, ioctlBytes, ioctlValue, O_CLOEXEC, O_NONBLOCK, O_RDWR, open } from "./syscalls.ts";

/** Bytes of `struct virtio_net_hdr_v1` before each packet; 12 keeps the IP header 4-byte aligned. */
export const vnetHeaderLength = 12;
/** `struct ifreq` and IFNAMSIZ of linux/if.h. */
const ifreqLength = 40;
const maxNameLength = 15;

// linux/if_tun.h. No IFF_MULTI_QUEUE: one device serves one worker, so that nothing steers a Pod's flows apart.
const IFF_TUN = 0x0001;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;
const TUNSETIFF = 0x400454ca;
const TUNSETOFFLOAD = 0x400454d0;
const TUNSETVNETHDRSZ = 0x400454d8;
const TUN_F_CSUM_TSO = 0x0f; // CSUM | TSO4 | TSO6 | TSO_ECN
const TUN_F_USO = 0x60; // USO4 | USO6, since Linux 6.2

export interface Tun {
  readonly name: string;
  /** Non-blocking; closing it removes the device. */
  readonly fd: number;
  /** The kernel takes and gives UDP super-packets (virtio gso type 5). */
  readonly uso: boolean;
}

/**
 * Creates a TUN device in the current network namespace: IP packets without a link header, each behind a virtio
 * header of {@link vnetHeaderLength} bytes, super-packets and partial checksums in both directions.
 * Throws an ErrnoException: ENOENT/EACCES/EPERM (no device node, no permission), EBUSY (somebody holds the name).
 */
export function openTun(name: string): Tun {
  if (name.length === 0 || Buffer.byteLength(name) > maxNameLength)
    throw new TypeError(`'${name}' is not an interface name`);
  const fd = checked("open /dev/net/tun", open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  try {
    const ifreq = Buffer.alloc(ifreqLength);
    ifreq.write(name, "utf8");
    ifreq.writeUInt16LE(IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, maxNameLength + 1);
    checked(`TUNSETIFF ${name}`, ioctlBytes(fd, TUNSETIFF, ifreq));
    const size = Buffer.alloc(4);
    size.writeInt32LE(vnetHeaderLength);
    checked("TUNSETVNETHDRSZ", ioctlBytes(fd, TUNSETVNETHDRSZ, size));
    const uso = ioctlValue(fd, TUNSETOFFLOAD, TUN_F_CSUM_TSO | TUN_F_USO) >= 0;
    if (!uso) checked("TUNSETOFFLOAD", ioctlValue(fd, TUNSETOFFLOAD, TUN_F_CSUM_TSO));
    return { name, fd, uso };
  } catch (error) {
    close(fd);
    throw error;
  }
}

export function closeTun(tun: Tun): void {
  close(tun.fd);
}
