/**
 * Whether somebody who is looked at regularly still shows signs of life. Looks are counted, not seconds: after a pause
 * of this process (SIGSTOP, a suspended machine), in which the other one may not have run either, a timer fires once.
 */
export interface Liveness {
  /** A sign of life. */
  alive(): void;
  /** One look. False: the last `patience` looks went by without a sign. */
  look(): boolean;
}

export function createLiveness(patience: number): Liveness {
  let missed = 0;
  return {
    alive() {
      missed = 0;
    },
    look: () => ++missed <= patience,
  };
}
