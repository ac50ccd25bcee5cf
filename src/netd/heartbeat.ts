import { createLiveness } from "../liveness.ts";

/** With five looks, a process that hangs is ended after five to six seconds. */
const lookEveryMs = 1000;
const patience = 5;
/** A start may take long on a busy machine. */
const startPatience = 30;

export interface Heartbeat {
  answered(): void;
  stop(): void;
}

/** Calls `ping` every second, and once, when the answers stay away, `hangs`. */
export function startHeartbeat(ping: () => void, hangs: () => void): Heartbeat {
  let liveness = createLiveness(startPatience);
  let started = false;
  const timer = setInterval(() => {
    if (liveness.look()) return ping();
    clearInterval(timer);
    hangs();
  }, lookEveryMs);
  return {
    answered() {
      if (!started) liveness = createLiveness(patience);
      started = true;
      liveness.alive();
    },
    stop: () => clearInterval(timer),
  };
}
