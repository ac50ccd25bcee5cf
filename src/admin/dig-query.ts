import { isIpv4, isIpv6 } from "../addresses.ts";
import type { DigQuestion } from "../dns/dig.ts";
import { recordType, typeNumber } from "../dns/message.ts";
import { textToName } from "../dns/name.ts";

const known = ["name", "type", "client", "transport"];
/** What the proxy would refuse, or what is no type of a question. */
const unasked: readonly number[] = [recordType.OPT, recordType.TSIG, recordType.AXFR, recordType.IXFR];

/** The query string of /v1/dig. Throws what becomes status 400 on anything that it doesn't know. */
export function digQuery(query: unknown): DigQuestion {
  const { name, type = "A", client, transport = "udp", ...others } = query as Record<string, unknown>;
  const [other] = Object.keys(others);
  if (other !== undefined) throw bad(`there is no parameter '${other}'; there are: ${known.join(", ")}`);
  const number = typeof type === "string" ? typeNumber(type) : undefined;
  if (number === undefined || unasked.includes(number))
    throw bad(`type='${type}': expected a type such as A, AAAA, PTR or TYPE64`);
  if (transport !== "udp" && transport !== "tcp") throw bad(`transport='${transport}': expected udp or tcp`);
  if (client !== undefined && !isAddress(client)) throw bad(`client='${client}': expected an address`);
  return { name: wireName(name), type: number, transport, ...(client !== undefined && { client }) };
}

function wireName(name: unknown): Uint8Array {
  try {
    if (typeof name === "string" && name !== "") return textToName(name);
  } catch {
    // Said below.
  }
  throw bad(`name='${name}': expected a domain name such as www.example`);
}

function isAddress(text: unknown): text is string {
  return typeof text === "string" && (isIpv4(text) || isIpv6(text));
}

function bad(message: string): Error {
  return Object.assign(new Error(message), { statusCode: 400 });
}
