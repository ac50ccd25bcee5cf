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

/** A connection's filter is told of its root only at its creation; all of them have one configuration but in odd set-ups. */
export function anyFilterRoot(): Root | null {
  for (let i: u32 = 0; i < count; i++) if (rootAt(i).role == Role.FILTER && rootAt(i).id != 0) return rootAt(i);
  return null;
}

/** Null: too many. */
export function addRoot(id: u32): Root | null {
  let free: u32 = count;
  for (let i: u32 = 0; i < count; i++) if (rootAt(i).id == 0) free = i;
  if (free == MAX_ROOTS) return null;
  if (free == count) count++;
  const root = rootAt(free);
  root.id = id;
  root.role = Role.FILTER;
  root.cluster = CLUSTERS + <usize>free * CLUSTER_SIZE;
  root.clusterSize = 0;
  return root;
}

export function removeRoot(root: Root): void {
  root.id = 0;
}
