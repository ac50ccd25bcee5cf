/**
 * Where the engine and tayga differ, each difference belongs to one of these classes; docs/rfc.md says of each by which
 * clause ours is right. What belongs to none is a bug, or a class to be thought of.
 */
import { type Fields, fieldsOf } from "./packet-fields.ts";

export interface Case {
  readonly packet: Uint8Array;
  readonly ours: readonly Uint8Array[];
  readonly theirs: readonly Uint8Array[];
  /** Our drop reason. */
  readonly drop: string | undefined;
}

interface Read {
  readonly input: Fields;
  readonly ours: readonly Fields[];
  readonly theirs: readonly Fields[];
  readonly kinds: `${Kind} ${Kind}`;
  readonly drop: string;
}

/** `error`: an ICMP error about the packet, back to its sender. */
type Kind = "none" | "error" | "translated";

interface Class {
  readonly name: ClassName;
  /** The whole difference is of this class. */
  readonly whole?: (read: Read) => boolean;
  /** Fields in which two outputs may differ because of it. */
  readonly fields?: (read: Read, ours: Fields, theirs: Fields) => readonly string[];
}

export const classNames = [
  "identification and DF",
  "sizes",
  "TOS of errors",
  "ICMP errors of all types",
  "quoted packets of all kinds",
  "quoted fragments",
  "extensions of ICMP errors",
  "UDP without a checksum",
  "hop limit zero",
  "errors about echo replies",
  "sender's routes",
  "malformed transport headers",
  "implausible fragments",
  "damaged ICMP",
  "unmapped addresses",
  "special addresses",
  "protocols of the other version",
  "echo with a code",
  "several faults",
] as const;
export type ClassName = (typeof classNames)[number];

/** Of the translator and of tayga. */
export const own4 = "192.0.2.254";

const number = (value: string | number | undefined) => Number(value ?? 0);
const isError = (one: Fields) => one["quote.version"] !== undefined || one["quote.rest"] !== undefined;
const isIcmp = ({ protocol }: Fields) => protocol === 1 || protocol === 58;
const first = (outputs: readonly Fields[]): Fields => outputs[0] ?? {};
/** Our reason to drop is one of these, and tayga went on. */
const dropped =
  (...reasons: readonly string[]) =>
  (read: Read) =>
    reasons.includes(read.drop) && read.kinds !== "error error" && read.kinds !== "none error";
const isTooBig = ({ type, code }: Fields) => type === 2 || (type === 3 && code === 4);

/** An error that tayga doesn't relay, by what it quotes. */
function quotesRarity({ input }: Read): boolean {
  const protocol = input["quote.protocol"];
  const type = input["quote.type"];
  if (protocol === 1 || protocol === 58) return type !== 8 && type !== 128;
  if (protocol === 6) return number(input["quote.size"]) < 20;
  return protocol === 17 && input["quote.sum"] === "zero";
}

/** Its checksum is wrong, or what it quotes is cut short, or an ICMP error itself, or nothing that was translated. */
function isDamaged(input: Fields): boolean {
  if (!isIcmp(input)) return false;
  if (input.sum !== "right" || input["quote.rest"] !== undefined) return true;
  if (!isError(input)) return false;
  const version = number(input["quote.version"]);
  const protocol = number(input["quote.protocol"]);
  const icmp = protocol === (version === 4 ? 1 : 58);
  const echo = version === 4 ? [0, 8] : [128, 129];
  const type = input["quote.type"];
  const extensions = String(input["quote.extensions"] ?? "").match(/\d+/g) ?? [];
  const size = Math.min(
    number(input["quote.size"] ?? 8),
    number(input["quote.length"]) - number(input["quote.headerLength"]) - 16 * extensions.length,
  );
  const short = size < 8 && number(input["quote.offset"]) === 0;
  return (
    short ||
    version !== input.version ||
    isForeign({ version, protocol }) ||
    (icmp && type !== undefined && !echo.includes(number(type)))
  );
}

/** The other version's ICMP, or what IPv6 would take for an extension header. */
const isForeign = ({ version, protocol }: Fields) =>
  version === 4 ? [0, 43, 44, 58, 60].includes(number(protocol)) : protocol === 1;

const quotesFragment = (input: Fields) =>
  isError(input) && number(input["quote.more"]) + number(input["quote.offset"]) > 0;

/** RFC 4884 length in the input; ICMPv4 has it in the second byte of its word, ICMPv6 in the first. */
function isExtended({ input }: Read): boolean {
  const at = input.version === 4 ? 2 : 0;
  return isError(input) && Number.parseInt(String(input.word).slice(at, at + 2), 16) > 0;
}

