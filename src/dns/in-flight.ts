/** Questions under way, by their bytes: a hash table, since a string a question would cost more than the look-up. */
import { headerLength, type Message, readQuestion } from "./message.ts";
import { foldOctet } from "./name.ts";
import { random16 } from "./random-bits.ts";

export interface InFlight {
  readonly query: Uint8Array;
  readonly whole: boolean;
  /** Of the resolver: what upstreams that are no longer ours say is nobody's who asks later. */
  readonly generation: number;
  readonly reply: Promise<Message>;
  echoes: number;
}

interface Entry extends InFlight {
  readonly hash: number;
  next: Entry | undefined;
}

export interface InFlightTable {
  /**
   * The ID and letter case (RFC 4343) are free, everything else is part of the question: were the case, too, a forger
   * could have one question asked many times at once.
   */
  find(query: Uint8Array, whole: boolean, generation: number): InFlight | undefined;
  /** Forgotten once `reply` is settled. */
  add(query: Uint8Array, whole: boolean, generation: number, reply: Promise<Message>): void;
  readonly size: number;
}

const buckets = 8192;

export function createInFlightTable(): InFlightTable {
  const heads: (Entry | undefined)[] = new Array(buckets).fill(undefined);
  /** Whoever chooses the names can't choose the buckets. */
  const seed = (random16() << 16) | random16();
  let size = 0;

  function hashOf(query: Uint8Array, whole: boolean): number {
    let hash = whole ? ~seed : seed;
    for (let offset = 2; offset < query.length; offset++)
      hash = Math.imul(hash ^ foldOctet(query[offset]!), 0x01000193);
    return hash ^ (hash >>> 15);
  }

  function remove(entry: Entry): void {
    const place = entry.hash & (buckets - 1);
    let before: Entry | undefined;
    for (let each = heads[place]; each !== entry && each !== undefined; each = each.next) before = each;
    if (before === undefined) heads[place] = entry.next;
    else before.next = entry.next;
    entry.next = undefined;
    size--;
  }

  return {
    find(query, whole, generation) {
      const hash = hashOf(query, whole);
      for (let entry = heads[hash & (buckets - 1)]; entry !== undefined; entry = entry.next)
        if (
          entry.hash === hash &&
          entry.whole === whole &&
          entry.generation === generation &&
          sameBut(entry.query, query)
        )
          return entry;
    },
    add(query, whole, generation, reply) {
      const hash = hashOf(query, whole);
      const place = hash & (buckets - 1);
      const entry: Entry = { query, whole, generation, reply, echoes: 0, hash, next: heads[place] };
      heads[place] = entry;
      size++;
      const over = () => remove(entry);
      reply.then(over, over);
    },
    get size() {
      return size;
    },
  };
}

/** The same but for the ID and the letter case of the name. */
function sameBut(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  const nameEnd = readQuestion(a)?.nameEnd ?? 0;
  for (let offset = 2; offset < a.length; offset++) {
    const [one, other] = [a[offset]!, b[offset]!];
    if (one === other) continue;
    const inName = offset >= headerLength && offset < nameEnd;
    if (!inName || foldOctet(one) !== foldOctet(other)) return false;
  }
  return true;
}
