/** Packets through a real tayga. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { mustExecute } from "./exec.ts";
import { be32 } from "./packets.ts";

export interface TaygaSettings {
  /** Its own address, source of its ICMP errors. */
  readonly own4: string;
  readonly pool6: string;
  readonly eams: readonly { readonly v4: string; readonly v6: string }[];
  readonly mtu: number;
}

/** What tayga makes of each packet. Packets have at most 65,521 bytes. */
export async function throughTayga(
  settings: TaygaSettings,
  packets: readonly Uint8Array[],
): Promise<readonly (readonly Uint8Array[])[]> {
  const folder = mkdtempSync(`${tmpdir()}/egress46-tayga-`);
  try {
    const maps = settings.eams.map(({ v4, v6 }) => `map ${v4} ${v6}`);
    const lines = ["tun-device nat64", `ipv4-addr ${settings.own4}`, `prefix ${settings.pool6}`, ...maps];
    writeFileSync(`${folder}/tayga.conf`, `${lines.join("\n")}\n`);
    writeFileSync(`${folder}/mtu`, String(settings.mtu));
    writeFileSync(`${folder}/in`, joinPackets(packets));
    const feeder = fileURLToPath(new URL("tayga-feed.js", import.meta.url));
    await mustExecute(["unshare", "--net", process.execPath, feeder, folder], { timeoutMs: 240_000 });
    const all = splitPackets(readFileSync(`${folder}/out`));
    const results: Uint8Array[][] = [];
    for (let at = 0; at < all.length; ) {
      const count = Buffer.from(all[at]!).readUInt32BE();
      results.push(all.slice(at + 1, at + 1 + count));
      at += 1 + count;
    }
    return results;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Each packet behind its length. */
export function joinPackets(packets: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(packets.flatMap((packet) => [be32(packet.length), packet]));
}

export function splitPackets(bytes: Buffer): Uint8Array[] {
  const packets: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt32BE(at);
    packets.push(bytes.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return packets;
}
