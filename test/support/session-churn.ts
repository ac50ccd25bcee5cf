/**
 * Worker thread: an engine with few places whose sessions come and go as fast as they can, and whose fields all tell the
 * same number. → its memory, then nothing until it is terminated.
 */
import { parentPort } from "node:worker_threads";
import { startLab } from "./engine.ts";
import { flow44, fromPod } from "./flows.ts";
import { buildPacket, SYN } from "./packets.ts";

const lab = await startLab({ sizes: { maxSessions: 64, maxMappings: 16 } });
const batches = Array.from({ length: 50 }, (_, batch) =>
  Array.from({ length: 40 }, (_, i) => {
    const n = 1 + batch * 5 + (i % 5);
    return buildPacket(
      fromPod({ ...flow44, pod: `10.1.${n}.${n}`, seen: `192.0.${n}.${n}` }, "tcp", n * 257, {
        tcpFlags: SYN,
        destinationPort: n * 257,
      }),
    );
  }),
);
parentPort?.postMessage({ buffer: lab.engine.bytes.buffer, layout: lab.engine.layout });
for (let now = 0; ; ) {
  for (const batch of batches) {
    lab.push(batch, now);
    now += 10_000;
    lab.sweep(now);
  }
}
