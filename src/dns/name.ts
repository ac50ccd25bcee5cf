/**
 * Domain names in wire form (RFC 1035 §3.1, §4.1.4), read in place. A malformed name gives -1 or undefined, never
 * an exception: the bytes come from the network.
 */
const maxNameLength = 255;
const maxLabelLength = 63;

/**
 * Offset behind the name as it stands at `offset` (a compression pointer ends it), or -1 when it is malformed or
 * compressed where it must not be.
 */
export function skipName(bytes: Uint8Array, offset: number, compressionAllowed = true): number {
  const start = offset;
  for (;;) {
    const length = bytes[offset];
    if (length === undefined || offset - start >= maxNameLength) return -1;
    if (length === 0) return offset + 1;
    if (length >= 0xc0) return compressionAllowed && offset + 2 <= bytes.length ? offset + 2 : -1;
    if (length > maxLabelLength) return -1;
    offset += 1 + length;
  }
}

/** For a name while it is put together. */
const scratch = new Uint8Array(maxNameLength);

/**
 * The name at `offset` with compression undone: labels with their lengths and the final zero, letter case kept.
 * Pointers may only lead backwards (RFC 1035 §4.1.4: 'a prior occurrence'), so a loop cannot be built.
 */
export function expandName(bytes: Uint8Array, offset: number): Uint8Array | undefined {
  let used = 0;
  let before = offset;
  for (;;) {
    const length = bytes[offset];
    if (length === undefined) return undefined;
    if (length >= 0xc0) {
      const low = bytes[offset + 1];
      if (low === undefined) return undefined;
      const target = ((length & 0x3f) << 8) | low;
      if (target >= before) return undefined;
      before = offset = target;
      continue;
    }
    if (length > maxLabelLength || used + 1 + length > maxNameLength || offset + 1 + length > bytes.length)
      return undefined;
    for (const next = offset + 1 + length; offset < next; offset++) scratch[used++] = bytes[offset]!;
    if (length === 0) return scratch.slice(0, used);
  }
}

/** Names differ only in meaning when this differs: ASCII letters fold (RFC 4343), other octets stand for themselves. */
export function foldName(name: Uint8Array): string {
  let folded = "";
  for (const octet of name) folded += String.fromCharCode(foldOctet(octet));
  return folded;
}

/** Wire octet with ASCII upper case folded; label lengths (≤ 63) are below the letters, so they are safe. */
export function foldOctet(octet: number): number {
  return octet >= 0x41 && octet <= 0x5a ? octet | 0x20 : octet;
}

/** Presentation form for logs and the lab, without the final dot; octets outside a-z, 0-9, '-', '_', '*' as \DDD. */
export function nameToText(name: Uint8Array): string {
  const labels: string[] = [];
  for (let offset = 0; offset < name.length && name[offset] !== 0; offset += 1 + name[offset]!) {
    const label = name.subarray(offset + 1, offset + 1 + name[offset]!);
    labels.push(
      Array.from(label, (octet) =>
        /[\w*-]/.test(String.fromCharCode(octet))
          ? String.fromCharCode(octet)
          : `\\${octet.toString().padStart(3, "0")}`,
      ).join(""),
    );
  }
  return labels.join(".") || ".";
}

/** Plain text (`www.example` or `www.example.`; no escapes) → wire form. Throws TypeError when it is no name. */
export function textToName(text: string): Uint8Array {
  const labels = text
    .replace(/\.$/, "")
    .split(".")
    .filter((label, _, all) => label !== "" || all.length > 1);
  const octets = labels.flatMap((label) => [label.length, ...Buffer.from(label, "latin1")]);
  octets.push(0);
  if (octets.length > maxNameLength || labels.some((label) => label === "" || label.length > maxLabelLength))
    throw new TypeError(`'${text}' is not a domain name`);
  return Uint8Array.from(octets);
}
