import { descriptorOffsets } from "../../src/engine/layout.gen.ts";
import type { Flows } from "./flows.ts";
import { generator, randomPacket } from "./random-packet.ts";
import type { Translator } from "./translator.ts";

export interface Comparison {
  /** Of the packets, how many came out of every translator. */
  readonly translated: number;
  /** The first packet that came out of one in another form than out of the first translator, and what they made. */
  readonly difference: string | undefined;
}

/**
 * `count` random packets of the flows, one at a time: the first translator's bytes come out of the others, or none. The
 * references refuse what the engine's fast path leaves to its pipeline.
 */
export function compareOnRandomPackets(
  flows: Flows,
  translators: readonly Translator[],
  count: number,
  seed: number,
): Comparison {
  const random = generator(seed);
  let translated = 0;
  for (let i = 0; i < count; i++) {
    const packet = randomPacket(flows, random);
    const outputs = translators.map((translator) => through(flows, translator, packet));
    if (outputs.every((output) => output !== "")) translated++;
    if (outputs.every((output) => output === "" || output === outputs[0])) continue;
    const told = translators.map(({ name }, index) => `${name} ${outputs[index] || "nothing"}`);
    const difference = `seed ${seed}, packet ${Buffer.from(packet).toString("hex")}: ${told.join(", ")}`;
    return { translated, difference };
  }
  return { translated, difference: undefined };
}

/** The translated packet in hexadecimal. The engine's answer to a packet that it refuses (ICMP, in IPv4) is none. */
function through({ engine }: Flows, translator: Translator, packet: Uint8Array): string {
  const { words, bytes, layout } = engine;
  const descriptor = layout.receiveRing >> 2;
  bytes.set(packet, words[descriptor + (descriptorOffsets.address >> 2)]!);
  words[descriptor + (descriptorOffsets.length >> 2)] = packet.length;
  if (translator.process(1, 1) === 0) return "";
  const { address, length } = translator.output(0);
  const output = bytes.subarray(address, address + length);
  return output[12]! >> 4 === 6 ? Buffer.from(output).toString("hex") : "";
}
