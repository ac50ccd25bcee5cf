import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { endianness } from "node:os";
import { Eg46Error } from "../errors.ts";

/**
 * LMDB maps its file and trusts every byte of it: a page number out of range ends the process. So the file is looked
 * through before LMDB gets it. Layout: LMDB's mdb.c (MDB_page_header, MDB_meta, MDB_db, MDB_node), data version 2 with
 * the `lmdb` package's third meta page.
 */
const little = endianness() === "LE";
const magic = 0xbeefc0de;
const dataVersion = 2;
const headerSize = 24;
const pageFlag = { branch: 1, leaf: 2, meta: 8 } as const;
const bigData = 1;
const noPage = 0xffff_ffff_ffff_ffffn;
const maxDepth = 32;
/** Somebody else may be writing: then what we have read of two moments doesn't fit together. */
const attempts = 5;

interface Meta {
  readonly pageSize: number;
  readonly lastPage: bigint;
  readonly transaction: bigint;
  readonly bootId: bigint;
  /** Of the list of free pages and of the entries. */
  readonly roots: readonly bigint[];
}

interface PageFile {
  read(offset: number, length: number): DataView;
}

/** Throws EG46_STORE_CORRUPT saying what is wrong with the file, by the name given. Reads each page in use once. */
export function checkLmdbFile(path: string, name: string): void {
  const fd = openSync(path, "r");
  const file: PageFile = {
    read(offset, length) {
      const view = new DataView(new ArrayBuffer(length));
      if (readSync(fd, view, 0, length, offset) < length)
        throw new Error(`it ends before byte ${offset + length}`);
      return view;
    },
  };
  try {
    for (let attempt = 1; ; attempt++) {
      const meta = metaInUse(file);
      const problem = problemOf(file, meta);
      if (problem === undefined) return;
      const moved = metaInUse(file).transaction !== meta.transaction;
      if (!moved || attempt === attempts) throw new Error(problem);
    }
  } catch (error) {
    throw new Eg46Error("EG46_STORE_CORRUPT", `${name} is no sound LMDB file: ${(error as Error).message}`);
  } finally {
    closeSync(fd);
  }
}

/** The state that LMDB will go on from: the newest, unless the machine was started anew; then the last one flushed. */
function metaInUse(file: PageFile): Meta {
  const first = readMeta(file, 0);
  const boot = bootId();
  const pick = (a: Meta, b: Meta): Meta => {
    if (b.transaction === 0n) return a;
    const [older, newer] = a.transaction >= b.transaction ? [b, a] : [a, b];
    return newer.bootId !== 0n && newer.bootId === boot ? newer : older;
  };
  const latest = pick(first, readMeta(file, first.pageSize));
  return pick(latest, readMeta(file, first.pageSize / 2, false));
}

function readMeta(file: PageFile, offset: number, page = true): Meta {
  const view = file.read(offset, headerSize + 144);
  const at = headerSize;
  // Before the first flush the third one is all zero; it never has a page header.
  if (page) {
    if (view.getUint32(at, little) !== magic || (view.getUint16(18, little) & pageFlag.meta) === 0)
      throw new Error(`no meta page at byte ${offset}`);
    const version = view.getUint32(at + 4, little) & 0xffff;
    if (version !== dataVersion) throw new Error(`data version ${version}, where ${dataVersion} is known`);
  }
  const pageSize = view.getUint32(at + 24, little);
  if (page && (pageSize < 512 || pageSize > 65_536 || (pageSize & (pageSize - 1)) !== 0))
    throw new Error(`page size ${pageSize}`);
  return {
    pageSize,
    roots: [view.getBigUint64(at + 64, little), view.getBigUint64(at + 112, little)],
    lastPage: view.getBigUint64(at + 120, little),
    transaction: view.getBigUint64(at + 128, little),
    bootId: view.getBigInt64(at + 136, little),
  };
}

/** As LMDB reads it: the hex digits up to the first hyphen. */
function bootId(): bigint {
  try {
    return BigInt(`0x${readFileSync("/proc/sys/kernel/random/boot_id", "utf8").split("-")[0]}`);
  } catch {
    return 0n;
  }
}

function problemOf(file: PageFile, meta: Meta): string | undefined {
  try {
    for (const root of meta.roots) if (root !== noPage) checkTree(file, meta, root, 1);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Every page number in range, every offset inside its page, no deeper than a tree can be. */
function checkTree(file: PageFile, meta: Meta, page: bigint, depth: number): void {
  const { pageSize, lastPage } = meta;
  const inRange = (first: bigint, count = 1n) => first > 1n && count > 0n && first + count - 1n <= lastPage;
  if (!inRange(page)) throw new Error(`page ${page} of ${lastPage} is referred to`);
  const wrong = (what: string) => new Error(`page ${page}: ${what}`);
  if (depth > maxDepth) throw wrong("too deep");
  const view = file.read(Number(page) * pageSize, pageSize);
  const flags = view.getUint16(18, little);
  const branch = (flags & pageFlag.branch) !== 0;
  if (branch === ((flags & pageFlag.leaf) !== 0) || view.getBigUint64(0, little) !== page)
    throw wrong("no page of a tree");
  const lower = view.getUint16(20, little);
  const upper = view.getUint16(22, little);
  if (lower > upper || upper > pageSize - headerSize || lower < 2) throw wrong("impossible bounds");
  for (let index = 0; index < lower >> 1; index++) {
    const node = headerSize + view.getUint16(headerSize + 2 * index, little);
    if (node < headerSize + upper || node + 8 > pageSize) throw wrong(`entry ${index} lies outside`);
    const low = view.getUint32(node, little);
    const nodeFlags = view.getUint16(node + 4, little);
    const keyEnd = node + 8 + view.getUint16(node + 6, little);
    const elsewhere = !branch && (nodeFlags & bigData) !== 0;
    if (keyEnd + (branch ? 0 : elsewhere ? 24 : low) > pageSize) throw wrong(`entry ${index} is cut off`);
    if (branch) checkTree(file, meta, BigInt(low) | (BigInt(nodeFlags) << 32n), depth + 1);
    else if (elsewhere && !inRange(view.getBigUint64(keyEnd, little), view.getBigUint64(keyEnd + 16, little)))
      throw wrong(`entry ${index} refers to pages that are not there`);
  }
}
