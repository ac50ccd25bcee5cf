/** The bytes of the feed: the twin of assembly/filter/format.ts, which says what they mean. */
import { ipv4ToNumber, parseCidr } from "../addresses.ts";
import { mappedBytes } from "../engine/address-form.ts";

const magic = 0x36344745;
const format = 1;
const headerSize = 40;
const settingsHeaderSize = 40;
const netSize = 24;
export const recordSize = 20;

/** What an Envoy is to do. */
export interface FeedSettings {
  /** False: nothing leaves. */
  readonly active: boolean;
  readonly dualStack: boolean;
  /** Prefixes of both families that Pods' sources must belong to. */
  readonly internalNets: readonly string[];
  /** Prefixes of DNS46 pools. */
  readonly natSubnets: readonly string[];
  /** SNAT addresses of both families; a cluster each must be there. */
  readonly snat: readonly string[];
}

export const closedSettings: FeedSettings = {
  active: false,
  dualStack: false,
  internalNets: [],
  natSubnets: [],
  snat: [],
};

/** As many as the filter has room for. */
export const feedLimits = { nets: 256, snat: 1024 } as const;

/** `key`: 16 bytes for the filter's hash tables. */
export function encodeSettings(settings: FeedSettings, key: Uint8Array): Uint8Array {
  const lists = [
    settings.internalNets.slice(0, feedLimits.nets),
    settings.natSubnets.slice(0, feedLimits.nets),
    settings.snat.slice(0, feedLimits.snat),
  ] as const;
  const nets = lists.flat();
  const bytes = new Uint8Array(settingsHeaderSize + nets.length * netSize);
  const view = new DataView(bytes.buffer);
  const words = [settings.active ? 1 : 0, settings.dualStack ? 1 : 0, ...lists.map((list) => list.length)];
  for (const [index, word] of words.entries()) view.setUint32(index * 4, word, true);
  bytes.set(key, 24);
  for (const [index, net] of nets.entries()) {
    const { network, prefixLength, family } = parseCidr(net);
    const at = settingsHeaderSize + index * netSize;
    bytes.set(mappedBytes(network), at);
    view.setUint32(at + 16, family === 4 ? prefixLength + 96 : prefixLength, true);
  }
  return bytes;
}

/** `host6` undefined: the mapping is gone. */
export interface FeedRecord {
  readonly nat4: number;
  readonly host6: Uint8Array | undefined;
}

export interface FeedBody {
  readonly epoch: bigint;
  readonly position: number;
  readonly full: boolean;
  readonly settingsVersion: number;
  /** Undefined: as they were. */
  readonly settings: Uint8Array | undefined;
  readonly records: readonly FeedRecord[];
  readonly mappings: number;
}

export function encodeFeed(body: FeedBody): Uint8Array {
  const settingsSize = body.settings?.length ?? 0;
  const bytes = new Uint8Array(headerSize + settingsSize + body.records.length * recordSize);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, magic, true);
  view.setUint32(4, format, true);
  view.setBigUint64(8, body.epoch, true);
  const words = [
    body.position,
    body.full ? 1 : 0,
    body.settingsVersion,
    settingsSize,
    body.records.length,
    body.mappings,
  ];
  for (const [index, word] of words.entries()) view.setUint32(16 + index * 4, word, true);
  if (body.settings !== undefined) bytes.set(body.settings, headerSize);
  let at = headerSize + settingsSize;
  for (const { nat4, host6 } of body.records) {
    view.setUint32(at, nat4, false);
    if (host6 !== undefined) bytes.set(host6, at + 4);
    at += recordSize;
  }
  return bytes;
}

/** `GET /v1/mappings/ADDRESS`: the NAT address that is asked for, or undefined. */
export function askedAddress(path: string): number | undefined {
  const text = /^\/v1\/mappings\/([\d.]{7,15})$/.exec(path)?.[1];
  try {
    return text === undefined ? undefined : ipv4ToNumber(text);
  } catch {
    return undefined;
  }
}
