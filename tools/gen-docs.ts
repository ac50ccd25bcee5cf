/**
 * Writes the reference documents that follow from code. `node dist/tools/gen-docs.js` writes them,
 * with --check it exits 1 when a committed one is not current.
 */
import { readFile, writeFile } from "node:fs/promises";
import { dropReasons } from "../src/engine/layout.gen.ts";
import { errorCatalog } from "../src/errors.ts";

const root = new URL("../../", import.meta.url);

function errorsDocument(): string {
  const sections = Object.entries(errorCatalog).map(
    ([code, { title, traffic, remedy }]) =>
      `## ${code}\n\n${title}.\n\n- **Effect on traffic:** ${traffic}\n- **What to do:** ${remedy}\n`,
  );
  return `<!-- Generated out of src/errors.ts by tools/gen-docs.ts; do not edit. -->
# Errors

Every error that egress46 raises on purpose has a code. Commands print it on standard error (exit status 2 for
EG46_USAGE, 1 for the others); the admin API answers with it as \`{"code", "message", "remedy"}\`.

${sections.join("\n")}`;
}

function dropsDocument(): string {
  const rows = dropReasons
    .filter(({ code }) => code !== 0)
    .map(
      ({ code, name, description }) => `| ${code} | \`${name}\` | ${description.replaceAll("|", "\\|")} |`,
    );
  return `<!-- Generated out of src/engine/layout.gen.ts by tools/gen-docs.ts; do not edit. -->
# Drop reasons

Every packet that is not forwarded is counted under one of these. \`egress46 drops\` lists the counts, /metrics has
them as \`egress46_drops_total{reason}\`. The code is what the packet engine returns.

| code | reason | meaning |
|---:|---|---|
${rows.join("\n")}
`;
}

const documents: Readonly<Record<string, string>> = {
  "docs/drops.md": dropsDocument(),
  "docs/errors.md": errorsDocument(),
};

const check = process.argv.includes("--check");
for (const [path, wanted] of Object.entries(documents)) {
  const url = new URL(path, root);
  const found = await readFile(url, "utf8").catch(() => undefined);
  if (found === wanted) continue;
  if (check) {
    console.error(`${path} is not current: run node dist/tools/gen-docs.js`);
    process.exitCode = 1;
  } else {
    await writeFile(url, wanted);
    console.log(`wrote ${path}`);
  }
}
