/** A packet as a capture file holds it. */
export interface PacketRecord {
  /** Nanoseconds since 1970; 0 where the file has no time (simple packet blocks of pcapng). */
  readonly timestampNs: bigint;
  /** As in {@link linkTypes}; other values occur. */
  readonly linkType: number;
  /** The captured bytes from the link header on. */
  readonly frame: Uint8Array;
  /** The frame was longer on the wire than what was captured of it. */
  readonly truncated: boolean;
}

export interface CapturedPacket extends PacketRecord {
  /** The IP packet inside, without padding; undefined when there is none. A view of `frame`. */
  readonly ip: Uint8Array | undefined;
  /** What stands before `ip`, VLAN tags included; empty when there is no IP packet. A view of `frame`. */
  readonly linkHeader: Uint8Array;
}

/** Reads the next packet; undefined at the end. Throws EG46_CAPTURE_INVALID. */
export type NextRecord = () => Promise<PacketRecord | undefined>;

/** The longest frame that capture tools write (libpcap's MAXIMUM_SNAPLEN); a longer one is taken for damage. */
export const longestFrame = 262_144;

/** Reads integers of the file's byte order. */
export interface Integers {
  uint16(bytes: Buffer, at: number): number;
  uint32(bytes: Buffer, at: number): number;
  int64(bytes: Buffer, at: number): bigint;
}

export const littleEndian: Integers = {
  uint16: (bytes, at) => bytes.readUInt16LE(at),
  uint32: (bytes, at) => bytes.readUInt32LE(at),
  int64: (bytes, at) => bytes.readBigInt64LE(at),
};

export const bigEndian: Integers = {
  uint16: (bytes, at) => bytes.readUInt16BE(at),
  uint32: (bytes, at) => bytes.readUInt32BE(at),
  int64: (bytes, at) => bytes.readBigInt64BE(at),
};
