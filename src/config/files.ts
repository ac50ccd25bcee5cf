import { fileSource, type Observation, observeAll, type Snapshot, sameObservation } from "./observe.ts";
import { type Parsed, parseResources } from "./parse.ts";
import { formatPath, type Problem } from "./problem.ts";
import type { ConfigSource } from "./source.ts";
import { nameOf, type Resource } from "./types.ts";

export interface Loaded {
  /** In the order in which they were first seen; a file with an error contributes what it held when it was last right. */
  readonly resources: readonly Resource[];
  readonly problems: readonly Problem[];
}

/**
 * Reads a source, then calls `listener` with everything after each change until the signal aborts. Rejects as the
 * source does.
 */
export async function watchConfig(
  source: ConfigSource,
  listener: (loaded: Loaded) => void,
  signal: AbortSignal,
): Promise<Loaded> {
  const load = createLoader();
  return load(await source.start((snapshot) => listener(load(snapshot)), signal));
}

/** {@link watchConfig} of files, and of the .yaml and .yml files of directories. */
export function watchFiles(
  paths: readonly string[],
  listener: (loaded: Loaded) => void,
  signal: AbortSignal,
): Promise<Loaded> {
  return watchConfig(fileSource(paths), listener, signal);
}

/** Reads once. Rejects with EG46_USAGE when a path cannot be read. */
export async function loadFiles(paths: readonly string[]): Promise<Loaded> {
  return createLoader()(await observeAll(paths));
}

interface FileState {
  readonly observation: Observation;
  /** Of the last content without an error. */
  readonly good: readonly Resource[];
  readonly problems: readonly Problem[];
}

/** Remembers, from one snapshot to the next, each file's last good resources and when a resource was first seen. */
function createLoader(): (snapshot: Snapshot) => Loaded {
  let files = new Map<string, FileState>();
  let firstSeen = new Map<string, number>();
  let sequence = 0;
  return (snapshot) => {
    const next = new Map<string, FileState>();
    for (const [file, observation] of snapshot) {
      next.set(file, nextState(file, observation, files.get(file)));
      // A directory that cannot be read has not lost its files.
      if ("fault" in observation)
        for (const [held, state] of files)
          if (state.observation.root === file && held !== file) next.set(held, state);
    }
    files = next;
    const loaded = merge(files.values());
    firstSeen = new Map(
      loaded.resources.map((each) => [nameOf(each), firstSeen.get(nameOf(each)) ?? sequence++]),
    );
    const age = (resource: Resource) => firstSeen.get(nameOf(resource))!;
    return { ...loaded, resources: loaded.resources.toSorted((a, b) => age(a) - age(b)) };
  };
}

function nextState(file: string, observation: Observation, before: FileState | undefined): FileState {
  if (before !== undefined && sameObservation(before.observation, observation)) return before;
  const { resources, problems } = parseObservation(file, observation);
  if (!problems.some(({ level }) => level === "error")) return { observation, good: resources, problems };
  const good = before?.good ?? [];
  if (good.length > 0)
    problems.push({
      level: "info",
      file,
      line: 0,
      path: "",
      message: "what this file said before stays in force",
    });
  return { observation, good, problems };
}

function parseObservation(file: string, observation: Observation): Parsed {
  const fail = (message: string): Parsed => ({
    resources: [],
    problems: [{ level: "error", file, line: 0, path: "", message }],
  });
  if ("fault" in observation) return fail(observation.fault);
  try {
    return parseResources(file, new TextDecoder("utf-8", { fatal: true }).decode(observation.bytes));
  } catch {
    return fail("is not UTF-8 text");
  }
}

function merge(files: Iterable<FileState>): Loaded {
  const resources = new Map<string, Resource>();
  const problems: Problem[] = [];
  for (const state of files) {
    problems.push(...state.problems);
    for (const resource of state.good) {
      const earlier = resources.get(nameOf(resource));
      if (!earlier) resources.set(nameOf(resource), resource);
      else
        problems.push({
          level: "error",
          ...resource.source,
          path: formatPath(["metadata", "name"]),
          message: `${nameOf(resource)} is ignored here: it is in ${earlier.source.file}:${earlier.source.line} too`,
        });
    }
  }
  return { resources: [...resources.values()], problems };
}
