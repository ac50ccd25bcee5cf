/**
 * Envoy's foreign function `set_envoy_filter_state`: SetEnvoyFilterStateArguments {path = 1, value = 2, span = 3}. What
 * doesn't change from one connection to the next of an argument is there already; every length is one byte.
 */
import { callForeignFunction } from "./hostcalls";
import { resultPointer, resultSizePointer } from "./lent";
import { NetRecord } from "./format";
import { ascii, beginText, put, putAddress, textAt, textSize } from "./text";

/** Reaches the upstream's side, too. */
const DOWNSTREAM_CONNECTION: u8 = 2;

const NAME = memory.data(32, 8);
const nameSize = ascii("set_envoy_filter_state", NAME);

/** Span and path. → where the value's length goes. */
function begin(at: usize, path: string): usize {
  store<u8>(at, 0x18);
  store<u8>(at, DOWNSTREAM_CONNECTION, 1);
  store<u8>(at, 0x0a, 2);
  const size = ascii(path, at + 4);
  store<u8>(at, size, 3);
  store<u8>(at + 4 + size, 0x12);
  return at + 5 + size;
}

function call(at: usize, end: usize): void {
  callForeignFunction(NAME, nameSize, at, <u32>(end - at), resultPointer, resultSizePointer);
}

const TARGET = memory.data(128, 16);
const TARGET_SIZE = begin(TARGET, "envoy.network.transport_socket.original_dst_address");
/** `[` and eight groups of four digits. */
const ADDRESS = TARGET_SIZE + 1;
ascii("[0000:0000:0000:0000:0000:0000:0000:0000]:", ADDRESS);
const PORT = ADDRESS + 42;

/** Where an ORIGINAL_DST cluster connects to. */
export function setTarget(lo: u64, hi: u64, port: u32): void {
  const address = i64x2.replace_lane(i64x2.splat(lo), 1, hi);
  const digits = i8x16(0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66);
  const high = i8x16.swizzle(digits, i8x16.shr_u(address, 4));
  const low = i8x16.swizzle(digits, v128.and(address, i8x16.splat(15)));
  const first = i8x16.shuffle(high, low, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const second = i8x16.shuffle(high, low, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  v128.store32_lane(ADDRESS, first, 0, 1);
  v128.store32_lane(ADDRESS, first, 1, 6);
  v128.store32_lane(ADDRESS, first, 2, 11);
  v128.store32_lane(ADDRESS, first, 3, 16);
  v128.store32_lane(ADDRESS, second, 0, 21);
  v128.store32_lane(ADDRESS, second, 1, 26);
  v128.store32_lane(ADDRESS, second, 2, 31);
  v128.store32_lane(ADDRESS, second, 3, 36);
  let size: u32 = 1;
  for (let rest = port; rest >= 10; rest /= 10) size++;
  for (let at = PORT + size, rest = port; at > PORT; rest /= 10) store<u8>(--at, 0x30 + (rest % 10));
  store<u8>(TARGET_SIZE, 42 + size);
  call(TARGET, PORT + size);
}

/** The argument for each SNAT address, put together when it is first used; its size in the last byte. */
const CLUSTER: usize = 80;
const CLUSTERS = memory.data(1024 * 80, 16);

/** After new settings. */
export function forgetClusters(): void {
  memory.fill(CLUSTERS, 0, 1024 * CLUSTER);
}

/** The cluster of a SNAT address is named after it (src/envoy/clusters.ts). `index`: below MAX_SNAT_ADDRESSES. */
export function setCluster(index: u32, address: NetRecord): void {
  const at = CLUSTERS + <usize>index * CLUSTER;
  if (load<u8>(at, CLUSTER - 1) == 0) {
    beginText();
    put("snat_");
    putAddress(address.lo, address.hi);
    const size = begin(at, "envoy.tcp_proxy.cluster");
    store<u8>(size, textSize());
    memory.copy(size + 1, textAt(), textSize());
    store<u8>(at, size + 1 + textSize() - at, CLUSTER - 1);
  }
  call(at, at + load<u8>(at, CLUSTER - 1));
}
