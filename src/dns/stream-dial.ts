/** Opens the connections of an upstream: TCP, or TLS with the server's name verified (RFC 7858 §4.2). */
import { connect, isIP, type Socket } from "node:net";
import { type ConnectionOptions, checkServerIdentity, connect as connectTls, type TLSSocket } from "node:tls";

export interface TlsSettings {
  /** Authentication name: what the server's certificate must be for. */
  readonly name: string;
  /** PEM. Undefined: the authorities that Node brings along. */
  readonly ca?: string | Uint8Array | undefined;
}

/** Calls `established` once questions can leave. Failures are the socket's own 'error'. */
export type Dial = (established: () => void) => Socket;

export function tcpDial(address: string, port: number): Dial {
  return (established) => connect({ host: address, port, noDelay: true }, established);
}

/** Sessions are resumed (RFC 8446 §2.2): a new connection then costs one round trip less, and no certificate check. */
export function tlsDial(address: string, port: number, { name, ca }: TlsSettings): Dial {
  let session: Buffer | undefined;
  return (established) => {
    const options: ConnectionOptions = {
      host: address,
      port,
      minVersion: "TLSv1.2",
      // RFC 6066 §3: no literal addresses there; the certificate is checked for them all the same.
      ...(isIP(name) === 0 && { servername: name }),
      checkServerIdentity: (_host, certificate) => checkServerIdentity(name, certificate),
      ...(ca !== undefined && { ca: Buffer.from(ca) }),
      ...(session !== undefined && { session }),
    };
    const socket: TLSSocket = connectTls(options, established);
    socket.setNoDelay(true);
    socket.on("session", (fresh) => {
      session = fresh;
    });
    socket.on("error", () => {
      session = undefined;
    });
    return socket;
  };
}
