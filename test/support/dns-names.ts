/** A zone with a name for every case that the DNS proxy tells apart. */
import type { Zone } from "../../src/lab/dns-server.ts";

const host = (last: string | number) => `2001:db8:46::${last}`;

export const testZone: Zone = {
  soa: { zone: "example", ttl: 900, minimum: 120 },
  names: {
    "v4only.example": { records: { A: ["192.0.2.4"] } },
    "dual.example": { records: { A: ["192.0.2.5", "192.0.2.6"], AAAA: [host(5)] } },
    "v6only.example": { ttl: 200, records: { AAAA: [host(80)] } },
    "brief.example": { ttl: 30, records: { AAAA: [host(81)] } },
    "nosoa.example": { ttl: 86400, withoutSoa: true, records: { AAAA: [host(82)] } },
    "several.example": { records: { AAAA: [host(3), host(1), host(2)] } },
    "crowd.example": {
      records: { AAAA: Array.from({ length: 40 }, (_, index) => host((index + 256).toString(16))) },
    },
    "alias.example": { records: { CNAME: ["middle.example"] } },
    "middle.example": { records: { CNAME: ["v6only.example"] } },
    "alias4.example": { records: { CNAME: ["v4only.example"] } },
    "dangling.example": { records: { CNAME: ["nowhere.example"] } },
    "circle.example": { records: { CNAME: ["circle2.example"] } },
    "circle2.example": { records: { CNAME: ["circle.example"] } },
    "nodata.example": { records: { TXT: ["neither A nor AAAA"] } },
    "servfail.example": { behaviour: "servfail" },
    "refused.example": { behaviour: "refused" },
    "mute.example": { behaviour: "mute" },
    "afail.example": { behaviour: { A: "servfail" }, records: { AAAA: [host(90)] } },
    "adenied.example": { behaviour: { A: "nxdomain" }, records: { AAAA: [host(90)] } },
    "aaaafail.example": { behaviour: { AAAA: "servfail" }, records: { TXT: ["x"] } },
    "aaaarefused.example": { behaviour: { AAAA: "refused" }, records: { TXT: ["x"] } },
    "aaaadenied.example": { behaviour: { AAAA: "nxdomain" }, records: { TXT: ["x"] } },
    "aaaamute.example": { behaviour: { AAAA: "mute" }, records: { TXT: ["x"] } },
    "aaaamute4.example": { behaviour: { AAAA: "mute" }, records: { A: ["192.0.2.7"] } },
    "cut.example": { behaviour: "truncate", records: { A: ["192.0.2.8"] } },
    "aaaacut.example": { behaviour: { AAAA: "truncate" }, records: { AAAA: [host(91)] } },
    "mapped.example": { records: { AAAA: ["::ffff:192.0.2.9"] } },
    "linklocal.example": { records: { AAAA: ["fe80::1", host(92)] } },
    "signed6.example": { signed: true, records: { AAAA: [host(93)] } },
    "forged.example": { behaviour: "forge", records: { A: ["192.0.2.10"] } },
    "lower.example": { behaviour: "lowercase", records: { A: ["192.0.2.11"] } },
    "slow.example": { delayMs: 700, records: { A: ["192.0.2.12"] } },
    "svc.example": { records: { TYPE65: ["0001000001000302683200040004c0000201"], AAAA: [host(94)] } },
    "big.example": {
      records: { TXT: Array.from({ length: 30 }, (_, index) => `${index} ${"x".repeat(200)}`) },
    },
  },
};
