/** A reply that came over a stream, for a client that asked over UDP. */
import type { Asked } from "./asked.ts";
import { udpSize } from "./asked.ts";
import { flag, type Message, scanMessage } from "./message.ts";
import { ourUdpSize } from "./query.ts";

/** RFC 2181 §9: where it is larger than the client can take or fits a datagram, the question with TC, so that the client comes by TCP. */
export function cutToUdp(asked: Asked, reply: Message): Message {
  const { bytes, question, opt } = reply;
  if (bytes.length <= Math.min(ourUdpSize, udpSize(asked))) return reply;
  const options = opt === undefined ? new Uint8Array(0) : bytes.subarray(opt.owner, opt.end);
  const cut = new Uint8Array(question.end + options.length);
  cut.set(bytes.subarray(0, question.end));
  cut.set(options, question.end);
  cut[2]! |= flag.tc >>> 8;
  cut.fill(0, 6, 12);
  cut[11] = opt === undefined ? 0 : 1;
  return scanMessage(cut) ?? reply;
}
