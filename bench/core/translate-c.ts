import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import koffi from "koffi";
import { addressOf } from "../../src/dataplane/syscalls.ts";
import { mappedBytes } from "../../src/engine/address-form.ts";
import { descriptorOffsets } from "../../src/engine/layout.gen.ts";
import { type Flows, hashKey, mtu, packetBytes, pool } from "./flows.ts";
import type { Translator } from "./translator.ts";

const source = fileURLToPath(new URL("../../../bench/core/translate.c", import.meta.url));

/** translate.c over the engine's memory, compiled by gcc -O3 into a temporary folder. */
export function translatorInC({ engine, packets, sessions, count }: Flows): Translator {
  const library = compile();
  const buckets = new Uint32Array(1 << Math.ceil(Math.log2(count + 1)));
  const start = (view: Uint32Array) => addressOf(new Uint8Array(view.buffer));
  const memory = addressOf(engine.bytes);
  library.setup(
    memory,
    memory + engine.layout.receiveRing,
    start(sessions),
    start(buckets),
    buckets.length,
    hashKey,
    mtu,
  );
  for (const address of pool) {
    const [lo = 0n, hi = 0n] = new BigUint64Array(mappedBytes(address).slice().buffer);
    library.addPool(lo, hi);
  }
  library.addSessions(1, count);
  const packetsAt = start(packets);
  return {
    name: "c",
    process: library.process,
    output(i) {
      const both = BigInt(library.outputAt(i));
      return { address: Number(both >> 32n), length: Number(both & 0xffffffffn) };
    },
    run: (batch, total, work) => library.run(packetsAt, count, batch, total, packetBytes, Number(work)),
    // Their memory is used by address.
    kept: [buckets, sessions, packets],
  };
}

function compile() {
  const folder = mkdtempSync(`${tmpdir()}/egress46-bench-`);
  try {
    const file = `${folder}/translate.so`;
    const { sizeof, address, length, slot } = descriptorOffsets;
    const layout = [
      `-DDESCRIPTOR_SIZE=${sizeof}`,
      `-DDESCRIPTOR_ADDRESS=${address}`,
      `-DDESCRIPTOR_LENGTH=${length}`,
      `-DDESCRIPTOR_SLOT=${slot}`,
    ];
    const argv = ["-O3", "-Wall", "-Werror", "-shared", "-fPIC", ...layout, "-o", file, source];
    const { status, stderr, error } = spawnSync("gcc", argv, { encoding: "utf8" });
    if (status !== 0) throw new Error(`gcc: ${error?.message ?? stderr.trim()}`);
    return load(file);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function load(file: string) {
  const library = koffi.load(file);
  const bind = <F>(prototype: string) => library.func(prototype) as unknown as F;
  type Wide = number | bigint;
  return {
    setup: bind<(m: Wide, r: Wide, s: Wide, b: Wide, n: number, key: bigint, mtu: number) => void>(
      "void setup(uint64_t, uint64_t, uint64_t, uint64_t, uint32_t, uint64_t, uint32_t)",
    ),
    addPool: bind<(lo: bigint, hi: bigint) => void>("void add_pool(uint64_t, uint64_t)"),
    addSessions: bind<(first: number, count: number) => void>("void add_sessions(uint32_t, uint32_t)"),
    process: bind<(count: number, now: number) => number>("uint32_t process(uint32_t, uint32_t)"),
    outputAt: bind<(i: number) => Wide>("uint64_t output_at(uint32_t)"),
    run: bind<(p: Wide, flows: number, batch: number, count: number, length: number, work: number) => number>(
      `double run(uint64_t, uint32_t, uint32_t, uint32_t, uint32_t, int)`,
    ),
  };
}
