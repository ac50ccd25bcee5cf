import { readFileSync } from "node:fs";
import type { RootDatabase } from "lmdb";
import type { Logger } from "../log.ts";
import { clockKey } from "./record-keys.ts";

/** The time by which records end. */
export interface RecordClock {
  /** Unix time in milliseconds, as long as nobody sets the clock forward; not before {@link adjust} has heard of that. */
  now(): number;
  /** `shift` adds milliseconds to the ends of all records, in one transaction with ours. True: it did. */
  adjust(shift: (byMs: number) => void): Promise<boolean>;
}

/** More than a clock that is only slewed gains between two looks. */
const toleratedMs = 3000;
const noteMs = 1000;

/**
 * Ends are wall time, for they outlive a restart of the host. A clock that is set forward (NTP that was away for long)
 * would end all leases, and the quarantines behind them, at once: so we note how far wall time and time since the boot
 * are apart, and whoever of the processes sees a leap first lengthens all records by it. Set back, all live longer.
 */
export function createRecordClock(
  db: RootDatabase<string, string>,
  write: <T>(work: () => T) => Promise<T>,
  log: Logger,
): RecordClock {
  const boot = readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
  const apartMs = () => Math.round(Date.now() - Number(process.hrtime.bigint() / 1000n) / 1000);

  /** Since it was noted; undefined: it wasn't since this host was started. */
  function driftMs(): number | undefined {
    const [noted, apart] = (db.get(clockKey) ?? "").split(" ");
    return noted === boot ? apartMs() - Number(apart) : undefined;
  }

  function leapMs(): number {
    const drift = driftMs() ?? 0;
    return drift > toleratedMs ? drift : 0;
  }

  return {
    now: () => Date.now() - leapMs(),
    async adjust(shift) {
      if (Math.abs(driftMs() ?? noteMs) < noteMs) return false;
      const leap = await write(() =>
        db.transactionSync(() => {
          const byMs = leapMs();
          if (byMs > 0) shift(byMs);
          db.put(clockKey, `${boot} ${apartMs()}`).catch(() => {});
          return byMs;
        }),
      );
      if (leap > 0)
        log.warn(
          `the clock was set forward by ${Math.round(leap / 1000)} s: all leases and quarantines end as much later`,
        );
      return leap > 0;
    },
  };
}
