import type { Netns } from "./topology.ts";

/** Lines of nstat that count wrong checksums since the namespaces were made; none when all were right. */
export async function checksumErrors(...namespaces: readonly Netns[]): Promise<string[]> {
  const tables = await Promise.all(namespaces.map((netns) => netns.run(["nstat", "-asz"])));
  return tables.flatMap((table) => table.split("\n")).filter((line) => /Csum(Errors|Err)\s+[1-9]/.test(line));
}
