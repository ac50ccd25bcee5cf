import koffi from "koffi";

/**
 * The Linux system calls that Node has no function for, or only a slow one. Results are the kernel's: ≥ 0, or −1
 * with {@link errno}. On the packet path call {@link read} and {@link write} directly; elsewhere wrap a call in
 * {@link checked}.
 *
 * Memory is passed as a number, {@link addressOf} of a view plus an offset: no per-call conversion, and it also
 * works on shared Wasm memory. The caller keeps the view alive (a function that is called later must name the view, not its
 * address alone) and inside its bounds.
 */
const libc = koffi.load(null);

type Call<Arguments extends unknown[]> = (...args: Arguments) => number;
function bind<Arguments extends unknown[]>(name: string, result: string, args: string[]): Call<Arguments> {
  return libc.func(name, result, args) as unknown as Call<Arguments>;
}

/** (fd, address, length) → bytes read. koffi has no ssize_t; `long` is as wide on Linux. */
export const read = bind<[fd: number, address: number, length: number]>("read", "long", [
  "int",
  "uintptr_t",
  "size_t",
]);
/** (fd, address, length) → bytes written. */
export const write = bind<[fd: number, address: number, length: number]>("write", "long", [
  "int",
  "uintptr_t",
  "size_t",
]);
export const open = bind<[path: string, flags: number]>("open", "int", ["str", "int"]);
export const close = bind<[fd: number]>("close", "int", ["int"]);
/** ioctl whose argument is a pointer to the bytes. */
export const ioctlBytes = bind<[fd: number, request: number, argument: Uint8Array]>("ioctl", "int", [
  "int",
  "ulong",
  "void *",
]);
/** ioctl whose argument is the value itself. */
export const ioctlValue = bind<[fd: number, request: number, argument: number]>("ioctl", "int", [
  "int",
  "ulong",
  "ulong",
]);
/** (address of `struct pollfd`s, count, timeout in ms or −1) → ready descriptors. Blocks the calling thread. */
export const poll = bind<[address: number, count: number, timeoutMs: number]>("poll", "int", [
  "uintptr_t",
  "ulong",
  "int",
]);
/** (thread id, 0 = the calling one; bytes of the set; its address): a bit a processor, least significant first. */
export const sched_getaffinity = bind<[thread: number, length: number, set: number]>(
  "sched_getaffinity",
  "int",
  ["int", "size_t", "uintptr_t"],
);
export const sched_setaffinity = bind<[thread: number, length: number, set: number]>(
  "sched_setaffinity",
  "int",
  ["int", "size_t", "uintptr_t"],
);
export const eventfd = bind<[initial: number, flags: number]>("eventfd", "int", ["uint", "int"]);
export const socket = bind<[domain: number, type: number, protocol: number]>("socket", "int", [
  "int",
  "int",
  "int",
]);
export const socketpair = bind<[domain: number, type: number, protocol: number, pair: Uint8Array]>(
  "socketpair",
  "int",
  ["int", "int", "int", "void *"],
);
export const setsockopt = bind<
  [fd: number, level: number, option: number, value: Uint8Array, length: number]
>("setsockopt", "int", ["int", "int", "int", "void *", "uint"]);
export const bindSocket = bind<[fd: number, address: Uint8Array, length: number]>("bind", "int", [
  "int",
  "void *",
  "uint",
]);
export const listen = bind<[fd: number, backlog: number]>("listen", "int", ["int", "int"]);
export const sendmsg = bind<[fd: number, message: Uint8Array, flags: number]>("sendmsg", "long", [
  "int",
  "void *",
  "int",
]);
export const recvmsg = bind<[fd: number, message: Uint8Array, flags: number]>("recvmsg", "long", [
  "int",
  "void *",
  "int",
]);

export const O_RDWR = 2;
export const O_NONBLOCK = 0o4000;
export const O_CLOEXEC = 0o2000000;
export const POLLIN = 1;
export const EAGAIN = koffi.os.errno.EAGAIN!;

/** Address of a view's first byte; valid as long as its buffer lives (Wasm memory: until it grows). */
export function addressOf(view: Uint8Array): number {
  return Number(koffi.address(view));
}

/** The error number of the last failed call; stale after one that succeeded. */
export function errno(): number {
  return koffi.errno();
}

/** Passes a result through, or throws an ErrnoException with `code` ('EBUSY'), `errno` and `syscall`. */
export function checked(syscall: string, result: number): number {
  if (result >= 0) return result;
  const number = errno();
  const code = Object.entries(koffi.os.errno).find(([, value]) => value === number)?.[0] ?? `errno ${number}`;
  throw Object.assign(new Error(`${syscall}: ${code}`), { code, errno: number, syscall });
}
