/** Two units are enough: `3 d 4 h`, `12 min 5 s`. */
export function formatDuration(seconds: number): string {
  const units = [
    ["d", Math.floor(seconds / 86_400)],
    ["h", Math.floor(seconds / 3_600) % 24],
    ["min", Math.floor(seconds / 60) % 60],
    ["s", seconds % 60],
  ] as const;
  const first = units.findIndex(([, value]) => value > 0);
  if (first === -1) return "0 s";
  return units
    .slice(first, first + 2)
    .map(([unit, value]) => `${value} ${unit}`)
    .join(" ");
}
