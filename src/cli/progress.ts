/** How far a long command is, on standard error while that is a terminal: `12,000 of 60,000`. */
export interface Progress {
  at(count: number): void;
  end(): void;
}

const everyMs = 100;

export function createProgress(what: string, total?: number): Progress {
  const { stderr } = process;
  let shownMs = 0;
  return {
    at(count) {
      if (!stderr.isTTY || performance.now() - shownMs < everyMs) return;
      shownMs = performance.now();
      const of = total === undefined ? "" : ` of ${total.toLocaleString("en")}`;
      stderr.write(`\r${what} ${count.toLocaleString("en")}${of}`);
    },
    end() {
      if (stderr.isTTY && shownMs > 0) stderr.write("\r\x1b[K");
    },
  };
}
