import { OK, setEffectiveContext } from "./hostcalls";

/** Root contexts: one a plugin configuration and role. A VM has few of them, and nothing of one is another's. */
export enum Role {
  FILTER,
  FEED,
}

@unmanaged
@final
export class Root {
  id: u32;
  role: u32;
  /** How long a connection waits for what the gateway must say. */
  waitMs: u32;
  /** 0: refusals are counted, not logged. */
  logRefusals: u32;
  clusterSize: u32;
  /** Where the name of the feed's cluster is: CLUSTER_SIZE bytes. */
  cluster: usize;
}
const ROOT_SIZE: usize = 24;
if (offsetof<Root>() != 24) ERROR("Root must be 24 bytes");

export const CLUSTER_SIZE: u32 = 64;
const MAX_ROOTS: u32 = 64;
const ROOTS = memory.data(64 * 24, 8);
const CLUSTERS = memory.data(64 * 64, 8);
let count: u32 = 0;

function rootAt(index: u32): Root {
  return changetype<Root>(ROOTS + <usize>index * ROOT_SIZE);
}

export function rootOf(id: u32): Root | null {
  for (let i: u32 = 0; i < count; i++) if (rootAt(i).id == id) return rootAt(i);
  return null;
}

/** Connections aren't told of their root, which would be a call more: they go by the configuration that came last. */
export function newestFilterRoot(): Root | null {
  return newest == 0 ? null : rootOf(newest);
}

let newest: u32 = 0;

/** A root context that is configured, anew or again. Null: too many. */
export function addRoot(id: u32, role: Role): Root | null {
  if (role == Role.FILTER) newest = id;
  const known = rootOf(id);
  if (known != null) return known;
  let free: u32 = count;
  for (let i: u32 = 0; i < count; i++) if (!isAlive(rootAt(i).id)) free = i;
  setEffectiveContext(id);
  if (free == MAX_ROOTS) return null;
  if (free == count) count++;
  const root = rootAt(free);
  root.id = id;
  root.role = role;
  root.cluster = CLUSTERS + <usize>free * CLUSTER_SIZE;
  root.clusterSize = 0;
  return root;
}

/** Envoy doesn't say that a context is gone: the end of each connection would be a call, too. */
function isAlive(id: u32): bool {
  return setEffectiveContext(id) == OK;
}
