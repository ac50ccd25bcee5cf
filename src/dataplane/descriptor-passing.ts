import { addressOf, checked, O_CLOEXEC, O_NONBLOCK, recvmsg, sendmsg, socketpair } from "./syscalls.ts";

// Open file descriptors from process to process: SCM_RIGHTS over a UNIX seqpacket pair (unix(7), cmsg(3)). Node's own
// way, process.send() with a server, would make the sender accept connections too.
const AF_UNIX = 1;
const SOCK_SEQPACKET = 5;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_DONTWAIT = 0x40;
const MSG_CMSG_CLOEXEC = 0x40000000;
/** The kernel's SCM_MAX_FD. */
const maxDescriptors = 253;
// One buffer holds all parts of a message, which refer to one another by address. Offsets of a 64-bit kernel:
// struct msghdr (56 bytes), one iovec (16), its one payload byte, struct cmsghdr (16) and the descriptors.
const vectorAt = 56;
const payloadAt = 72;
const controlAt = 80;
const descriptorsAt = controlAt + 16;

/** A connected pair; both ends are close-on-exec (spawn's stdio makes the child's copy inheritable). */
export function descriptorChannel(): [mine: number, theirs: number] {
  const pair = Buffer.alloc(8);
  checked("socketpair", socketpair(AF_UNIX, SOCK_SEQPACKET | O_NONBLOCK | O_CLOEXEC, 0, pair));
  return [pair.readInt32LE(0), pair.readInt32LE(4)];
}

/** Sends copies of up to 253 descriptors in one message; the sender keeps its own. */
export function sendDescriptors(channel: number, descriptors: readonly number[]): void {
  if (descriptors.length === 0 || descriptors.length > maxDescriptors)
    throw new RangeError(`${descriptors.length} descriptors in one message`);
  const message = newMessage(descriptors.length);
  message.writeBigUInt64LE(BigInt(descriptorsAt - controlAt + 4 * descriptors.length), controlAt);
  message.writeInt32LE(SOL_SOCKET, controlAt + 8);
  message.writeInt32LE(SCM_RIGHTS, controlAt + 12);
  descriptors.forEach((fd, index) => {
    message.writeInt32LE(fd, descriptorsAt + 4 * index);
  });
  checked("sendmsg", sendmsg(channel, message, MSG_DONTWAIT));
}

/** Takes one message sent by {@link sendDescriptors}. Throws EAGAIN when none waits. */
export function receiveDescriptors(channel: number): number[] {
  const message = newMessage(maxDescriptors);
  checked("recvmsg", recvmsg(channel, message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC));
  const received = Number(message.readBigUInt64LE(40));
  if (received < descriptorsAt - controlAt) return [];
  const count = (Number(message.readBigUInt64LE(controlAt)) - (descriptorsAt - controlAt)) / 4;
  return Array.from({ length: count }, (_, index) => message.readInt32LE(descriptorsAt + 4 * index));
}

function newMessage(descriptors: number): Buffer {
  const message = Buffer.alloc(Math.ceil((descriptorsAt + 4 * descriptors) / 8) * 8);
  const address = addressOf(message);
  message.writeBigUInt64LE(BigInt(address + vectorAt), 16);
  message.writeBigUInt64LE(1n, 24);
  message.writeBigUInt64LE(BigInt(address + controlAt), 32);
  message.writeBigUInt64LE(BigInt(message.length - controlAt), 40);
  message.writeBigUInt64LE(BigInt(address + payloadAt), vectorAt);
  message.writeBigUInt64LE(1n, vectorAt + 8);
  return message;
}
