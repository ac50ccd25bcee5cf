import { proxyLog } from "./hostcalls";
import { textAt, textSize } from "./text";

/** The text so far, as one line of Envoy's log. */
export function logText(level: u32): void {
  proxyLog(level, textAt(), textSize());
}
