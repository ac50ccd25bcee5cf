import { Change, sessionLogOffsets as log, changeRecordOffsets as record, tcpStates } from "./layout.gen.ts";
import type { EngineMemory } from "./memory.ts";
import { openSessionTable, type SessionRecord } from "./session-table.ts";

export type SessionEvent =
  /** present: found when the table was read, at the beginning or after a gap. */
  | { readonly change: "present" | "created" | "changed"; readonly session: SessionRecord }
  /** Only of sessions that were told. */
  | { readonly change: "ended"; readonly place: number; readonly generation: number }
  /** Changes were overwritten before they were read; the table is read again, and what follows is the difference. */
  | { readonly change: "gap" };

export interface SessionStream {
  /**
   * What happened since the last call: first the whole table, then its changes. A call looks at no more than `budget`
   * places or changes, a session that it decodes counts as {@link decodingCost}. `more`: call again as soon as others had
   * their turn; after a gap it is false, as who can't keep up would only fall behind again. A session that ended before it
   * could be read is not told.
   */
  next(budget?: number): { readonly events: SessionEvent[]; readonly more: boolean };
}

/** In places that are only looked at. */
export const decodingCost = 8;

/**
 * Follows one engine's sessions without stopping it. Whoever applies every event has the engine's sessions, a moment
 * later, however far the reader falls behind. `pod` as podWords() gives it: that inner address only.
 */
export function openSessionStream(engine: EngineMemory, pod?: Uint32Array): SessionStream {
  const { buffer, layout } = engine;
  const table = openSessionTable(engine);
  const memory = new Uint32Array(buffer);
  const at = (address: number) => Atomics.load(memory, address >> 2);
  const written = () => at(layout.sessionLog + log.written);
  /** Generation of the session that was told, by place; 0 = none. Pages that aren't used cost no memory. */
  const told = new Uint32Array(table.max);
  /** The TcpState that was told of it. */
  const toldState = new Uint8Array(table.max);
  /** The next change to be read. */
  let cursor = 0;
  /** The next place to be read, or -1: the table has been read. */
  let reading = 0;
  /** A gap has been told: the table is to be read. */
  let behind = false;
  let events: SessionEvent[] = [];
  let spent = 0;

  const read = (place: number) => (pod === undefined ? table.read(place) : table.readOf(pod, place));

  /** Changes from here on are in the ring, whatever the table shows. */
  function readTable(): void {
    cursor = written();
    reading = 0;
  }

  function end(place: number): void {
    events.push({ change: "ended", place, generation: told[place]! });
    told[place] = 0;
  }

  /** Brings what was told of the place up to date. `then`: what the change's record tells. */
  function update(
    place: number,
    change: "present" | "created" | "changed",
    then?: { readonly generation: number; readonly state: number },
  ): void {
    const known = told[place]!;
    const now = table.generation(place);
    const state = then?.generation === now ? then.state : table.tcpState(place);
    if (known !== 0 && known === now && toldState[place] === state) return;
    const found = read(place);
    if (found !== undefined) spent += decodingCost;
    if (known !== 0 && known !== (found?.generation ?? table.generation(place))) end(place);
    if (found === undefined) return;
    const session = found.generation === then?.generation ? stateAs(found, then.state) : found;
    const fresh = told[place] !== session.generation;
    told[place] = session.generation;
    toldState[place] = stateCodes.get(session.state) ?? 0;
    if (fresh) events.push({ change: change === "changed" ? "created" : change, session });
    else if (change !== "created") events.push({ change: "changed", session });
  }

  function follow(sequence: number): boolean {
    const address = layout.changeRing + (sequence & (layout.changeCapacity - 1)) * record.sizeof;
    const [found, place, generation, what] = [
      at(address + record.sequence),
      at(address + record.place),
      at(address + record.generation),
      at(address + record.change),
    ];
    // Read first, judged afterwards: it may have been overwritten meanwhile.
    if (isLost(sequence) || found !== sequence) return false;
    const change = what & 0xffff;
    const then = { generation, state: what >>> 16 };
    if (change !== Change.ENDED) update(place, change === Change.CREATED ? "created" : "changed", then);
    else if (told[place] === generation) end(place);
    return true;
  }

  /** The record that far back may be in the writer's hands. */
  function isLost(sequence: number): boolean {
    return (written() - sequence) >>> 0 >= layout.changeCapacity;
  }

  function next(budget = 4096): { events: SessionEvent[]; more: boolean } {
    events = [];
    spent = 0;
    if (behind) readTable();
    behind = false;
    if (reading >= 0) {
      const places = table.places();
      for (; reading < places && spent < budget; spent++) update(reading++, "present");
      if (reading >= places) reading = -1;
      return { events, more: true };
    }
    for (; spent < budget && cursor !== written(); spent++) {
      if (!follow(cursor)) {
        events.push({ change: "gap" });
        behind = true;
        return { events, more: false };
      }
      cursor = (cursor + 1) >>> 0;
    }
    return { events, more: cursor !== written() };
  }

  readTable();
  return { next };
}

const stateCodes = new Map<string | undefined, number>(tcpStates.map(({ name, code }) => [name, code]));

/** The table may be further than the change. */
function stateAs(session: SessionRecord, state: number): SessionRecord {
  return session.state === undefined ? session : { ...session, state: tcpStates[state]?.name ?? "" };
}
