/** One question over a TCP connection of its own (RFC 7766). */
import { connect } from "node:net";
import { createFrameReader, frame } from "./framing.ts";
import { type Message, patchId, readQuestion } from "./message.ts";
import { matchReply } from "./upstream-reply.ts";

/** Rejects when the connection fails or ends without a reply, or the signal aborts. */
export function askTcp(
  address: string,
  port: number,
  query: Uint8Array,
  id: number,
  signal: AbortSignal,
): Promise<Message> {
  const question = readQuestion(query);
  if (question === undefined) return Promise.reject(new TypeError("not a DNS question"));
  const bytes = Uint8Array.from(query);
  patchId(bytes, id);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: address, port, noDelay: true });
    const reader = createFrameReader();
    const settle = () => {
      signal.removeEventListener("abort", abort);
      socket.destroy();
    };
    const fail = (error: Error) => {
      settle();
      reject(error);
    };
    const abort = () => fail(signal.reason as Error);
    if (signal.aborted) return abort();
    signal.addEventListener("abort", abort);
    socket.on("error", fail);
    socket.on("close", () => fail(new Error(`${address} closed the connection without a reply`)));
    socket.on("data", (chunk) => {
      reader.push(chunk);
      for (let message = reader.next(); message !== undefined; message = reader.next()) {
        const reply = matchReply(bytes, question, message);
        if (reply === undefined) continue;
        settle();
        resolve(reply);
        return;
      }
    });
    socket.write(frame(bytes));
  });
}
