import type { ByteSource } from "./byte-source.ts";
import type { Integers } from "./packet.ts";

export interface CaptureInterface {
  readonly linkType: number;
  /** Bytes of a packet that are kept at most; 0: all. */
  readonly snapLength: number;
  /** Nanoseconds since 1970 of a timestamp of this interface. */
  toNs(ticks: bigint): bigint;
}

/** Options of an interface description that matter here (IETF opsawg-pcapng §4.2), and their lengths. */
const options = { end: 0, timestampResolution: 9, timestampOffset: 14 } as const;
const optionLengths: ReadonlyMap<number, number> = new Map([
  [options.timestampResolution, 1],
  [options.timestampOffset, 8],
]);
const nsPerSecond = 1_000_000_000n;

/** The body of an interface description block, which ends at `end`. Options may be left untaken. */
export async function readInterface(
  bytes: ByteSource,
  order: Integers,
  end: number,
): Promise<CaptureInterface> {
  const fixed = await bytes.take(8, "an interface description");
  let resolution = 6;
  let offsetNs = 0n;
  while (end - bytes.offset() >= 4) {
    const at = bytes.offset();
    const head = await bytes.take(4, "an option");
    const code = order.uint16(head, 0);
    const length = order.uint16(head, 2);
    const padded = (length + 3) & ~3;
    if (code === options.end) break;
    const room = end - bytes.offset();
    if (padded > room)
      throw bytes.invalid(at + 2, `expected an option length up to ${room}, found ${length}`);
    const wanted = optionLengths.get(code);
    if (wanted === undefined) {
      await bytes.skip(padded, "an option");
      continue;
    }
    if (length !== wanted)
      throw bytes.invalid(at + 2, `expected length ${wanted} of option ${code}, found ${length}`);
    const value = await bytes.take(padded, "an option");
    if (code === options.timestampResolution) resolution = value[0]!;
    else offsetNs = order.int64(value, 0) * nsPerSecond;
  }
  const scale = timeScale(resolution);
  return {
    linkType: order.uint16(fixed, 0),
    snapLength: order.uint32(fixed, 4),
    toNs: (ticks) => scale(ticks) + offsetNs,
  };
}

/** Nanoseconds of a count of ticks: 10^-n seconds each, or 2^-n with the top bit set. */
function timeScale(resolution: number): (ticks: bigint) => bigint {
  const exponent = BigInt(resolution & 0x7f);
  if (resolution >= 0x80) return (ticks) => (ticks * nsPerSecond) >> exponent;
  if (exponent <= 9n) {
    const multiple = 10n ** (9n - exponent);
    return (ticks) => ticks * multiple;
  }
  const divisor = 10n ** (exponent - 9n);
  return (ticks) => ticks / divisor;
}
