import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { createInterface } from "node:readline";
import { parseListenAddress } from "../admin/listen-address.ts";
import { Eg46Error } from "../errors.ts";
import { isErrorBody, parseJson } from "./admin-client.ts";

const connectMs = 5_000;

/**
 * GET of a /v1 path whose body has a JSON value a line and no end, at the first address that a gateway answers at.
 * Rejects as askGateway() does; the iteration throws EG46_ADMIN_UNREACHABLE when the gateway goes away.
 */
export async function followGateway<Line>(
  path: string,
  addresses: readonly string[],
): Promise<AsyncIterable<Line>> {
  const tried: string[] = [];
  for (const address of addresses) {
    const response = await open(address, path).catch((error: NodeJS.ErrnoException) => {
      if (error instanceof Eg46Error) throw error;
      tried.push(`${address} (${error.code ?? error.message})`);
    });
    if (response === undefined) continue;
    if (response.statusCode === 200) return lines(response, address);
    const body = parseJson(Buffer.concat(await response.toArray()).toString());
    if (isErrorBody(body)) throw new Eg46Error(body.code, `${address}: ${body.message}`);
    tried.push(`${address} (something answers, but not as an egress46 gateway)`);
  }
  throw new Eg46Error("EG46_ADMIN_UNREACHABLE", `no gateway answers: tried ${tried.join(", ")}`);
}

async function open(address: string, path: string): Promise<IncomingMessage> {
  const { host, port } = parseListenAddress(address);
  const asked = request({ host, port, path, agent: false });
  asked.setTimeout(connectMs, () => asked.destroy(new Error(`no answer in ${connectMs / 1000} s`)));
  asked.end();
  const [response] = (await once(asked, "response")) as [IncomingMessage];
  asked.setTimeout(0);
  // From here on it is the response's, too.
  asked.on("error", () => {});
  return response;
}

/** A connection that breaks ends the lines with an error, or in the middle of one. */
async function* lines<Line>(response: IncomingMessage, address: string): AsyncGenerator<Line> {
  let cause: unknown;
  // The reader of lines only hears of an error while it waits.
  response.on("error", (error) => {
    cause ??= error;
  });
  try {
    for await (const line of createInterface({ input: response })) yield JSON.parse(line) as Line;
  } catch (error) {
    cause ??= error;
  }
  throw new Eg46Error("EG46_ADMIN_UNREACHABLE", `${address}: the gateway has gone away`, { cause });
}
