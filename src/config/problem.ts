/** What is wrong with a text, precise enough to mend it. `info` problems keep nothing from being used. */
export interface Problem {
  readonly level: "error" | "info";
  readonly file: string;
  /** From 1; 0 when it is about the file, or a directory, as a whole. */
  readonly line: number;
  /** `spec.dnsNat46PoolIps[1]`; empty when it is about the document. */
  readonly path: string;
  /** One line. */
  readonly message: string;
}

/** `file:line: spec.field: message` */
export function formatProblem({ file, line, path, message }: Problem): string {
  return `${file}${line === 0 ? "" : `:${line}`}: ${path === "" ? "" : `${path}: `}${message}`;
}

export type Path = readonly (string | number)[];

/** A problem of a value, before it is known where the value was written. */
export interface Fault {
  readonly path: Path;
  readonly message: string;
}

const maxQuoted = 60;

export function formatPath(path: Path): string {
  return path
    .map((step, index) => {
      if (typeof step === "number") return `[${step}]`;
      if (!/^[\w-]{1,60}$/.test(step)) return `[${quote(step)}]`;
      return index === 0 ? step : `.${step}`;
    })
    .join("");
}

/** A value as it appears in `got …`: one bounded line. */
export function quote(value: unknown): string {
  if (value === undefined) return "nothing";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object" && value !== null) return "an object";
  if (typeof value !== "string") return String(value);
  const text = JSON.stringify(value.length > maxQuoted ? `${value.slice(0, maxQuoted)}…` : value);
  // What JSON leaves as it is although it begins a line or commands a terminal: C1 controls, line and paragraph separators.
  return text.replace(
    /[\u007f-\u009f\u2028\u2029]/g,
    (control) => `\\u${control.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
