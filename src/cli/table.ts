export interface Column {
  readonly title: string;
  readonly align: "left" | "right";
  readonly minWidth?: number;
}

/** Header row, a row of dashes, one row each; columns as wide as their widest cell, a space apart. */
export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const widths = columns.map(({ title, minWidth = 0 }, index) =>
    Math.max(minWidth, title.length, ...rows.map((row) => row[index]?.length ?? 0)),
  );
  const line = (cells: readonly string[]): string =>
    columns
      .map(({ align }, index) => {
        const cell = cells[index] ?? "";
        const width = widths[index] ?? 0;
        return align === "left" ? cell.padEnd(width) : cell.padStart(width);
      })
      .join(" ")
      .trimEnd();
  const dashes = widths.map((width) => "-".repeat(width));
  return [columns.map(({ title }) => title), dashes, ...rows].map(line).join("\n");
}
