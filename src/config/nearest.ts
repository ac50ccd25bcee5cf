const maxCompared = 64;

/** The candidate with the fewest edits (Levenshtein, ignoring case) from `text`, and how many; candidates are not empty. */
export function nearest(text: string, candidates: readonly string[]): { name: string; edits: number } {
  const scored = candidates.map((name) => ({ name, edits: editDistance(fold(text), fold(name)) }));
  return scored.reduce((best, candidate) => (candidate.edits < best.edits ? candidate : best));
}

function fold(text: string): string {
  return text.slice(0, maxCompared).toLowerCase();
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