const classes: readonly Class[] = [
  {
    name: "identification and DF",
    fields: ({ input, kinds }) =>
      input.version === 6 && kinds === "translated translated" ? ["id", "df", "quote.id", "quote.df"] : [],
  },
  {
    name: "TOS of errors",
    fields: ({ input, kinds }) => (kinds === "error error" && input.version === 4 ? ["tos"] : []),
  },
  {
    name: "sizes",
    whole: ({ kinds, ours, theirs, drop, input }) =>
      number(input.length) > 1200 &&
      ((kinds === "translated error" && isTooBig(first(theirs))) ||
        ((kinds === "error translated" || kinds === "none translated") && drop === "PACKET_TOO_BIG") ||
        (kinds === "translated translated" && ours.length !== theirs.length)),
    fields: ({ kinds, drop }) => (kinds === "error error" && drop === "PACKET_TOO_BIG" ? ["word"] : []),
  },
  {
    name: "ICMP errors of all types",
    whole: ({ input, kinds }) =>
      kinds === "translated none" &&
      isError(input) &&
      (input.type === 12 ||
        (input.type === 4 && input.version === 6) ||
        (input.type === 1 && input.code === 3) ||
        (input.type === 2 && Number.parseInt(String(input.word), 16) < 68)),
  },
  {
    name: "quoted packets of all kinds",
    whole: (read) => read.kinds === "translated none" && isError(read.input) && quotesRarity(read),
  },
  {
    name: "extensions of ICMP errors",
    fields: (read) =>
      isExtended(read) ? ["length", "word", "size", "quote.size", "quote.data", "quote.sum", "sum"] : [],
  },
  {
    name: "quoted fragments",
    whole: ({ input, kinds }) => kinds === "translated none" && quotesFragment(input),
    fields: ({ input }) =>
      quotesFragment(input)
        ? ["fragment", "id", "more", "offset", "length", "sum", "size", "data"]
            .map((name) => `quote.${name}`)
            .concat("length", "size")
        : [],
  },
  {
    name: "UDP without a checksum",
    whole: ({ input, kinds, drop }) =>
      input.protocol === 17 &&
      input.sum === "zero" &&
      (kinds === "translated none" || (drop === "UDP_CHECKSUM_MISSING" && kinds !== "none error")),
    // RFC 768: a sum of zero is sent as all ones.
    fields: ({ input }, ours, theirs) =>
      input.protocol === 17 && ours.sum === "right" && theirs.sum === "zero" ? ["sum"] : [],
  },
  {
    name: "hop limit zero",
    whole: ({ input, kinds, drop }) =>
      drop === "HOP_LIMIT_EXPIRED" && kinds === "error none" && input.ttl === 0,
  },
  {
    name: "errors about echo replies",
    whole: ({ input, kinds }) =>
      (input.type === 0 || input.type === 129) &&
      (kinds === "error none" || (kinds === "translated none" && number(input.length) > 1460)),
  },
  {
    name: "sender's routes",
    whole: ({ drop, input }) =>
      (drop === "IPV4_SOURCE_ROUTE" && number(input.headerLength) > 20) ||
      (drop === "IPV6_ROUTING_HEADER" && String(input.extensions).includes("43")),
  },
  {
    name: "malformed transport headers",
    whole: dropped("UDP_LENGTH_INVALID", "TCP_HEADER_INVALID", "ICMP_TRUNCATED"),
  },
  { name: "implausible fragments", whole: dropped("FRAGMENT_INVALID") },
  {
    name: "damaged ICMP",
    whole: (read) =>
      isDamaged(read.input) &&
      (read.kinds === "translated none" ||
        read.kinds === "error none" ||
        dropped("ICMP_QUOTE_INVALID")(read)),
  },
  {
    name: "unmapped addresses",
    whole: ({ drop, kinds, theirs, input, ours }) =>
      // RFC 6791: our own address stands for a router that has none.
      (kinds === "translated none" && isError(input) && first(ours).source === own4) ||
      ((drop === "SOURCE_UNMAPPED" || drop === "DESTINATION_UNMAPPED") &&
        kinds === "none error" &&
        first(theirs).type === 1),
  },
  { name: "special addresses", whole: dropped("DESTINATION_NOT_FORWARDABLE", "SOURCE_UNMAPPED") },
  {
    name: "protocols of the other version",
    whole: (read) => dropped("PROTOCOL_UNSUPPORTED", "FRAGMENT_UNSUPPORTED")(read) && isForeign(read.input),
  },
  {
    name: "echo with a code",
    whole: (read) => read.input.code !== 0 && dropped("ICMP_TYPE_UNSUPPORTED")(read),
  },
  { name: "several faults", whole: ({ kinds, drop }) => drop !== "" && kinds === "none error" },
];

/** Classes of the differences of a case; undefined: some of them belong to no class. */
export function classify(one: Case): readonly ClassName[] | undefined {
  return explain(one).unexplained.length === 0 ? explain(one).classes : undefined;
}

export function explain(one: Case): { classes: ClassName[]; unexplained: string[]; read: Read } {
  const read = readCase(one);
  const found = new Set<ClassName>();
  const whole = classes.find((each) => each.whole?.(read) === true);
  if (read.kinds === "none none") return { classes: [], unexplained: [], read };
  const sameCount = read.ours.length === read.theirs.length;
  const [ours, theirs] = read.kinds.split(" ");
  if (whole !== undefined && (ours !== theirs || !sameCount))
    return { classes: [whole.name], unexplained: [], read };
  if (ours !== theirs || !sameCount)
    return { classes: [], unexplained: [`${read.kinds} ${read.ours.length}/${read.theirs.length}`], read };
  const unexplained = new Set<string>();
  read.ours.forEach((our, index) => {
    const their = read.theirs[index]!;
    for (const field of new Set([...Object.keys(our), ...Object.keys(their)])) {
      if (our[field] === their[field]) continue;
      const one = classes.find((each) => each.fields?.(read, our, their).includes(field));
      if (one === undefined) unexplained.add(field);
      else found.add(one.name);
    }
  });
  if (unexplained.size > 0 && whole !== undefined) return { classes: [whole.name], unexplained: [], read };
  return { classes: [...found], unexplained: [...unexplained], read };
}

function readCase({ packet, ours, theirs, drop }: Case): Read {
  const input = fieldsOf(packet);
  const kind = (outputs: readonly Fields[]): Kind =>
    outputs.length === 0 ? "none" : outputs[0]!.version === input.version ? "error" : "translated";
  const [a, b] = [ours.map((each) => fieldsOf(each)), theirs.map((each) => fieldsOf(each))];
  return { input, ours: a, theirs: b, kinds: `${kind(a)} ${kind(b)}`, drop: drop ?? "" };
}
