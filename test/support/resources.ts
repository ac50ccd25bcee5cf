import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { stringify } from "yaml";
import { parseResources } from "../../src/config/parse.ts";
import { formatProblem } from "../../src/config/problem.ts";
import type { Kind, Resource } from "../../src/config/types.ts";

/** The project's root, from dist/test/support. */
export const projectRoot = new URL("../../../", import.meta.url);

/** An example of the specification, byte for byte as printed there. */
export function specExample(name: string): string {
  return readFileSync(new URL(`test/vectors/spec/${name}.yaml`, projectRoot), "utf8");
}

interface Meta {
  readonly name?: string;
  readonly namespace?: string;
  readonly creationTimestamp?: string;
}

/** YAML of one resource. */
export function yamlOf(kind: Kind, spec: object, meta: Meta = {}): string {
  const metadata = { name: "a", namespace: "spk-ingress", ...meta };
  return stringify({ apiVersion: "k8s.f5net.com/v1", kind, metadata, spec });
}

/** A resource as it comes out of a file. */
export function resource(kind: Kind, spec: object, meta: Meta = {}): Resource {
  const { resources, problems } = parseResources("test.yaml", yamlOf(kind, spec, meta));
  assert.deepEqual(problems.map(formatProblem), []);
  return resources[0]!;
}

/** The least that dnsNat46Enabled needs. */
export const dns46 = {
  dnsNat46Enabled: true,
  dnsNat46Ipv4Subnet: "10.244.50.0/24",
  dnsNat46PoolIps: ["10.244.40.252"],
};
