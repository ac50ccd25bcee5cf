import { Eg46Error } from "../errors.ts";

/** Link types by the registry of pcap and pcapng (LINKTYPE_ values, IETF opsawg-pcaplinktype). */
export const linkTypes = {
  null: 0,
  ethernet: 1,
  /** LINKTYPE_RAW, and the values that BSD and OpenBSD kernels write for the same. */
  raw: 101,
  rawBsd: 12,
  rawOpenBsd: 14,
  loop: 108,
  linuxSll: 113,
  ipv4: 228,
  ipv6: 229,
  linuxSll2: 276,
} as const;

export type IpVersion = 4 | 6;

/** Bytes of the link header up to the first VLAN tag, and where the protocol (an EtherType) stands in it. */
const etherTyped: ReadonlyMap<number, { readonly length: number; readonly protocol: number }> = new Map([
  [linkTypes.ethernet, { length: 14, protocol: 12 }],
  [linkTypes.linuxSll, { length: 16, protocol: 14 }],
  [linkTypes.linuxSll2, { length: 20, protocol: 0 }],
]);
/** 802.1Q, 802.1ad and the values in use for the outer tag before it. */
const vlanTags: ReadonlySet<number> = new Set([0x8100, 0x88a8, 0x9100, 0x9200]);
const etherTypes: Readonly<Record<IpVersion, number>> = { 4: 0x0800, 6: 0x86dd };
/** AF_INET everywhere; AF_INET6 on Linux, NetBSD and OpenBSD, FreeBSD, macOS. */
const addressFamilies: ReadonlyMap<number, IpVersion> = new Map([
  [2, 4],
  [10, 6],
  [24, 6],
  [28, 6],
  [30, 6],
]);

/** The IP version in the first nibble of a packet, undefined if it is neither. */
export function ipVersion(ip: Uint8Array): IpVersion | undefined {
  const version = (ip[0] ?? 0) >>> 4;
  return version === 4 || version === 6 ? version : undefined;
}

/**
 * Bytes before the IP packet in a frame. Undefined when the frame holds something else than IP, is too short to
 * tell, says another IP version than the packet itself does, or is of a link type that is not known here.
 */
export function linkHeaderLength(linkType: number, frame: Uint8Array): number | undefined {
  const link = parseLink(linkType, frame);
  if (link === undefined) return undefined;
  const version = ipVersion(frame.subarray(link.length));
  return version !== undefined && (link.version ?? version) === version ? link.length : undefined;
}

interface Link {
  readonly length: number;
  /** What the link header says; absent when it says nothing. */
  readonly version?: IpVersion;
}

function parseLink(linkType: number, frame: Uint8Array): Link | undefined {
  const layout = etherTyped.get(linkType);
  if (layout !== undefined) return parseEtherTyped(frame, layout);
  switch (linkType) {
    case linkTypes.raw:
    case linkTypes.rawBsd:
    case linkTypes.rawOpenBsd:
      return { length: 0 };
    case linkTypes.ipv4:
      return { length: 0, version: 4 };
    case linkTypes.ipv6:
      return { length: 0, version: 6 };
    case linkTypes.null:
    case linkTypes.loop:
      return parseFamily(frame);
    default:
      return undefined;
  }
}

function parseEtherTyped(
  frame: Uint8Array,
  { length, protocol }: { readonly length: number; readonly protocol: number },
): Link | undefined {
  let end = length;
  let etherType = uint16(frame, protocol);
  while (vlanTags.has(etherType)) {
    // A tag is two bytes of priority and VLAN, then the EtherType of what follows.
    etherType = uint16(frame, end + 2);
    end += 4;
  }
  if (etherType === etherTypes[4]) return { length: end, version: 4 };
  return etherType === etherTypes[6] ? { length: end, version: 6 } : undefined;
}

/** LINKTYPE_NULL has the byte order of the machine that captured, which no file tells; LINKTYPE_LOOP is big-endian. */
function parseFamily(frame: Uint8Array): Link | undefined {
  const [a = 0, b = 0, c = 0, d = 0] = frame;
  const family = a === 0 && b === 0 && c === 0 ? d : b === 0 && c === 0 && d === 0 ? a : 0;
  const version = addressFamilies.get(family);
  return version === undefined ? undefined : { length: 4, version };
}

/** 0, which is no EtherType, past the end. */
function uint16(bytes: Uint8Array, at: number): number {
  return at + 2 <= bytes.length ? (bytes[at]! << 8) | bytes[at + 1]! : 0;
}

/** The link type for packets made out of some of `linkType`: the same if it can carry both IP versions by EtherType. */
export function outputLinkType(linkType: number): number {
  return etherTyped.has(linkType) ? linkType : linkTypes.raw;
}

/**
 * The link header for `ip` on {@link outputLinkType}: `original` with the EtherType replaced (addresses and VLAN
 * tags kept), or one of zeros where there is no original.
 */
export function linkHeaderFor(linkType: number, ip: Uint8Array, original?: Uint8Array): Uint8Array {
  const version = ipVersion(ip);
  if (version === undefined)
    throw new Eg46Error("EG46_INTERNAL", "a packet to write into a capture is neither IPv4 nor IPv6");
  const layout = etherTyped.get(linkType);
  if (layout === undefined) return new Uint8Array(0);
  const header = Uint8Array.from(original ?? new Uint8Array(layout.length));
  // With tags, the EtherType of the packet ends the last of them.
  const at = header.length > layout.length ? header.length - 2 : layout.protocol;
  header[at] = etherTypes[version] >>> 8;
  header[at + 1] = etherTypes[version] & 0xff;
  return header;
}
