/** Builds a DNS message front to back, compressing names against those already written (RFC 1035 §4.1.4). */
export interface MessageWriter {
  u16(value: number): void;
  u32(value: number): void;
  raw(bytes: Uint8Array): void;
  /** An uncompressed wire name. Only octet-exact suffixes are shared: letter case survives. */
  name(wire: Uint8Array): void;
  /** Type, class, TTL and a length that is filled in once `rdata` has written the data. */
  record(owner: Uint8Array, type: number, klass: number, ttl: number, rdata: () => void): void;
  /** Overwrites 16 bits written before, such as a count in the header. */
  patchU16(offset: number, value: number): void;
  finish(): Uint8Array;
}

/** What `write` makes; undefined when that is longer than a DNS message can be. */
export function ifItFits<T>(write: () => T): T | undefined {
  try {
    return write();
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

const maxMessage = 65535;
const maxPointer = 0x3fff;
/** They are searched one by one: a reply of thousands of names must not cost millions of comparisons. */
const maxSuffixes = 128;
const firstRoom = 2048;
const maxSpare = 8192;
/** The room of the writer that finished last, for the next one. */
let spare: Uint8Array | undefined;

/** A name written before, from one of its labels on. */
interface Suffix {
  readonly wire: Uint8Array;
  readonly from: number;
  /** Where it stands. */
  readonly at: number;
}

/** Throws RangeError beyond 65535 bytes. */
export function createWriter(): MessageWriter {
  let bytes = spare ?? new Uint8Array(firstRoom);
  let used = 0;
  const suffixes: Suffix[] = [];
  spare = undefined;

  function reserve(count: number): number {
    const at = used;
    used += count;
    if (used > maxMessage) throw new RangeError("DNS message longer than 65535 bytes");
    if (used > bytes.length) {
      const larger = new Uint8Array(Math.max(used, bytes.length * 2));
      larger.set(bytes);
      bytes = larger;
    }
    return at;
  }

  const writer: MessageWriter = {
    u16(value) {
      writer.patchU16(reserve(2), value);
    },
    u32(value) {
      writer.u16(value >>> 16);
      writer.u16(value & 0xffff);
    },
    raw(data) {
      // First the room: it may move the buffer.
      const at = reserve(data.length);
      bytes.set(data, at);
    },
    name(wire) {
      for (let offset = 0; wire[offset] !== 0; offset += 1 + wire[offset]!) {
        const earlier = suffixes.find((suffix) => isSame(suffix, wire, offset));
        if (earlier !== undefined) return writer.u16(0xc000 | earlier.at);
        if (used <= maxPointer && suffixes.length < maxSuffixes)
          suffixes.push({ wire, from: offset, at: used });
        const end = offset + 1 + wire[offset]!;
        // First the room: it may move the buffer.
        for (let at = reserve(end - offset), from = offset; from < end; ) bytes[at++] = wire[from++]!;
      }
      const at = reserve(1);
      bytes[at] = 0;
    },
    record(owner, type, klass, ttl, rdata) {
      writer.name(owner);
      writer.u16(type);
      writer.u16(klass);
      writer.u32(ttl);
      const length = reserve(2);
      rdata();
      writer.patchU16(length, used - length - 2);
    },
    patchU16(offset, value) {
      bytes[offset] = value >>> 8;
      bytes[offset + 1] = value & 255;
    },
    finish() {
      const message = bytes.slice(0, used);
      spare = bytes.length > maxSpare ? undefined : bytes;
      return message;
    },
  };
  return writer;
}

/** Octet by octet: letter case survives. */
function isSame({ wire, from }: Suffix, other: Uint8Array, start: number): boolean {
  const length = other.length - start;
  if (wire.length - from !== length) return false;
  for (let index = 0; index < length; index++) if (wire[from + index] !== other[start + index]) return false;
  return true;
}
