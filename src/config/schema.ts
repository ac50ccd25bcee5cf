import { readFileSync } from "node:fs";
import { Ajv, type ErrorObject, type ValidateFunction } from "ajv";
import { parse } from "yaml";
import { nearest } from "./nearest.ts";
import { type Fault, formatPath, type Path, quote } from "./problem.ts";
import { type Kind, kinds } from "./types.ts";

/** The part of a structural OpenAPI v3 schema (apiextensions.k8s.io/v1) that deploy/crds uses. */
export interface Schema {
  readonly type?: string;
  readonly description?: string;
  readonly nullable?: boolean;
  readonly default?: unknown;
  readonly enum?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
}

/** Of one object: a list of a hundred thousand wrong entries need not be told in full. */
const maxErrors = 100;

const directory = new URL("../../../deploy/crds/", import.meta.url);
const loaded = new Map<Kind, { schema: Schema; validate: ValidateFunction }>();

/** The schema of a kind, with anything as `status` (only the gateway writes that). Read from deploy/crds at first use. */
export function schemaOf(kind: Kind): Schema {
  return load(kind).schema;
}

/**
 * Checks an object against its CRD as an API server would, but that an unknown field is a fault, not dropped.
 * `value` is a copy with defaults filled in and null fields left out (Kubernetes does both before it validates).
 */
export function checkStructure(kind: Kind, object: unknown): { value: unknown; faults: Fault[] } {
  const { schema, validate } = load(kind);
  const value = withoutNulls(schema, object);
  validate(value);
  return { value, faults: (validate.errors ?? []).slice(0, maxErrors).map(toFault) };
}

function load(kind: Kind): { schema: Schema; validate: ValidateFunction } {
  if (loaded.size === 0) {
    const ajv = new Ajv({
      allErrors: true,
      verbose: true,
      useDefaults: true,
      validateFormats: false,
      strict: false,
    });
    for (const each of kinds) {
      const crd = parse(readFileSync(new URL(`${each.toLowerCase()}.yaml`, directory), "utf8"));
      const whole = crd.spec.versions[0].schema.openAPIV3Schema;
      const schema = closed({ ...whole, properties: { ...whole.properties, status: {} } });
      loaded.set(each, { schema, validate: ajv.compile(schema) });
    }
  }
  return loaded.get(kind)!;
}

/** Objects with declared properties have no others. */
function closed(schema: Schema): Schema {
  const { properties, items } = schema;
  return {
    ...schema,
    ...(items && { items: closed(items) }),
    ...(properties && {
      additionalProperties: false,
      properties: Object.fromEntries(Object.entries(properties).map(([key, sub]) => [key, closed(sub)])),
    }),
  };
}

/** Copies as deep as the schema goes, so also a value that contains itself ends. */
function withoutNulls(schema: Schema, value: unknown): unknown {
  if (Array.isArray(value))
    return value.map((item) => (schema.items ? withoutNulls(schema.items, item) : item));
  if (typeof value !== "object" || value === null || !schema.properties) return value;
  const known = (key: string): Schema =>
    Object.hasOwn(schema.properties!, key) ? schema.properties![key]! : {};
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key, field]) => field !== null || known(key).nullable)
      .map(([key, field]) => [key, withoutNulls(known(key), field)]),
  );
}

function toFault(error: ErrorObject): Fault {
  const schema = error.parentSchema as Schema & Record<string, unknown>;
  const path = pointerToPath(error.instancePath);
  const params: Record<string, unknown> = error.params;
  switch (error.keyword) {
    case "required": {
      const key = String(params.missingProperty);
      const article = describeType(schema.properties?.[key] ?? {});
      return { path: [...path, key], message: `is missing; expected ${article}` };
    }
    case "additionalProperties": {
      const key = String(params.additionalProperty);
      return { path: [...path, key], message: `unknown field; ${knownFields(key, path, schema)}` };
    }
    case "minItems":
    case "maxItems": {
      const bound = error.keyword === "minItems" ? "at least" : "at most";
      return {
        path,
        message: `expected ${bound} ${params.limit} ${params.limit === 1 ? "entry" : "entries"}, got ${(error.data as unknown[]).length}`,
      };
    }
    case "minLength":
    case "maxLength": {
      const bound = error.keyword === "minLength" ? "at least" : "at most";
      return { path, message: `expected ${bound} ${params.limit} characters, got ${quote(error.data)}` };
    }
    default:
      return { path, message: `expected ${describeType(schema)}, got ${quote(error.data)}` };
  }
}

/** What may have been meant; what there is, when nothing is near. */
function knownFields(key: string, path: Path, schema: Schema): string {
  const known = Object.keys(schema.properties ?? {});
  const near = nearest(key, known);
  if (near.edits <= 1 + key.length / 4) return `the nearest known one is ${formatPath([...path, near.name])}`;
  return `known ones ${path.length === 0 ? "at the top" : `of ${formatPath(path)}`} are ${known.join(", ")}`;
}

function describeType(schema: Schema): string {
  if (schema.enum) return `one of ${schema.enum.join(", ")}`;
  if (schema.type === "integer") {
    const { minimum, maximum } = schema;
    return minimum === undefined ? "a whole number" : `a whole number from ${minimum} to ${maximum}`;
  }
  const words: Record<string, string> = {
    boolean: "true or false",
    string: "a string",
    array: "a list",
    object: "an object",
  };
  return words[schema.type ?? ""] ?? "another value";
}

/** RFC 6901 */
function pointerToPath(pointer: string): Path {
  return pointer
    .split("/")
    .slice(1)
    .map((step) => (/^\d+$/.test(step) ? Number(step) : step.replaceAll("~1", "/").replaceAll("~0", "~")));
}
