import { type Cidr, formatCidr, parseCidr } from "../addresses.ts";
import { Eg46Error } from "../errors.ts";

/** An explicit address mapping (RFC 7757 §3.1): the addresses of two prefixes, one to one. */
export interface Eam {
  readonly v4: Cidr;
  readonly v6: Cidr;
}

/**
 * The table in a text: `IPv4-prefix IPv6-prefix` a line, `#` begins a comment. `name` stands for the text in messages.
 * Throws EG46_EAMT_INVALID with name and line.
 */
export function parseEamt(text: string, name: string): readonly Eam[] {
  const add = uniquePrefixes();
  return text.split(/\r?\n/).flatMap((line, index) => {
    const words = line.replace(/#.*/, "").split(/\s+/).filter(Boolean);
    if (words.length === 0) return [];
    try {
      if (words.length !== 2)
        throw new TypeError(`expected 'IPv4-prefix IPv6-prefix', found ${words.length} word(s)`);
      return [add(parseEam(words[0]!, words[1]!), `in line ${index + 1}`)];
    } catch (error) {
      throw new Eg46Error("EG46_EAMT_INVALID", `${name}:${index + 1}: ${(error as Error).message}`);
    }
  });
}

/** Throws TypeError with a reason. */
export function parseEam(text4: string, text6: string): Eam {
  const v4 = exactPrefix(text4, 4);
  const v6 = exactPrefix(text6, 6);
  // RFC 7757 §3.1: the suffix of the IPv4 address must have room behind the IPv6 prefix.
  const suffix = 32 - v4.prefixLength;
  if (v6.prefixLength + suffix > 128)
    throw new TypeError(
      `${text6} has ${128 - v6.prefixLength} bits for the ${suffix} that tell addresses of ${text4} apart; /${128 - suffix} would do`,
    );
  return { v4, v6 };
}

/**
 * Passes mappings through; throws TypeError when one has a prefix that an earlier one has. Prefixes inside others are
 * possible, the longest one holds.
 */
export function uniquePrefixes(): (eam: Eam, place: string) => Eam {
  const places = new Map<string, string>();
  return (eam, place) => {
    for (const prefix of [formatCidr(eam.v4), formatCidr(eam.v6)]) {
      const first = places.get(prefix);
      if (first !== undefined) throw new TypeError(`${prefix} is mapped already (${first})`);
      places.set(prefix, place);
    }
    return eam;
  };
}

/** A prefix with bits set behind its length is a slip more often than meant. */
function exactPrefix(text: string, family: 4 | 6): Cidr {
  const cidr = parseCidr(text);
  if (cidr.family !== family) throw new TypeError(`'${text}' is not an IPv${family} prefix`);
  if (parseCidr(text.split("/")[0]!).network !== cidr.network)
    throw new TypeError(`${text} has bits behind its length: ${formatCidr(cidr)} is the prefix`);
  return cidr;
}
