import { MessageChannel, Worker } from "node:worker_threads";
import type { Lifetime } from "../dns/lifetime.ts";
import { addressText } from "../engine/address-form.ts";
import { addCounters, type EngineCounters, readCounters } from "../engine/counters.ts";
import type { MappingSink } from "../engine/mapping-sink.ts";
import type { EngineMemory } from "../engine/memory.ts";
import type { EngineOptions } from "../engine/options.ts";
import type { EngineSettings } from "../engine/settings.ts";
import { Eg46Error } from "../errors.ts";
import { createLiveness } from "../liveness.ts";
import { createDoorbell } from "./doorbell.ts";
import type { FromWorker, ToWorker, WorkerStart } from "./messages.ts";

/** What workers leave to the main thread. */
export interface WorkerEvents {
  /**
   * `client` gives the sender's address. `refresh`: a cached answer ends soon, nobody waits. The answer is kept for
   * `lifetime`, if there is one.
   */
  dns(
    question: Uint8Array,
    client: () => string,
    refresh: boolean,
    reply: (answer: Uint8Array, lifetime?: Lifetime) => void,
  ): void;
  ask(nat4: number): void;
  /** A worker died: its traffic is refused from here on. */
  failed(error: Error): void;
}

export interface Workers extends MappingSink {
  readonly count: number;
  /** One entry a worker; resolves when all engines have the settings. */
  configure(settings: readonly EngineSettings[]): Promise<void>;
  unknown(nat4: number, timeout: boolean): void;
  /** DNS answers that the engines have kept are no longer good. */
  flushDns(): void;
  /** Sum over the workers, as of now. */
  counters(): EngineCounters;
  /** Of each worker's engine, for readers that don't stop it. */
  readonly memories: readonly EngineMemory[];
  stop(): Promise<void>;
}

interface Running {
  post(message: ToWorker): void;
  request(message: (id: number) => ToWorker): Promise<void>;
  readonly memory: EngineMemory;
  stop(): Promise<void>;
}

/** An idle worker makes ten turns a second. */
const lookEveryMs = 1000;
const patience = 5;

/** One worker thread a TUN descriptor. */
export async function startWorkers(
  tuns: readonly number[],
  options: EngineOptions,
  events: WorkerEvents,
): Promise<Workers> {
  const workers = await Promise.all(tuns.map((tun, index) => startWorker(index, tun, options, events)));
  const memories = workers.map(({ memory }) => memory);
  const everywhere = async (message: (id: number) => ToWorker) => {
    await Promise.all(workers.map((worker) => worker.request(message)));
  };
  return {
    count: workers.length,
    install: (nat4, host6) => everywhere((id) => ({ type: "install", id, nat4, host6 })),
    remove: (nat4) => everywhere((id) => ({ type: "remove", id, nat4 })),
    async configure(settings) {
      await Promise.all(
        workers.map((worker, index) =>
          worker.request((id) => ({ type: "configure", id, settings: settings[index]! })),
        ),
      );
    },
    unknown(nat4, timeout) {
      for (const worker of workers) worker.post({ type: "unknown", nat4, timeout });
    },
    flushDns() {
      for (const worker of workers) worker.post({ type: "flush-dns" });
    },
    counters: () => addCounters(memories.map(({ buffer, layout }) => readCounters(buffer, layout))),
    memories,
    async stop() {
      await Promise.all(workers.map((worker) => worker.stop()));
    },
  };
}

async function startWorker(
  index: number,
  tun: number,
  options: EngineOptions,
  events: WorkerEvents,
): Promise<Running> {
  const doorbell = createDoorbell();
  const signal = new Int32Array(new SharedArrayBuffer(8));
  const { port1, port2 } = new MessageChannel();
  const start: WorkerStart = { index, tun, wake: doorbell.fd, signal, port: port2, options };
  const thread = new Worker(new URL("./worker.js", import.meta.url), {
    workerData: start,
    transferList: [port2],
  });
  const exited = new Promise<void>((resolve) => thread.once("exit", () => resolve()));

  // By ID, which is a place here; not a Map, see dns/id-table.ts.
  const requests: ({ resolve(): void; reject(error: Error): void } | undefined)[] = [];
  const freeIds: number[] = [];
  let stopping = false;

  let outbox: ToWorker[] = [];

  /** What is posted in one round of the event loop goes together. */
  function post(message: ToWorker): void {
    if (outbox.push(message) === 1) setImmediate(sendAll);
  }

  function sendAll(): void {
    port1.postMessage(outbox);
    outbox = [];
    // One system call wakes the worker for any number of messages.
    if (Atomics.exchange(signal, 0, 1) === 0) doorbell.ring();
  }

  function request(message: (id: number) => ToWorker): Promise<void> {
    return new Promise((resolve, reject) => {
      const id = freeIds.pop() ?? requests.length;
      requests[id] = { resolve, reject };
      post(message(id));
    });
  }

  const started = new Promise<EngineMemory>((resolve, reject) => {
    port1.on("message", (messages: FromWorker[]) => messages.forEach(take));
    function take(message: FromWorker): void {
      switch (message.type) {
        case "started":
          resolve({ buffer: message.memory.buffer, layout: message.layout });
          break;
        case "done": {
          const waiting = requests[message.id];
          requests[message.id] = undefined;
          freeIds.push(message.id);
          if (message.error === undefined) waiting?.resolve();
          else waiting?.reject(new Eg46Error("EG46_ENGINE", message.error));
          break;
        }
        case "ask":
          events.ask(message.nat4);
          break;
        case "dns":
          events.dns(
            message.question,
            () => addressText(message.context.subarray(0, 16)),
            message.refresh,
            (answer, lifetime) =>
              post({
                type: "reply",
                context: message.context,
                answer,
                lifetime,
                refresh: message.refresh,
              }),
          );
      }
    }
    const failed = (cause: Error) => {
      reject(cause);
      for (const waiting of requests.splice(0)) waiting?.reject(cause);
      if (!stopping) events.failed(cause);
    };
    thread.once("error", (cause) =>
      failed(new Eg46Error("EG46_ENGINE", `a worker stopped: ${cause.message}`, { cause })),
    );
    thread.once("exit", () => failed(new Eg46Error("EG46_ENGINE", "a worker ended by itself")));
  });
  const memory = await started;

  const liveness = createLiveness(patience);
  let turns = 0;
  const watch = setInterval(() => {
    if (Atomics.load(signal, 1) !== turns) liveness.alive();
    turns = Atomics.load(signal, 1);
    if (liveness.look()) return;
    clearInterval(watch);
    events.failed(new Eg46Error("EG46_ENGINE", "a worker hangs"));
  }, lookEveryMs);

  return {
    post,
    request,
    memory,
    async stop() {
      stopping = true;
      clearInterval(watch);
      post({ type: "stop" });
      await exited;
      port1.close();
    },
  };
}
