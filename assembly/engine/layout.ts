/** Where everything lies that the host reads or writes. */
@unmanaged
@final
export class Layout {
  receiveRing: u32;
  receiveCapacity: u32;
  transmitRing: u32;
  transmitCapacity: u32;
  readMax: u32;
  limits: u32;
  policies: u32;
  policyTable: u32;
  internalPrefixes: u32;
  natPrefixes: u32;
  maxPrefixes: u32;
  counters: u32;
  dropCounters: u32;
  packetCounters: u32;
  byteCounters: u32;
  replyBuffer: u32;
  stateless: u32;
  eams: u32;
  eamOrder6: u32;
  maxEams: u32;
  routeMtus: u32;
  routeMtuTable: u32;
  maxRouteMtus: u32;
  behaviour: u32;
  portBlocks: u32;
  blockNets: u32;
  blockOrder: u32;
  /** 64 bytes for arguments larger than a number. */
  arguments: u32;
  sessions: u32;
  sessionColds: u32;
  generations: u32;
  maxSessions: u32;
  sessionLog: u32;
  changeRing: u32;
  changeCapacity: u32;
  poolAddresses: u32;
  poolUse: u32;
  maxPoolAddresses: u32;
  dnsCounters: u32;
  /** u64 each: hits by type, by RCODE. */
  dnsTypeCounters: u32;
  dnsRcodeCounters: u32;
}

const RECORD = memory.data(164, 8);
const ARGUMENTS = memory.data(64, 8);
if (offsetof<Layout>() != 164) ERROR("Layout must be 164 bytes");

export const layout: Layout = changetype<Layout>(RECORD);
export const argumentBlock: usize = ARGUMENTS;
