/** How the lab writes to standard output: colours and rewritten lines only on a terminal that wants them. */
export interface Printer {
  line(text: string): void;
  /** A step begins; on a terminal the line is replaced by the step's end. */
  begin(title: string): void;
  end(title: string, ok: boolean, ms: number, lines: readonly string[]): void;
}

const width = 64;

export function createPrinter(stream: NodeJS.WriteStream = process.stdout): Printer {
  const terminal = stream.isTTY === true && process.env.TERM !== "dumb";
  const colours = terminal && !process.env.NO_COLOR;
  const paint = (code: number, text: string) => (colours ? `\x1b[${code}m${text}\x1b[0m` : text);
  // A terminal that was closed must not keep us from cleaning up.
  stream.on("error", () => {});
  const write = (text: string) => stream.write(text);
  return {
    line: (text) => write(`${text}\n`),
    begin: (title) => terminal && write(`  … ${title}`),
    end(title, ok, ms, lines) {
      const mark = ok ? paint(32, "✔") : paint(31, "✘");
      const time = paint(2, `${Math.round(ms)} ms`.padStart(8));
      write(`${terminal ? "\r\x1b[K" : ""}  ${mark} ${paint(1, title.padEnd(width))}${time}\n`);
      for (const line of lines) write(`      ${line}\n`);
    },
  };
}
