/** Certificates for the feed, as what Envoy follows (SDS): it reads files that are replaced by renaming anew. */
import { dirname, join } from "node:path";
import type { FeedTlsFiles } from "./options.ts";

/** By name; Envoy wants a file for each. */
export function secretFiles({ cert, key, ca }: FeedTlsFiles): Readonly<Record<string, object>> {
  return {
    "feed-certificate.yaml": secret("feed-certificate", {
      tls_certificate: {
        certificate_chain: { filename: cert },
        private_key: { filename: key },
        watched_directory: { path: dirname(cert) },
      },
    }),
    "feed-authority.yaml": secret("feed-authority", {
      validation_context: { trusted_ca: { filename: ca }, watched_directory: { path: dirname(ca) } },
    }),
  };
}

function secret(name: string, fields: object): object {
  const type = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
  return { resources: [{ "@type": type, name, ...fields }] };
}

/** Both ends show who they are. */
export function feedTlsSocket(dir: string): object {
  const follow = (name: string) => ({
    name,
    sds_config: { resource_api_version: "V3", path_config_source: { path: join(dir, `${name}.yaml`) } },
  });
  return {
    name: "envoy.transport_sockets.tls",
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
      common_tls_context: {
        tls_certificate_sds_secret_configs: [follow("feed-certificate")],
        validation_context_sds_secret_config: follow("feed-authority"),
      },
    },
  };
}
