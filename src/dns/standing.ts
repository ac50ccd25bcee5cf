/**
 * Whether a stale answer may still be given: nobody has said for a while that its addresses are in use, so mappings with
 * a lease may be about to end.
 */
import { numberToIpv4 } from "../addresses.ts";
import { inTime } from "../in-time.ts";
import { staleTtl } from "./known-names.ts";
import type { MapHost } from "./map-hosts.ts";
import { headerLength, recordType, scanMessage, u32 } from "./message.ts";

interface Parts {
  readonly mapHost: MapHost;
  /** The IPv6 host that a NAT address stands for. */
  hostOf(nat4: string): Promise<string | undefined>;
}

const deadlineMs = 1000;

/** `reply` is an answer of DNS46: its A records are NAT addresses. True once each is mapped, and lives, as it was. */
export function createStanding({ mapHost, hostOf }: Parts): (reply: Uint8Array) => Promise<boolean> {
  async function stands(nat4: string, name: Uint8Array): Promise<boolean> {
    const host6 = await hostOf(nat4);
    if (host6 === undefined) return false;
    const mapping = await mapHost(host6, { name, ttl: staleTtl });
    return mapping.kind === "mapped" && mapping.nat4 === nat4;
  }

  return async (reply) => {
    const message = scanMessage(reply);
    if (message === undefined) return false;
    const name = reply.subarray(headerLength, message.question.nameEnd);
    const addresses = message.records
      .filter(({ section, type }) => section === "answer" && type === recordType.A)
      .map(({ rdata }) => numberToIpv4(u32(reply, rdata)));
    const all = Promise.all(addresses.map((nat4) => stands(nat4, name)));
    return await inTime(all, deadlineMs, (cause) => cause).then(
      (each) => each.every(Boolean),
      () => false,
    );
  };
}
