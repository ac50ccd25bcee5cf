/** EDNS padding (RFC 7830): over TLS a question's length shall not tell which name it has. */
import type { Asked } from "./asked.ts";
import { type Message, scanMessage, u16 } from "./message.ts";

const paddingOption = 12;
/** RFC 8467 §4.1: clients pad to multiples of this. */
const block = 128;
const optionHeader = 4;
const longestMessage = 0xffff;

/** The question in a multiple of 128 bytes; as it is where it has no OPT record to take the padding, is signed, or would be too long. */
export function pad({ bytes, opt, signed }: Asked): Uint8Array {
  if (opt === undefined || signed || opt.end !== bytes.length || findPadding(bytes, opt)) return bytes;
  const size = Math.ceil((bytes.length + optionHeader) / block) * block;
  if (size > longestMessage) return bytes;
  const padded = new Uint8Array(size);
  padded.set(bytes);
  const length = size - bytes.length - optionHeader;
  padded[bytes.length + 1] = paddingOption;
  padded[bytes.length + 3] = length;
  const rdlength = opt.end - opt.rdata + optionHeader + length;
  padded[opt.rdata - 2] = rdlength >>> 8;
  padded[opt.rdata - 1] = rdlength & 255;
  return padded;
}

/** A client that did not pad gets no padding back. */
export function unpad(reply: Message): Message {
  const { bytes, opt } = reply;
  const found = opt && findPadding(bytes, opt);
  if (opt === undefined || found === undefined) return reply;
  const shorter = new Uint8Array(bytes.length - (found.end - found.start));
  shorter.set(bytes.subarray(0, found.start));
  shorter.set(bytes.subarray(found.end), found.start);
  const rdlength = opt.end - opt.rdata - (found.end - found.start);
  shorter[opt.rdata - 2] = rdlength >>> 8;
  shorter[opt.rdata - 1] = rdlength & 255;
  return scanMessage(shorter) ?? reply;
}

function findPadding(bytes: Uint8Array, { rdata, end }: { rdata: number; end: number }) {
  for (let start = rdata; start + optionHeader <= end; ) {
    const next = start + optionHeader + u16(bytes, start + 2);
    if (next > end) return undefined;
    if (u16(bytes, start) === paddingOption) return { start, end: next };
    start = next;
  }
  return undefined;
}
