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

const maxMessage = 65535;
const maxPointer = 0x3fff;

/** Throws RangeError beyond 65535 bytes. */
export function createWriter(): MessageWriter {
  let bytes = new Uint8Array(512);
  let used = 0;
  const suffixes = new Map<string, number>();

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
        const suffix = Buffer.from(wire.subarray(offset)).toString("latin1");
        const earlier = suffixes.get(suffix);
        if (earlier !== undefined) return writer.u16(0xc000 | earlier);
        if (used <= maxPointer) suffixes.set(suffix, used);
        writer.raw(wire.subarray(offset, offset + 1 + wire[offset]!));
      }
      writer.raw(Uint8Array.of(0));
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
    finish: () => bytes.slice(0, used),
  };
  return writer;
}
