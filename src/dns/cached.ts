/** The cache before the proxy: fresh answers, answers asked anew before they end, and stale ones in need (RFC 8767). */
import type { AnswerCache } from "./cache.ts";
import { rcode, u16 } from "./message.ts";
import type { Transport } from "./proxy.ts";

/** Never rejects. */
type Ask = (query: Uint8Array, transport: Transport) => Promise<Uint8Array | undefined>;

export interface CachedParts {
  readonly cache: AnswerCache | undefined;
  /** Answers a client, whatever it costs. */
  readonly ask: Ask;
  /** Asks for the cache's sake: nobody waits for it, nothing is counted. */
  readonly askAnew: Ask;
  /** A question was answered without ask(). */
  hit(): void;
}

/** RFC 8767 §5: so long the upstreams have before a stale answer is given. */
const patienceMs = 1800;

export interface CachedAnswers {
  /** Reads `query` only before it returns. */
  handle: Ask;
  /** For another cache, whose answer to this ends soon. */
  refresh: Ask;
}

export function throughCache({ cache, ask, askAnew, hit }: CachedParts): CachedAnswers {
  if (cache === undefined)
    return { handle: (query, transport) => ask(Uint8Array.from(query), transport), refresh: askAnew };
  const known = cache;

  async function kept(how: Ask, query: Uint8Array, transport: Transport): Promise<Uint8Array | undefined> {
    const changes = known.changes();
    const reply = await how(query, transport);
    if (reply !== undefined) known.keep(query, reply, changes);
    return reply;
  }

  /** There is a stale answer now; whether it is good must be asked when it is needed. */
  async function inTime(query: Uint8Array, transport: Transport): Promise<Uint8Array | undefined> {
    const asked = kept(ask, query, transport);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(resolve, patienceMs, undefined);
    });
    const first = await Promise.race([asked, late]);
    clearTimeout(timer);
    if (first !== undefined && !isFailure(first)) return first;
    return known.stale(query, transport) ?? (await asked);
  }

  return {
    async handle(bytes, transport) {
      const found = known.find(bytes, transport);
      const query = found === undefined || found.refresh ? Uint8Array.from(bytes) : bytes;
      if (found === undefined)
        return await (known.hasStale(query, transport)
          ? inTime(query, transport)
          : kept(ask, query, transport));
      hit();
      if (found.refresh) void kept(askAnew, query, transport);
      return found.reply;
    },
    async refresh(query, transport) {
      return known.renewed(query, transport) ?? (await kept(askAnew, query, transport));
    },
  };
}

function isFailure(reply: Uint8Array): boolean {
  const code = u16(reply, 2) & 15;
  return code === rcode.SERVFAIL || code === rcode.REFUSED;
}
