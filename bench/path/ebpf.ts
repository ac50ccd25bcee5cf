import { hasCommand } from "../../src/lab/prerequisites.ts";
import type { Results } from "../results.ts";

/** The peer that is named but not there: an eBPF program with bpf_skb_change_proto. */
export function noteEbpf(results: Results): void {
  const reason = hasCommand("clang") ? "not written" : "clang is missing";
  results.notRun.push({ what: "eBPF change_proto", reason });
}
