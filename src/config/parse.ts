import { nearest } from "./nearest.ts";
import { type Fault, formatPath, type Path, type Problem, quote } from "./problem.ts";
import { type Kind, kinds, type Resource } from "./types.ts";
import { validate } from "./validate.ts";
import { readYaml, type YamlDocument } from "./yaml.ts";

export interface Parsed {
  readonly resources: Resource[];
  readonly problems: Problem[];
}

/**
 * A YAML (or JSON) text of any number of documents → its resources, in order. Also Kubernetes lists (`kind: List`).
 * Never throws: whatever is wrong is a problem with the line it is on. `file` is only for messages.
 */
export function parseResources(file: string, text: string): Parsed {
  const parsed: Parsed = { resources: [], problems: [] };
  for (const document of readYaml(text)) {
    const { error, value } = document;
    if (error) parsed.problems.push({ level: "error", file, path: "", ...error });
    else if (value !== null && value !== undefined) readObject(value, [], { file, document, parsed });
  }
  return parsed;
}

interface Context {
  readonly file: string;
  readonly document: YamlDocument;
  readonly parsed: Parsed;
}

/** `base`: where in the document the object stands. */
function readObject(value: unknown, base: Path, context: Context): void {
  const { file, document, parsed } = context;
  const report = (level: Problem["level"], { path, message }: Fault) => {
    const whole = [...base, ...path];
    parsed.problems.push({ level, file, line: document.lineOf(whole), path: formatPath(whole), message });
  };
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    report("error", {
      path: [],
      message: `expected a resource (apiVersion, kind, metadata, spec), got ${quote(value)}`,
    });
    return;
  }
  const { kind, items } = value as { kind?: unknown; items?: unknown };
  if (typeof kind !== "string") {
    report("error", { path: ["kind"], message: `expected one of ${kinds.join(", ")}, got ${quote(kind)}` });
  } else if (isKind(kind)) {
    const { resource, faults } = validate(kind, value, { file, line: document.lineOf(base) });
    for (const fault of faults) report("error", fault);
    if (resource) parsed.resources.push(resource);
  } else if (kind.endsWith("List") && Array.isArray(items) && base.length === 0) {
    items.forEach((item, index) => {
      readObject(item, ["items", index], context);
    });
  } else {
    const near = nearest(kind, kinds);
    const hint = near.edits <= 2 ? `; ${near.name} was meant?` : "";
    report("info", {
      path: ["kind"],
      message: `${quote(kind)} is ignored: not a kind that egress46 knows${hint}`,
    });
  }
}

function isKind(kind: string): kind is Kind {
  return (kinds as readonly string[]).includes(kind);
}
