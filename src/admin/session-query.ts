import { isIpv4, isIpv6 } from "../addresses.ts";
import type { SessionQuery } from "./view.ts";

/** Sessions that are listed when nobody says how many. */
export const defaultLimit = 100;
export const maxPage = 1000;

const readers: Readonly<Record<keyof SessionQuery, (text: string) => string | number | undefined>> = {
  pod: (text) => (isIpv4(text) || isIpv6(text) ? text : undefined),
  limit: (text) => (/^\d{1,4}$/.test(text) && +text >= 1 && +text <= maxPage ? Number(text) : undefined),
  after: (text) => (/^\d{1,3}-\d{1,9}$/.test(text) ? text : undefined),
};
const wanted: Readonly<Record<keyof SessionQuery, string>> = {
  pod: "an address",
  limit: `a number from 1 to ${maxPage}`,
  after: "the `next` of the page before",
};

/** The query string of /v1/sessions. Throws what becomes status 400 on anything that it doesn't know. */
export function sessionQuery(
  query: unknown,
  known: readonly (keyof SessionQuery)[] = ["pod", "limit", "after"],
): SessionQuery {
  const found: Partial<Record<keyof SessionQuery, string | number>> = {};
  for (const [name, text] of Object.entries(query as Record<string, unknown>)) {
    const key = known.find((each) => each === name);
    if (key === undefined) throw bad(`there is no parameter '${name}'; there are: ${known.join(", ")}`);
    const value = typeof text === "string" ? readers[key](text) : undefined;
    if (value === undefined) throw bad(`${name}='${text}': expected ${wanted[key]}`);
    found[key] = value;
  }
  return { limit: defaultLimit, ...found } as SessionQuery;
}

function bad(message: string): Error {
  return Object.assign(new Error(message), { statusCode: 400 });
}
