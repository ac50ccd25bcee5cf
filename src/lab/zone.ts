import { labAddresses } from "./addresses.ts";
import type { Zone } from "./dns-zone.ts";

const { web } = labAddresses;
const ttl = 60;

/** The lab's names: one for each case that a DNS46 gateway has to tell apart. */
export const labZone: Zone = {
  soa: { zone: "example", ttl: 300, minimum: 60 },
  names: {
    "v6only.example": { ttl, records: { AAAA: [web.v6only] } },
    "dual.example": { ttl, records: { A: [web.dual4], AAAA: [web.dual6] } },
    "v4only.example": { ttl, records: { A: [web.v4only] } },
    "manual.example": { ttl, records: { AAAA: [web.manual] } },
    // A chain of aliases that ends at an IPv6-only host, one that leaves for an unknown zone, one without an end.
    "www.example": { ttl, records: { CNAME: ["alias.example"] } },
    "alias.example": { ttl, records: { CNAME: ["v6only.example"] } },
    "dangling.example": { ttl, records: { CNAME: ["missing.example"] } },
    "loop.example": { ttl, records: { CNAME: ["loop.example"] } },
    "many.example": { ttl, records: { AAAA: [web.v6only, web.dual6, web.manual] } },
    // IPv4 hosts in IPv6 dress: never to be translated.
    "mapped.example": { ttl, records: { AAAA: ["::ffff:198.51.100.80"] } },
    "text.example": { ttl, records: { TXT: ["neither A nor AAAA"] } },
    "signed.example": { ttl, records: { AAAA: [web.v6only] }, signed: true },
    "truncated.example": { ttl, records: { AAAA: [web.v6only] }, behaviour: "truncate" },
    "slow.example": { ttl, records: { AAAA: [web.v6only] }, delayMs: 500 },
    "forged.example": { ttl, records: { AAAA: [web.v6only] }, behaviour: "forge" },
    "servfail.example": { behaviour: "servfail" },
    "refused.example": { behaviour: "refused" },
    "mute.example": { behaviour: "mute" },
    // The A question fails while AAAA has an answer.
    "halfbroken.example": { ttl, records: { AAAA: [web.v6only] }, behaviour: { A: "servfail" } },
  },
};
