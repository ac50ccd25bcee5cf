/**
 * One question, several upstreams: the best is asked first, the next when it says no or is late; the first good answer
 * wins. A mute upstream costs its patience (at most 0.6 s), not the question.
 */
import type { Deadlines, Waiting } from "../deadlines.ts";
import { Eg46Error } from "../errors.ts";
import type { Asked } from "./asked.ts";
import type { Health } from "./health.ts";
import { type Message, rcode, rcodeName, rcodeOf } from "./message.ts";
import type { Ticket, Upstream } from "./upstream.ts";

export interface Member {
  readonly upstream: Upstream;
  readonly health: Health;
}

/** Clients give up after 5 s (resolv.conf), some after 3. */
export const deadlineMs = 2500;
/** Once an upstream has answered with a failure, the others get no more than this to do better. */
const secondOpinionMs = 800;
const maxAttempts = 6;
/** A network that says no so often to each of them won't say yes within the deadline. */
const triesOfEach = 3;

interface Attempt {
  readonly member: Member;
  readonly startedAt: number;
  open: boolean;
  ticket: Ticket | undefined;
}

export interface Outcome {
  /** A good answer or, when there was none, the first failure (SERVFAIL, REFUSED). */
  resolve(reply: Message): void;
  /** EG46_UPSTREAM_UNAVAILABLE. */
  reject(error: Eg46Error): void;
}

/** A step, for people: `what` is asked, an RCODE name, or an error's text; `ms` since the question came. */
export type Trace = (upstream: string, what: string, ms: number) => void;

/** Ends within {@link deadlineMs}. */
export function race(
  asked: Asked,
  whole: boolean,
  members: readonly Member[],
  deadlines: Deadlines,
  outcome: Outcome,
  trace?: Trace,
): void {
  const attempts: Attempt[] = [];
  const refused: Member[] = [];
  let failureReply: Message | undefined;
  let over = false;
  const began = performance.now();
  let giveUpAt = began + deadlineMs;
  let nextAt = Number.POSITIVE_INFINITY;
  const waiting: Waiting = {
    wakeAt: giveUpAt,
    place: -1,
    wake(now) {
      if (now >= giveUpAt) giveUp();
      else attemptNext();
      waiting.wakeAt = Math.min(giveUpAt, nextAt);
    },
  };

  function finish(): void {
    over = true;
    deadlines.delete(waiting);
    for (const { open, ticket } of attempts) if (open) ticket?.cancel();
  }

  function giveUp(): void {
    blame(attempts.length);
    finish();
    if (failureReply !== undefined) {
      outcome.resolve(failureReply);
      return;
    }
    const names = members.map(({ upstream }) => upstream.address).join(", ");
    outcome.reject(
      new Eg46Error("EG46_UPSTREAM_UNAVAILABLE", `no answer from the DNS upstreams ${names || "(none)"}`),
    );
  }

  /** Whoever of the first `count` has been given its time and is still silent. */
  function blame(count: number, except?: Member): void {
    const silent: Member[] = [];
    for (let index = 0; index < count; index++) {
      const { open, member } = attempts[index]!;
      if (!open || member === except || refused.includes(member) || silent.includes(member)) continue;
      silent.push(member);
      member.health.silent(asked);
    }
  }

  function tries(member: Member): number {
    let count = 0;
    for (const attempt of attempts) if (attempt.member === member) count++;
    return count;
  }

  function triedEnough(): boolean {
    return attempts.length >= maxAttempts || members.every((member) => tries(member) >= triesOfEach);
  }

  /** The least tried, the well before the sick, in the order of configuration; none of those that said no. */
  function best(): Member | undefined {
    let found: Member | undefined;
    let foundRank = Number.POSITIVE_INFINITY;
    for (const member of members) {
      if (refused.includes(member)) continue;
      const rank = tries(member) * 2 + (member.health.good() ? 0 : 1);
      if (rank < foundRank) [found, foundRank] = [member, rank];
    }
    return found;
  }

  function attemptNext(): void {
    nextAt = Number.POSITIVE_INFINITY;
    const member = best();
    if (member === undefined) giveUp();
    if (member === undefined || attempts.length >= maxAttempts) return;
    const round = tries(member);
    const startedAt = performance.now();
    const attempt: Attempt = { member, startedAt, open: true, ticket: undefined };
    attempts.push(attempt);
    nextAt = startedAt + member.health.patienceMs() * 2 ** round;
    waiting.wakeAt = Math.min(giveUpAt, nextAt);
    member.health.asked();
    trace?.(member.upstream.address, "asked", startedAt - began);
    try {
      attempt.ticket = member.upstream.ask(asked, whole, {
        answered: (reply) => answered(attempt, reply),
        failed: (error) => failed(attempt, error),
      });
    } catch (error) {
      failed(attempt, error as Error);
    }
  }

  function answered(attempt: Attempt, reply: Message): void {
    attempt.open = false;
    if (over) return;
    const { member } = attempt;
    const code = rcodeOf(reply);
    trace?.(member.upstream.address, rcodeName(code), performance.now() - began);
    if (code === rcode.SERVFAIL || code === rcode.REFUSED) {
      refusedBy(member, reply);
      return;
    }
    member.health.answered(asked, performance.now() - attempt.startedAt);
    if (attempts.length > 1) blame(attempts.indexOf(attempt), member);
    finish();
    outcome.resolve(reply);
  }

  function refusedBy(member: Member, reply: Message): void {
    if (!refused.includes(member)) {
      member.health.refused(asked);
      refused.push(member);
    }
    if (failureReply === undefined) {
      failureReply = reply;
      waiting.wakeAt = giveUpAt = Math.min(giveUpAt, performance.now() + secondOpinionMs);
    }
    attemptNext();
  }

  function failed(attempt: Attempt, { message }: Error): void {
    attempt.open = false;
    if (over) return;
    trace?.(attempt.member.upstream.address, message, performance.now() - began);
    attempt.member.health.silent(asked);
    // Those not asked yet get their turn at once; second tries keep to the timer, lest we spin.
    if (members.some((member) => tries(member) === 0)) attemptNext();
    else if (!attempts.some(({ open }) => open) && triedEnough()) giveUp();
  }

  deadlines.add(waiting);
  attemptNext();
}
