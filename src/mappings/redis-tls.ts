import { isIP } from "node:net";
import { type ConnectionOptions, checkServerIdentity } from "node:tls";
import type { Certificates } from "./certificates.ts";
import type { Endpoint, RedisPlace } from "./redis-url.ts";

export type TlsOptions = Pick<
  ConnectionOptions,
  "cert" | "key" | "ca" | "servername" | "checkServerIdentity"
>;

/**
 * The options of the next TLS connection to `endpoint`, with the certificates of that moment. A server that was named by
 * a sentinel or a cluster, mostly by its address, may show a certificate of one of the hosts of the URL: they are the
 * same deployment's, and the authority is the same.
 */
export function tlsTo(place: RedisPlace, { host }: Endpoint, certificates: () => Certificates): TlsOptions {
  const { cert, key, ca } = certificates();
  return {
    ...(cert && { cert }),
    ...(key && { key }),
    ...(ca && { ca }),
    ...(isIP(host) === 0 ? { servername: host } : {}),
    checkServerIdentity(name, certificate) {
      const objection = checkServerIdentity(name, certificate);
      if (objection === undefined || place.kind === "single") return objection;
      const known = place.hosts.some((each) => checkServerIdentity(each.host, certificate) === undefined);
      return known ? undefined : objection;
    },
  };
}
