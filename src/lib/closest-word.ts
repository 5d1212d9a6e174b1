// The word that was probably meant: for "did you mean …?" in error messages. Distance of Damerau and Levenshtein
// (optimal string alignment); a suggestion differs by at most a third of its letters, so that none is far-fetched.

const LENGTH_MAX = 64;
/** Products of lengths, of all candidates together: some ms. Who may ask the edge for names that are not there could hold it otherwise. */
const WORK_MAX = 100_000;

/** undefined when no candidate is close. Cost: product of both lengths for each candidate of about the length of the word, up to WORK_MAX. */
export function closestWord(word: string, candidates: Iterable<string>): string | undefined {
  if (word.length > LENGTH_MAX) return undefined;
  let best: string | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  let work = 0;
  for (const candidate of candidates) {
    const longest = Math.max(word.length, candidate.length);
    const most = Math.max(1, Math.floor(longest / 3));
    if (longest > LENGTH_MAX || Math.abs(word.length - candidate.length) > most) continue;
    work += word.length * candidate.length;
    if (work > WORK_MAX) break;
    const distance = distanceBetween(word.toLowerCase(), candidate.toLowerCase());
    if (distance <= most && distance < longest && distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

function distanceBetween(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let cost = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) cost = Math.min(cost, beforeLast[j - 2]! + 1);
      row.push(cost);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length]!;
}
