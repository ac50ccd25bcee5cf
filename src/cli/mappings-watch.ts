import type { Command } from "commander";
import { decodeValue } from "../mappings/codec.ts";
import { differences } from "../mappings/poll-watch.ts";
import type { MappingStore } from "../mappings/store.ts";
import { type StoreFlags, withOpenStore, withStore } from "./mappings-store.ts";
import { print } from "./output.ts";

/** `value` as stored; absent when the entry is gone. */
export interface EntryChange {
  readonly change: "created" | "changed" | "deleted";
  readonly nat4: string;
  readonly value?: string;
}

export function registerMappingsWatch(mappings: Command): void {
  withStore(mappings.command("watch"))
    .description("print a line for each entry that is created, changed or deleted from now on, by whomever")
    .option("--json", "a JSON object a line")
    .action((options: StoreFlags & { json?: boolean }) =>
      withOpenStore(options, async (store) => {
        // A store that can't be reached is told now.
        for await (const _ of store.list()) break;
        const stop = new AbortController();
        process.once("SIGINT", () => stop.abort());
        process.once("SIGTERM", () => stop.abort());
        const format = options.json ? jsonLine : textLine;
        await followEntries(store, (change) => print(format(change)), stop.signal);
      }),
    );
}

/** Runs until the signal. What is missed while the store is away is told when it is back. */
export async function followEntries(
  store: MappingStore,
  tell: (change: EntryChange) => void,
  signal: AbortSignal,
): Promise<void> {
  const known = new Map<string, string>();
  let queue: Promise<unknown> = Promise.resolve();
  let first = true;

  /** In the order of their coming, after a listing under way; one that fails is followed by another one. */
  function inOrder(work: () => void | Promise<void>): void {
    queue = queue.then(work).catch(() => {});
  }

  function apply(nat4: string, value: string | undefined): void {
    const before = known.get(nat4);
    if (value === before) return;
    if (value === undefined) known.delete(nat4);
    else known.set(nat4, value);
    if (value === undefined) tell({ change: "deleted", nat4 });
    else tell({ change: before === undefined ? "created" : "changed", nat4, value });
  }

  async function relist(): Promise<void> {
    const now = new Map<string, string>();
    for await (const [nat4, value] of store.list()) now.set(nat4, value);
    if (first) for (const [nat4, value] of now) known.set(nat4, value);
    else for (const [nat4, value] of [...differences(known, now)]) apply(nat4, value);
    first = false;
  }

  await store.watch(
    {
      changed: (nat4, value) => inOrder(() => apply(nat4, value)),
      resync: () => inOrder(relist),
    },
    signal,
  );
}

function jsonLine({ change, nat4, value }: EntryChange): string {
  const mapping = value === undefined ? undefined : decodeValue(value);
  return JSON.stringify({ change, nat4, ...(mapping ?? (value === undefined ? {} : { malformed: value })) });
}

function textLine({ change, nat4, value }: EntryChange): string {
  const text =
    value === undefined
      ? ""
      : (decodeValue(value)?.host6 ?? `malformed: ${JSON.stringify(value.slice(0, 80))}`);
  return `${change} ${nat4.padEnd(15)} ${text}`.trimEnd();
}
