/**
 * Undo steps that run even if the process ends by a signal or an uncaught error. They are synchronous, so that
 * they can run while the process exits, and each tolerates being run when there is nothing to undo.
 */
export interface Cleanup {
  defer(undo: () => void): void;
  /** Runs the undo steps, last first; afterwards there are none. */
  run(): void;
}

const pending = new Set<Cleanup>();

process.once("exit", () => {
  for (const cleanup of pending) cleanup.run();
});

export function createCleanup(): Cleanup {
  const steps: (() => void)[] = [];
  const cleanup: Cleanup = {
    defer(undo) {
      steps.push(undo);
      pending.add(cleanup);
    },
    run() {
      for (let undo = steps.pop(); undo !== undefined; undo = steps.pop()) attempt(undo);
      pending.delete(cleanup);
    },
  };
  return cleanup;
}

/** One step that fails must not keep the others from being made. */
function attempt(undo: () => void): void {
  try {
    undo();
  } catch (error) {
    process.stderr.write(`clean-up: ${(error as Error).message}\n`);
  }
}

export const endingSignals = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/** Without a handler a signal ends the process with no exit event, and so without clean-up. */
export function exitOnSignals(): void {
  for (const [signal, code] of Object.entries(endingSignals)) process.on(signal, () => process.exit(code));
}
