import { checkTogether } from "./cross-rules.ts";
import { type Fault, formatPath, quote } from "./problem.ts";
import { checkStructure } from "./schema.ts";
import { apiVersion, type Kind, type ObjectMeta, type Resource, type Source } from "./types.ts";
import { checkValues } from "./value-rules.ts";

/** More would bury the cause. */
const maxFaults = 20;

/**
 * An object of one of our kinds (out of a file or an API server) → the resource, or what is wrong with it.
 * There is a resource exactly when there are no faults.
 */
export function validate(
  kind: Kind,
  object: object,
  source: Source,
): { resource?: Resource; faults: Fault[] } {
  const { value, faults: structure } = checkStructure(kind, object);
  const { apiVersion: version, metadata, spec } = value as Record<string, unknown>;
  const header =
    version === apiVersion
      ? []
      : [{ path: ["apiVersion"], message: `expected ${apiVersion}, got ${quote(version)}` }];
  const single = distinct([
    ...header,
    ...metadataFaults(metadata),
    ...checkValues(kind, value),
    ...structure,
  ]);
  const faults = single.length > 0 ? single : checkTogether(kind, spec);
  if (faults.length > 0) return { faults: faults.slice(0, maxFaults) };
  return { resource: { kind, metadata: toMeta(metadata), spec, source } as Resource, faults };
}

const label = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?";
/** RFC 1123, as Kubernetes has it. */
const namePattern = new RegExp(`^(?=.{1,253}$)${label}(\\.${label})*$`);
const namespacePattern = new RegExp(`^${label}$`);

function metadataFaults(metadata: unknown): Fault[] {
  if (typeof metadata !== "object" || metadata === null || Array.isArray(metadata))
    return [{ path: ["metadata"], message: `expected an object with a name, got ${quote(metadata)}` }];
  const { name, namespace, creationTimestamp } = metadata as Record<string, unknown>;
  const faults: Fault[] = [];
  const fault = (field: string, expected: string, value: unknown) =>
    faults.push({ path: ["metadata", field], message: `expected ${expected}, got ${quote(value)}` });
  if (typeof name !== "string" || !namePattern.test(name))
    fault("name", "lower-case letters, digits, '-' and '.' such as egress-crd", name);
  if (isSet(namespace) && (typeof namespace !== "string" || !namespacePattern.test(namespace)))
    fault("namespace", "lower-case letters, digits and '-' such as spk-ingress", namespace);
  if (
    isSet(creationTimestamp) &&
    (typeof creationTimestamp !== "string" || Number.isNaN(Date.parse(creationTimestamp)))
  )
    fault("creationTimestamp", "a time such as 2025-11-01T12:00:00Z", creationTimestamp);
  return faults;
}

function toMeta(metadata: unknown): ObjectMeta {
  const { name, namespace, creationTimestamp } = metadata as Record<string, string | null | undefined>;
  return {
    name: name!,
    namespace: namespace ?? "default",
    ...(isSet(creationTimestamp) && { creationTimestamp: creationTimestamp! }),
  };
}

function isSet(value: unknown): boolean {
  return value !== undefined && value !== null;
}

/** The first fault of each path, of not more than maxFaults: the rules that know a field come before the schema's patterns. */
function distinct(faults: readonly Fault[]): Fault[] {
  const byPath = new Map<string, Fault>();
  for (const fault of faults) {
    if (byPath.size === maxFaults) break;
    const key = formatPath(fault.path);
    if (!byPath.has(key)) byPath.set(key, fault);
  }
  return [...byPath.values()];
}
