import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseAllDocuments,
  type Scalar,
  visit,
} from "yaml";
import { type Path, quote } from "./problem.ts";

/** One document of a text: its plain value, or what keeps it from having one. */
export interface YamlDocument {
  readonly value?: unknown;
  readonly error?: { readonly line: number; readonly message: string };
  /** The line, from 1, of the key or entry that the path leads to, or of the last step that exists. */
  lineOf(path: Path): number;
}

/** More can only be meant to exhaust: resolving one costs a walk through the document. */
const maxAliases = 100;

/** YAML 1.2 (so also JSON) of any number of documents. Never throws. */
export function readYaml(text: string): YamlDocument[] {
  const lines = new LineCounter();
  try {
    const documents = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: false });
    return documents.map((document) => readDocument(document, lines));
  } catch (cause) {
    // Nested so deeply that the parser ran out of stack.
    return [{ error: { line: 1, message: `cannot be read: ${firstLine(cause)}` }, lineOf: () => 1 }];
  }
}

function readDocument(document: Document.Parsed, lines: LineCounter): YamlDocument {
  const lineOf = (path: Path) => lineAt(lines, offsetOf(document, path));
  const [syntax] = document.errors;
  if (syntax)
    return {
      error: { line: lineAt(lines, syntax.pos[0]), message: `is not YAML: ${firstLine(syntax)}` },
      lineOf,
    };
  try {
    const error = firstObjection(document, lines);
    return error ? { error, lineOf } : { value: document.toJS(), lineOf };
  } catch (cause) {
    return { error: { line: lineOf([]), message: `cannot be read: ${firstLine(cause)}` }, lineOf };
  }
}

/** Repeated keys (in place of the parser's own check, whose time is quadratic in their number), and too many aliases. */
function firstObjection(document: Document.Parsed, lines: LineCounter): YamlDocument["error"] {
  let objection: YamlDocument["error"];
  let aliases = 0;
  const line = (node: Node) => lineAt(lines, node.range![0]);
  visit(document, {
    Alias(_, alias) {
      if (++aliases <= maxAliases) return undefined;
      objection = { line: line(alias), message: `expected at most ${maxAliases} aliases in a document` };
      return visit.BREAK;
    },
    Map(_, map) {
      const seen = new Map<string, Scalar>();
      for (const { key } of map.items) {
        if (!isScalar(key)) continue;
        const name = String(key.value);
        const first = seen.get(name);
        if (first) {
          const message = `key ${quote(name)} stands here a second time, first on line ${line(first)}`;
          objection = { line: line(key), message };
          return visit.BREAK;
        }
        seen.set(name, key);
      }
      return undefined;
    },
  });
  return objection;
}

function offsetOf(document: Document.Parsed, path: Path): number {
  let node: unknown = document.contents;
  let offset = document.contents?.range[0] ?? document.range[0];
  for (const step of path) {
    if (isAlias(node)) node = node.resolve(document);
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(step));
      if (!pair) break;
      offset = (pair.key as Scalar).range?.[0] ?? offset;
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(step)];
      offset = (node as Node | undefined)?.range?.[0] ?? offset;
    } else break;
  }
  return offset;
}

function lineAt(lines: LineCounter, offset: number): number {
  return Math.max(1, lines.linePos(offset).line);
}

function firstLine(cause: unknown): string {
  return (cause instanceof Error ? cause.message : String(cause)).split("\n")[0]!;
}
