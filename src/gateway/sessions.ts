import { setTimeout as pause, setImmediate as turn } from "node:timers/promises";
import type { ListedSession, SessionChange, SessionPage, SessionQuery } from "../admin/view.ts";
import { mappedBytes } from "../engine/address-form.ts";
import type { EngineMemory } from "../engine/memory.ts";
import { decodingCost, openSessionStream, type SessionEvent } from "../engine/session-stream.ts";
import { openSessionTable, podWords, type SessionRecord } from "../engine/session-table.ts";
import { Eg46Error } from "../errors.ts";

/** Places or changes between two turns of the event loop, or an eighth as many decoded sessions: DNS must not wait. */
const slice = 4096;
const pollMs = 100;
/** Each has five bytes a place of every session table. */
const maxWatchers = 4;

export interface Sessions {
  max(): number;
  page(query: SessionQuery): Promise<SessionPage>;
  watch(pod: string | undefined, signal: AbortSignal): AsyncIterable<readonly SessionChange[]>;
}

/** The sessions of all workers, read in their engines' memory. A session's id is worker-place-generation. */
export function createSessions(memories: readonly EngineMemory[]): Sessions {
  const tables = memories.map(openSessionTable);
  const watching = new Set<AbortSignal>();

  async function page({ pod, limit, after }: SessionQuery): Promise<SessionPage> {
    const words = pod === undefined ? undefined : podWords(mappedBytes(pod));
    const sessions: ListedSession[] = [];
    let [worker = 0, place = 0] = after?.split("-").map(Number) ?? [];
    let spent = 0;
    for (; worker < tables.length; worker++, place = 0) {
      const table = tables[worker]!;
      for (; place < table.places(); place++) {
        const session = words === undefined ? table.read(place) : table.readOf(words, place);
        if (session !== undefined) {
          if (sessions.length === limit) return { sessions, next: `${worker}-${place}` };
          sessions.push(listed(worker, session));
          spent += decodingCost;
        }
        if (++spent < slice) continue;
        await turn();
        spent = 0;
      }
    }
    return { sessions };
  }

  function watch(pod: string | undefined, signal: AbortSignal): AsyncIterable<readonly SessionChange[]> {
    if (watching.size === maxWatchers)
      throw new Eg46Error("EG46_ADMIN_BUSY", `${maxWatchers} readers follow the sessions already`);
    const changes = follow(pod === undefined ? undefined : podWords(mappedBytes(pod)), signal);
    // Nobody may ever ask for the first change.
    if (!signal.aborted) watching.add(signal);
    signal.addEventListener("abort", () => watching.delete(signal), { once: true });
    return changes;
  }

  async function* follow(
    words: Uint32Array | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<readonly SessionChange[]> {
    try {
      const streams = memories.map((memory) => openSessionStream(memory, words));
      while (!signal.aborted) {
        let busy = false;
        for (const [worker, stream] of streams.entries()) {
          const { events, more } = stream.next(slice);
          busy ||= more;
          yield events.map((event) => changeOf(worker, event));
        }
        // An abort only ends the pause early.
        await (busy ? turn() : pause(pollMs, undefined, { signal }).catch(() => {}));
      }
    } finally {
      watching.delete(signal);
    }
  }

  return { max: () => tables.reduce((sum, { max }) => sum + max, 0), page, watch };
}

function changeOf(worker: number, event: SessionEvent): SessionChange {
  if (event.change === "gap") return { change: "gap", worker };
  if (event.change === "ended") return { change: "ended", id: idOf(worker, event) };
  return { change: event.change, session: listed(worker, event.session) };
}

function listed(worker: number, { place, generation, ...session }: SessionRecord): ListedSession {
  return { id: idOf(worker, { place, generation }), worker, ...session };
}

function idOf(worker: number, { place, generation }: Pick<SessionRecord, "place" | "generation">): string {
  return `${worker}-${place}-${generation}`;
}
