import { InvalidArgumentError, Option } from "commander";
import type { RedisWait } from "../mappings/redis-replication.ts";

const maxCopies = 16;

export const redisWaitOption = () =>
  new Option(
    "--redis-wait <n|auto|off>",
    "replicas that must have a new mapping before it is answered with (auto: 1 if the server has any)",
  )
    .argParser(parseRedisWait)
    .default("auto");

export const redisHelp = `
Redis: several hosts are sentinels, with the primary's name behind them, or nodes of a cluster; rediss speaks TLS to all of
them. Credentials in the URL (rediss+sentinel://USER:PASSWORD@HOST,HOST/PRIMARY) are those of the servers; sentinels that want
some get them by ?sentinel-user=…&sentinel-password=… at its end. Changed PEM files count from the next connection on.
`;

export function parseRedisWait(text: string): RedisWait {
  if (text === "auto" || text === "off") return text;
  const count = Number(text);
  if (!/^\d+$/.test(text) || count < 1 || count > maxCopies)
    throw new InvalidArgumentError(`It must be a number from 1 to ${maxCopies}, auto or off.`);
  return count;
}
