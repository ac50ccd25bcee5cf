/** Keys of what is kept beside the dSSM entries. None begins like an entry's key, so that nobody takes one for an entry. */
const prefix = "egress46:";

/** First and last place of our keys in an ordered store: the semicolon follows the colon. */
export const recordRange = { start: prefix, end: "egress46;" } as const;

/** Holds an address for the host that had it: its RFC 5952 text. */
export const heldPrefix = `${prefix}held:`;
/** The hosts that a name led to. */
export const namePrefix = `${prefix}name:`;
/** Redis only: somebody has leases, so that addresses may be held. */
export const leasesMark = `${prefix}leases`;
/** LMDB only, where keys have no end of their own: the value of the leased entry. */
export const leasePrefix = `${prefix}lease:`;

/** LMDB only: how far wall time and time since the boot are apart. It has no end, and so is none of the range. */
export const clockKey = "egress46-clock";

export const heldKey = (nat4: string) => heldPrefix + nat4;
export const nameKey = (name: string) => namePrefix + name;
export const leaseKey = (nat4: string) => leasePrefix + nat4;
