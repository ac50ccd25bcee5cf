/**
 * The gateway's feed (src/envoy/feed-format.ts writes it) and what the singleton makes of it in shared data. Numbers are
 * little-endian, addresses 16 bytes in wire order, IPv4 as ::ffff:a.b.c.d.
 *
 * Feed body: FeedHeader, settings, records. Settings: SettingsHeader, then prefixes of internal networks, NAT subnets,
 * SNAT addresses. Record: NAT address (wire order), then the IPv6 host; ::, when the mapping is gone.
 * Shared data: `head` (Head), `settings` as in the feed, and the records as a log, in chunks of CHUNK bytes.
 */
export const MAGIC: u32 = 0x36344745;
export const FORMAT: u32 = 1;
export const RECORD_SIZE: u32 = 20;
/** Whole records. */
export const CHUNK: u32 = 819 * RECORD_SIZE;

@unmanaged
@final
export class FeedHeader {
  magic: u32;
  format: u32;
  /** Of the gateway process: positions of another one mean nothing. */
  epoch: u64;
  /** Where the next question goes on. */
  position: u32;
  /** 1: everything that there is, not only what changed. */
  full: u32;
  settingsVersion: u32;
  /** 0: as they were. */
  settingsSize: u32;
  records: u32;
  /** Mappings that there are after this. */
  mappings: u32;
}
export const FEED_HEADER: u32 = 40;
if (offsetof<FeedHeader>() != 40) ERROR("FeedHeader must be 40 bytes");

@unmanaged
@final
export class SettingsHeader {
  /** 1: something may leave. */
  active: u32;
  /** 1: IPv6 as such, too. */
  dualStack: u32;
  internalNets: u32;
  natSubnets: u32;
  snatAddresses: u32;
  reserved: u32;
  /** For hash tables. */
  key0: u64;
  key1: u64;
}
if (offsetof<SettingsHeader>() != 40) ERROR("SettingsHeader must be 40 bytes");

/** A network, or an address (length 128). */
@unmanaged
@final
export class NetRecord {
  lo: u64;
  hi: u64;
  length: u32;
  reserved: u32;
}
if (offsetof<NetRecord>() != 24) ERROR("NetRecord must be 24 bytes");

@unmanaged
@final
export class Head {
  magic: u32;
  /** Another one: the log begins anew. */
  generation: u32;
  logSize: u32;
  mappings: u32;
  settingsVersion: u32;
  settingsSize: u32;
}
export const HEAD_SIZE: u32 = 24;
if (offsetof<Head>() != 24) ERROR("Head must be 24 bytes");
