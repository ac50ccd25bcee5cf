import { readFile } from "node:fs/promises";
import { request } from "node:http";
import type { Command } from "commander";
import type { ErrorBody } from "../admin/api.ts";
import { type GatewayFile, gatewayFilePath, runDirectory } from "../admin/gateway-file.ts";
import { defaultAdmin, parseListenAddress } from "../admin/listen-address.ts";
import { Eg46Error, type ErrorCode, errorCatalog } from "../errors.ts";

const timeoutMs = 5_000;

/** Adds `--admin HOST:PORT` to a command that asks the gateway. */
export function withAdminOption(command: Command): Command {
  return command.option(
    "--admin <host:port>",
    `where the gateway's admin API is (default: found by network namespace, else ${defaultAdmin})`,
  );
}

/** Admin addresses to try, in order: the one asked for, or the one registered for this network namespace and the default. */
export async function gatewayAddresses(
  admin?: string,
  directory: string = runDirectory,
): Promise<readonly string[]> {
  if (admin !== undefined) return [admin];
  const registered = await registeredGateway(directory);
  // A file can outlive its gateway, and the kernel reuses namespace inodes: so it is a hint, not the only try.
  return registered === undefined || registered === defaultAdmin
    ? [defaultAdmin]
    : [registered, defaultAdmin];
}

async function registeredGateway(directory: string): Promise<string | undefined> {
  try {
    const { admin } = await readGatewayFile(directory);
    if (admin !== undefined) parseListenAddress(admin);
    return admin;
  } catch {
    return undefined;
  }
}

/** Process id of the gateway registered for this network namespace, if that process is alive. */
export async function registeredPid(directory: string = runDirectory): Promise<number | undefined> {
  try {
    const { pid } = await readGatewayFile(directory);
    return pid !== undefined && isAlive(pid) ? pid : undefined;
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

async function readGatewayFile(directory: string): Promise<Partial<GatewayFile>> {
  return JSON.parse(await readFile(gatewayFilePath(directory), "utf8"));
}

/**
 * GET of one /v1 path at the first address that a gateway answers at; resolves to the JSON body.
 * Rejects with EG46_ADMIN_UNREACHABLE naming every address tried, or with the error that the gateway answered.
 */
export async function askGateway<Body>(path: string, addresses: readonly string[]): Promise<Body> {
  const tried: string[] = [];
  for (const address of addresses) {
    const reply = await get(address, path).catch((error: NodeJS.ErrnoException) => {
      if (error instanceof Eg46Error) throw error;
      tried.push(`${address} (${error.code ?? error.message})`);
    });
    if (reply === undefined) continue;
    const body = parseJson(reply.text);
    if (reply.status === 200 && typeof body === "object" && body !== null) return body as Body;
    if (isErrorBody(body)) throw new Eg46Error(body.code, `${address}: ${body.message}`);
    tried.push(`${address} (something answers, but not as an egress46 gateway)`);
  }
  throw new Eg46Error("EG46_ADMIN_UNREACHABLE", `no gateway answers: tried ${tried.join(", ")}`);
}

function get(address: string, path: string): Promise<{ status: number; text: string }> {
  const { host, port } = parseListenAddress(address);
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(timeoutMs);
    const asked = request({ host, port, path, agent: false, signal }, (response) => {
      const parts: Buffer[] = [];
      response.on("data", (part: Buffer) => parts.push(part));
      response.on("error", reject);
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(parts).toString("utf8") }),
      );
    });
    asked.on("error", (error) =>
      reject(signal.aborted ? new Error(`no answer in ${timeoutMs / 1000} s`) : error),
    );
    asked.end();
  });
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export function isErrorBody(body: unknown): body is ErrorBody & { code: ErrorCode } {
  if (typeof body !== "object" || body === null) return false;
  const { code, message } = body as Partial<ErrorBody>;
  return typeof code === "string" && Object.hasOwn(errorCatalog, code) && typeof message === "string";
}
