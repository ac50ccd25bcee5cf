/**
 * One question, several upstreams: the best is asked first, the next when it says no or is late; the first good answer
 * wins. A mute upstream costs its patience (at most 0.6 s), not the question.
 */
import { Eg46Error } from "../errors.ts";
import type { Health } from "./health.ts";
import { type Message, rcode, rcodeOf } from "./message.ts";
import type { Upstream } from "./upstream.ts";

export interface Member {
  readonly upstream: Upstream;
  readonly health: Health;
}

/** Clients give up after 5 s (resolv.conf), some after 3. */
export const deadlineMs = 2500;
/** Once an upstream has answered with a failure, the others get no more than this to do better. */
const secondOpinionMs = 800;
const maxAttempts = 6;

interface Attempt {
  readonly member: Member;
  readonly startedAt: number;
  open: boolean;
}

/** Rejects with EG46_UPSTREAM_UNAVAILABLE within {@link deadlineMs}. */
export function race(query: Uint8Array, whole: boolean, members: readonly Member[]): Promise<Message> {
  // Configuration order among equals; the sick come last.
  const order = members.toSorted((a, b) => Number(b.health.good()) - Number(a.health.good()));
  const stop = new AbortController();
  const startedAt = performance.now();
  const attempts: Attempt[] = [];
  const refused = new Set<Member>();
  let failureReply: Message | undefined;

  return new Promise((resolve, reject) => {
    let patience: NodeJS.Timeout | undefined;
    let deadline = setTimeout(giveUp, deadlineMs);

    function finish(): void {
      clearTimeout(patience);
      clearTimeout(deadline);
      stop.abort(new Error("no longer needed"));
    }

    function giveUp(): void {
      blame(attempts);
      finish();
      if (failureReply !== undefined) {
        resolve(failureReply);
        return;
      }
      const names = members.map(({ upstream }) => upstream.address).join(", ");
      reject(
        new Eg46Error("EG46_UPSTREAM_UNAVAILABLE", `no answer from the DNS upstreams ${names || "(none)"}`),
      );
    }

    /** Whoever has been given its time and is still silent. */
    function blame(late: readonly Attempt[], except?: Member): void {
      const silent = new Set(late.filter(({ open }) => open).map(({ member }) => member));
      for (const member of silent) if (member !== except && !refused.has(member)) member.health.silent(query);
    }

    function tries(member: Member): number {
      return attempts.filter((attempt) => attempt.member === member).length;
    }

    function attemptNext(): void {
      clearTimeout(patience);
      const [member] = order.filter((one) => !refused.has(one)).toSorted((a, b) => tries(a) - tries(b));
      if (member === undefined) {
        giveUp();
        return;
      }
      if (attempts.length >= maxAttempts) return;
      const round = tries(member);
      const attempt: Attempt = { member, startedAt: performance.now(), open: true };
      attempts.push(attempt);
      patience = setTimeout(attemptNext, member.health.patienceMs() * 2 ** round);
      member.upstream.resolve(query, { whole, signal: stop.signal }).then(
        (reply) => answered(attempt, reply),
        () => failed(attempt),
      );
    }

    function answered(attempt: Attempt, reply: Message): void {
      attempt.open = false;
      if (stop.signal.aborted) return;
      const { member } = attempt;
      const code = rcodeOf(reply);
      if (code === rcode.SERVFAIL || code === rcode.REFUSED) {
        refusedBy(member, reply);
        return;
      }
      member.health.answered(query, performance.now() - attempt.startedAt);
      blame(attempts.slice(0, attempts.indexOf(attempt)), member);
      finish();
      resolve(reply);
    }

    function refusedBy(member: Member, reply: Message): void {
      if (!refused.has(member)) member.health.refused(query);
      refused.add(member);
      if (failureReply === undefined) {
        failureReply = reply;
        clearTimeout(deadline);
        deadline = setTimeout(
          giveUp,
          Math.min(secondOpinionMs, deadlineMs - (performance.now() - startedAt)),
        );
      }
      attemptNext();
    }

    function failed(attempt: Attempt): void {
      attempt.open = false;
      if (stop.signal.aborted) return;
      attempt.member.health.silent(query);
      // Those not asked yet get their turn at once; second tries keep to the timer, lest we spin.
      if (order.some((member) => tries(member) === 0)) attemptNext();
    }

    attemptNext();
  });
}
