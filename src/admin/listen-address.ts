import { isIPv6 } from "node:net";
import { Eg46Error } from "../errors.ts";

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** Where the admin API listens unless --admin says otherwise. */
export const defaultAdmin = "127.0.0.1:9046";

/** `127.0.0.1:9046`, `localhost:9046` or `[::1]:9046` → host and port. Throws EG46_USAGE on anything else. */
export function parseListenAddress(text: string): ListenAddress {
  const match = /^(?:\[([^\]]+)\]|([^[\]:/\s]+)):(\d{1,5})$/.exec(text);
  const [, bracketed, plain, digits] = match ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  if (host === undefined || port > 65535 || (bracketed !== undefined && !isIPv6(bracketed)))
    throw new Eg46Error(
      "EG46_USAGE",
      `'${text}' is not an address to listen on, such as ${defaultAdmin} or [::1]:9046`,
    );
  return { host, port };
}

export function formatListenAddress({ host, port }: ListenAddress): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
}
