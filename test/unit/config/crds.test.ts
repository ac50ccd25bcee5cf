import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { suite, test } from "node:test";
import { parse } from "yaml";
import { kinds } from "../../../src/config/types.ts";
import { projectRoot } from "../../support/resources.ts";

interface Node {
  readonly type?: string;
  readonly description?: string;
  readonly properties?: Record<string, Node>;
  readonly items?: Node;
  readonly maxItems?: number;
  readonly maxLength?: number;
  readonly enum?: string[];
  readonly format?: string;
  readonly [key: string]: unknown;
}

const plurals = {
  F5SPKEgress: "f5-spk-egresses",
  F5SPKSnatpool: "f5-spk-snatpools",
  F5SPKVlan: "f5-spk-vlans",
};

/** Every field below a schema, with its path. */
function fields(node: Node, path: string): [path: string, node: Node][] {
  const below = [
    ...Object.entries(node.properties ?? {}).map(([key, sub]) => [`${path}.${key}`, sub] as const),
    ...(node.items ? [[`${path}[]`, node.items] as const] : []),
  ];
  return [[path, node], ...below.flatMap(([at, sub]) => fields(sub, at))];
}

for (const kind of kinds)
  suite(`CRD of ${kind}`, () => {
    const crd = parse(readFileSync(new URL(`deploy/crds/${kind.toLowerCase()}.yaml`, projectRoot), "utf8"));
    const [version, ...others] = crd.spec.versions;
    const all = fields(version.schema.openAPIV3Schema, kind);

    test("identity", () => {
      const { group, names, scope } = crd.spec;
      assert.equal(crd.apiVersion, "apiextensions.k8s.io/v1");
      assert.equal(crd.metadata.name, `${plurals[kind]}.k8s.f5net.com`);
      assert.deepEqual(
        [group, names.kind, names.plural, scope],
        ["k8s.f5net.com", kind, plurals[kind], "Namespaced"],
      );
      assert.deepEqual([version.name, version.served, version.storage, others], ["v1", true, true, []]);
    });

    test("status subresource and printer columns", () => {
      assert.deepEqual(version.subresources, { status: {} });
      assert.ok(version.additionalPrinterColumns.some(({ name }: { name: string }) => name === "Accepted"));
    });

    test("every field is typed and described (an API server forbids a description of metadata)", () => {
      for (const [path, node] of all) {
        assert.ok(node.type, path);
        if (path !== `${kind}.metadata`) assert.match(node.description ?? "", /\w/, path);
      }
      assert.deepEqual(version.schema.openAPIV3Schema.properties.metadata, { type: "object" });
    });

    test("every list and text of the spec is bounded", () => {
      for (const [path, node] of all) {
        if (node.type === "array") assert.ok(node.maxItems! > 0 && node.items, path);
        if (node.type === "string" && path.startsWith(`${kind}.spec`))
          assert.ok(node.enum ?? node.maxLength, path);
      }
    });

    test("only what a structural schema may contain", () => {
      const allowed =
        /^(type|description|properties|required|items|nullable|default|enum|pattern|format|min(imum|Items|Length)|max(imum|Items|Length)|x-kubernetes-(validations|list-type|list-map-keys))$/;
      for (const [path, node] of all) for (const key of Object.keys(node)) assert.match(key, allowed, path);
    });
  });
