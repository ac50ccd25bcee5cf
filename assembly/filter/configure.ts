/** proxy_on_configure: a root context's role and its configuration. */
import { readConfiguration } from "./configuration";
import { Buffer, LogLevel, OK, getBufferBytes } from "./hostcalls";
import { resultAt, resultPointer, resultSize, resultSizePointer, takeBack } from "./lent";
import { logText } from "./log";
import { defineMetrics } from "./metrics";
import { Role, Root, addRoot } from "./roots";
import { beginText, put } from "./text";

/** Null: it is not to be had, and Envoy's log says why. */
export function configure(context: u32, size: u32, role: Role): Root | null {
  takeBack();
  const root = addRoot(context, role);
  takeBack();
  if (root == null) return null;
  if (getBufferBytes(Buffer.PLUGIN_CONFIGURATION, 0, size, resultPointer, resultSizePointer) != OK || size == 0) {
    beginText();
    put("filter configuration: there is none; the least is {\"feedCluster\": \"egress46_feed\"}");
    logText(LogLevel.ERROR);
    return null;
  }
  if (!readConfiguration(root, resultAt(), resultSize())) return null;
  defineMetrics();
  return root;
}
