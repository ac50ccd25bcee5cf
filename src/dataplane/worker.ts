/** A data-plane worker: one thread, one TUN, one engine. It shares nothing with other workers. */
import { receiveMessageOnPort, workerData } from "node:worker_threads";
import { createEngine, wireOrder } from "../engine/engine.ts";
import { applyLimits } from "../engine/options.ts";
import { stayOnProcessor } from "./affinity.ts";
import type { FromWorker, ToWorker, WorkerStart } from "./messages.ts";
import { createPump } from "./pump.ts";
import { tunDevice } from "./tun-device.ts";
import { createTurn, now } from "./turn.ts";

const { index, tun, wake, signal, port, options } = workerData as WorkerStart;
stayOnProcessor(index);
const engine = await createEngine(options.sizes);
applyLimits({ buffer: engine.bytes.buffer, layout: engine.layout }, options.limits);
const { exports, bytes } = engine;
/** Go together at the end of a turn: a message costs more than what it says. */
let outbox: FromWorker[] = [];
const send = (message: FromWorker) => void outbox.push(message);
function sendAll(): void {
  if (outbox.length === 0) return;
  port.postMessage(outbox);
  outbox = [];
}
const pump = createPump(engine, tunDevice(tun, bytes), {
  dns: (context, question, refresh) => send({ type: "dns", context, question, refresh }),
  ask: (nat4) => send({ type: "ask", nat4 }),
});

let running = true;
function handle(message: ToWorker): void {
  switch (message.type) {
    case "configure":
      engine.configure(message.settings);
      break;
    case "install":
      engine.installMapping(message.nat4, message.host6, now());
      break;
    case "remove":
      engine.removeMapping(message.nat4);
      break;
    case "unknown":
      exports.mappingUnknown(wireOrder(message.nat4), Number(message.timeout), now());
      break;
    case "reply":
      if (!message.refresh) pump.reply(message.context, message.answer);
      if (message.lifetime) pump.keep(message.context, message.answer, message.lifetime, now());
      break;
    case "flush-dns":
      exports.dnsFlush();
      break;
    case "stop":
      running = false;
  }
}

function drainMessages(): void {
  Atomics.store(signal, 0, 0);
  for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port))
    for (const message of next.message as ToWorker[]) take(message);
  pump.flush();
}

function take(message: ToWorker): void {
  let error: string | undefined;
  try {
    handle(message);
  } catch (caught) {
    // A trap is a bug: the worker ends, and with it the traffic (fail closed).
    if (caught instanceof WebAssembly.RuntimeError) throw caught;
    error = caught instanceof Error ? caught.message : String(caught);
  }
  if ("id" in message)
    send(error === undefined ? { type: "done", id: message.id } : { type: "done", id: message.id, error });
}

const turn = createTurn({ pump, tun, wake, signal, tick: exports.tick, drainMessages, sendAll });
send({ type: "started", memory: exports.memory, layout: engine.layout });
sendAll();
while (running) turn();
sendAll();
port.close();
