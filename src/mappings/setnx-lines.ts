import { keyOf, nat4OfKey } from "./codec.ts";

/** A store as text: a line of redis-cli for each entry, `SETNX 0073c3b6eft_dns4610.0.0.1 "value"`. */
export interface SetnxLine {
  readonly nat4: string;
  readonly value: string;
}

const escapes: Readonly<Record<string, string>> = {
  n: "\n",
  r: "\r",
  t: "\t",
  b: "\b",
  a: "\x07",
  "\\": "\\",
  '"': '"',
};
const unescaped = new Map(Object.entries(escapes).map(([letter, text]) => [text, `\\${letter}`]));

/** Quoted as redis-cli quotes and reads it: bytes that aren't printable ASCII as \xHH of their UTF-8. */
export function formatSetnx({ nat4, value }: SetnxLine): string {
  const text = Array.from(Buffer.from(value, "utf8").toString("latin1"), (char) => {
    const known = unescaped.get(char);
    if (known !== undefined) return known;
    return char >= " " && char <= "~" ? char : `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
  return `SETNX ${keyOf(nat4)} "${text.join("")}"`;
}

/** Undefined: an empty line or a comment (#). Throws TypeError saying what is wrong with the line. */
export function parseSetnx(line: string): SetnxLine | undefined {
  const text = line.trim();
  if (text === "" || text.startsWith("#")) return undefined;
  const [, key = "", quoted, plain] = /^SETNX\s+(\S+)\s+(?:"((?:[^"\\]|\\.)*)"|([^\s"]+))$/i.exec(text) ?? [];
  const nat4 = nat4OfKey(key);
  if (key === "") throw new TypeError('expected SETNX key "value"');
  if (nat4 === undefined) throw new TypeError(`'${key.slice(0, 80)}' is not the key of a mapping`);
  return { nat4, value: plain ?? unquote(quoted ?? "") };
}

function unquote(text: string): string {
  const bytes = text.replace(/\\(?:x([0-9a-f]{2})|(.))/gi, (_, hex: string | undefined, letter: string) =>
    hex === undefined ? (escapes[letter] ?? letter) : String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return Buffer.from(bytes, "latin1").toString("utf8");
}
