import type { Item } from "./items.ts";
import type { NetState } from "./state.ts";
import { type SysctlChange, sysctlChanges } from "./sysctl.ts";

/** One change of the host's network with its opposite. */
export type Step =
  | { readonly tool: "nft"; readonly run: string; readonly undo: string }
  | {
      readonly tool: "ip";
      readonly family: 4 | 6;
      readonly removes: boolean;
      readonly run: string;
      readonly undo: string;
    }
  | { readonly tool: "link"; readonly run: string; readonly undo: string }
  | { readonly tool: "sysctl"; readonly change: SysctlChange };

export interface Actual {
  /** The ruleset that was applied last; to a table that isn't known, what would remove it. */
  readonly nft: string;
  readonly items: readonly Item[];
  readonly readSysctl: (key: string) => number | undefined;
}

/**
 * From what is there to what is wanted: guard first, then sysctls, then everything new before anything old goes, so
 * that no moment has less protection than before. With `keepOld` nothing goes.
 */
export function planSteps(actual: Actual, wanted: NetState, keepOld = false): Step[] {
  const nft: Step[] = actual.nft === wanted.nft ? [] : [{ tool: "nft", run: wanted.nft, undo: actual.nft }];
  const sysctls = sysctlChanges(wanted.sysctls, actual.readSysctl).map(
    (change): Step => ({ tool: "sysctl", change }),
  );
  const present = new Set(actual.items.map(key));
  const needed = new Set(wanted.items.map(key));
  const added = distinct(wanted.items)
    .filter((item) => !present.has(key(item)))
    .map((item) => itemStep("add", item));
  const gone = keepOld ? [] : actual.items.filter((item) => !needed.has(key(item)));
  // Rules go before the tables that they point to.
  const removed = [...gone].reverse().map((item) => itemStep("del", item));
  return [...nft, ...sysctls, ...added, ...removed];
}

function itemStep(verb: "add" | "del", item: Item): Step {
  const opposite = verb === "add" ? "del" : "add";
  return {
    tool: "ip",
    family: item.family,
    removes: verb === "del",
    run: `${item.kind} ${verb} ${item.text}`,
    undo: `${item.kind} ${opposite} ${item.text}`,
  };
}

function key(item: Item): string {
  return `${item.family} ${item.kind} ${item.text}`;
}

function distinct(items: readonly Item[]): Item[] {
  return [...new Map(items.map((item) => [key(item), item])).values()];
}
