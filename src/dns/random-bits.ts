/** Random numbers that nobody can predict (RFC 5452 §9.2), fetched 4 KB at a time: a call a number costs more than the number. */
import { randomFillSync } from "node:crypto";

const stock = new Uint16Array(2048);
let used = stock.length;

/** 0 to 65535. */
export function random16(): number {
  if (used === stock.length) {
    randomFillSync(stock);
    used = 0;
  }
  return stock[used++]!;
}

/** 0 to `count` - 1, `count` at most a few hundred: the bias of the remainder is below one in a hundred then. */
export function randomBelow(count: number): number {
  return random16() % count;
}
