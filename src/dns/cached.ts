/** The cache before the proxy: fresh answers, answers asked anew before they end, and stale ones in need (RFC 8767). */
import type { AnswerCache } from "./cache.ts";
import { rcode, u16 } from "./message.ts";
import type { Transport } from "./proxy.ts";

interface WithTransport {
  readonly transport: Transport;
}
interface WithBytes {
  readonly bytes: Uint8Array;
}

/** `Asking`: how a client asks; `Answer`: what it gets. Nothing here rejects. */
export interface CachedParts<Asking extends WithTransport, Answer extends WithBytes> {
  readonly cache: AnswerCache | undefined;
  /** Answers a client, whatever it costs. */
  ask(query: Uint8Array, asking: Asking): Promise<Answer | undefined>;
  /** Asks for the cache's sake: nobody waits for it, nothing is counted. */
  askAnew(query: Uint8Array, transport: Transport): Promise<Uint8Array | undefined>;
  /** Whether the mappings in a stale answer of DNS46 stand. */
  stands(reply: Uint8Array): Promise<boolean>;
  /** For a client, out of the cache; a stale one only after ask(). */
  remembered(bytes: Uint8Array, source: "cache" | "stale"): Answer;
}

export interface CachedAnswers<Asking, Answer> {
  /** Reads `query` only before it returns. */
  handle(query: Uint8Array, asking: Asking): Promise<Answer | undefined>;
  /** For another cache, whose answer to this ends soon. */
  refresh(query: Uint8Array, transport: Transport): Promise<Uint8Array | undefined>;
}

/** RFC 8767 §5: so long the upstreams have before a stale answer is given. */
const patienceMs = 1800;

export function throughCache<Asking extends WithTransport, Answer extends WithBytes>({
  cache,
  ask,
  askAnew,
  stands,
  remembered,
}: CachedParts<Asking, Answer>): CachedAnswers<Asking, Answer> {
  if (cache === undefined)
    return { handle: (query, asking) => ask(new Uint8Array(query), asking), refresh: askAnew };
  const known = cache;

  async function askAndKeep(query: Uint8Array, asking: Asking): Promise<Answer | undefined> {
    const changes = known.changes();
    const answer = await ask(query, asking);
    if (answer !== undefined) known.keep(query, answer.bytes, changes);
    return answer;
  }

  async function renew(query: Uint8Array, transport: Transport): Promise<Uint8Array | undefined> {
    const changes = known.changes();
    const reply = await askAnew(query, transport);
    if (reply !== undefined) known.keep(query, reply, changes);
    return reply;
  }

  /** There is a stale answer now; whether it is good must be asked when it is needed. */
  async function inTime(query: Uint8Array, asking: Asking): Promise<Answer | undefined> {
    const asked = askAndKeep(query, asking);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(resolve, patienceMs, undefined);
    });
    const first = await Promise.race([asked, late]);
    clearTimeout(timer);
    if (first !== undefined && !isFailure(first.bytes)) return first;
    const stale = known.stale(query, asking.transport);
    if (stale === undefined || (stale.synthesized && !(await stands(stale.reply)))) return await asked;
    return remembered(stale.reply, "stale");
  }

  return {
    async handle(bytes, asking) {
      const { transport } = asking;
      const found = known.find(bytes, transport);
      if (found !== undefined) {
        if (found.refresh) void renew(new Uint8Array(bytes), transport);
        return remembered(found.reply, "cache");
      }
      const query = new Uint8Array(bytes);
      return await (known.hasStale(query, transport) ? inTime(query, asking) : askAndKeep(query, asking));
    },
    async refresh(query, transport) {
      return known.renewed(query, transport) ?? (await renew(query, transport));
    },
  };
}

function isFailure(reply: Uint8Array): boolean {
  const code = u16(reply, 2) & 15;
  return code === rcode.SERVFAIL || code === rcode.REFUSED;
}
