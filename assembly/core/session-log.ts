/**
 * Sessions as a stream of changes, for readers in other threads that must not stop this one: a ring of the last changes,
 * and a generation for each place of the session table.
 *
 * A generation is odd while the place holds a session. Whoever reads it, the session, and the same generation again, has
 * read that session whole; only tcpState and lastSeenMs may be newer. The atomic operations keep stores in this order for
 * other processors.
 */
import { reserve } from "./arena";
import { TcpState } from "./tcp-state";

/** What a record of the ring tells. */
export enum Change {
  /** A session has the place. */
  CREATED = 1,
  /** A TCP session is established, or has begun to end. */
  CHANGED = 2,
  /** The session of that generation is over. */
  ENDED = 3,
}

@unmanaged
@final
export class ChangeRecord {
  /** Its number, modulo 2³²: place in the ring = sequence modulo capacity. */
  sequence: u32;
  /** Of the session table. */
  place: u32;
  generation: u32;
  /** A Change, and the TcpState after it. */
  change: u16;
  state: u16;
}
if (offsetof<ChangeRecord>() != 16) ERROR("ChangeRecord must be 16 bytes");

@unmanaged
@final
export class SessionLog {
  /** Changes ever written, modulo 2³². The next one overwrites the record of `written - capacity`. */
  written: u32;
  /** Places of the session table that were ever used. */
  places: u32;
  /** The engine's time at its last tick: what createdMs and lastSeenMs are to be compared with. */
  nowMs: u32;
  reserved: u32;
}
if (offsetof<SessionLog>() != 16) ERROR("SessionLog must be 16 bytes");

export const CHANGE_CAPACITY: u32 = 65_536;
const RING = memory.data(16 * 65_536, 64);
const RECORD = memory.data(16, 64);
export const changeRing: usize = RING;
export const sessionLog: SessionLog = changetype<SessionLog>(RECORD);
/** A u32 for each place of the session table. */
export let generations: usize = 0;

export function initSessionLog(count: u32): bool {
  generations = reserve(<u64>count << 2);
  return generations != 0;
}

/** The session at the place is complete. */
export function logCreated(place: u32, state: TcpState): void {
  const generation = generationOf(place) + 1;
  append(place, generation, generation, Change.CREATED, state);
}

export function logChanged(place: u32, state: TcpState): void {
  const generation = generationOf(place);
  append(place, generation, generation, Change.CHANGED, state);
}

/** Before anything of the session is overwritten. */
export function logEnded(place: u32): void {
  const generation = generationOf(place);
  append(place, generation, generation + 1, Change.ENDED, TcpState.INIT);
}

// @ts-ignore: decorator
@inline
function generationOf(place: u32): u32 {
  return load<u32>(generations + (<usize>place << 2));
}

/** `next` is the place's generation from here on. */
function append(place: u32, generation: u32, next: u32, change: Change, state: TcpState): void {
  const sequence = sessionLog.written;
  const record = changetype<ChangeRecord>(RING + (<usize>(sequence & (CHANGE_CAPACITY - 1)) << 4));
  record.sequence = sequence;
  record.place = place;
  record.generation = generation;
  record.change = <u16>change;
  record.state = <u16>state;
  // A new session's content is seen before its generation …
  atomic.store<u32>(generations + (<usize>place << 2), next);
  // … and all of that before what is overwritten from here on: an ended session, the oldest record.
  atomic.add<u32>(RECORD + offsetof<SessionLog>("written"), 1);
}
