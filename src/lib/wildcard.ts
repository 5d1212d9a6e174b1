// Texts with `*` for any characters (`\*` and `\\` are the characters themselves), tested in time linear in the text whatever both
// look like: pieces are searched from left to right by Knuth, Morris and Pratt, and the earliest place of each is as good as any.
// Used by event-filter.ts.

/** `pattern` is well-formed: a backslash stands before `*` or a backslash. */
export function wildcardTest(pattern: string): (text: string) => boolean {
  const pieces = piecesOf(pattern);
  if (pieces.length === 1) return (text) => text === pieces[0];
  const first = pieces[0]!;
  const last = pieces.at(-1)!;
  const middle = pieces
    .slice(1, -1)
    .filter((piece) => piece !== '')
    .map(searchFor);
  return (text) => {
    if (text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last)) return false;
    const end = text.length - last.length;
    let at = first.length;
    for (const search of middle) {
      at = search(text, at, end);
      if (at < 0) return false;
    }
    return true;
  };
}

/** What stands between the stars. */
function piecesOf(pattern: string): string[] {
  const pieces = [''];
  for (let index = 0; index < pattern.length; index++) {
    const char = pattern[index]!;
    if (char === '*') pieces.push('');
    else pieces[pieces.length - 1] += char === '\\' ? pattern[++index]! : char;
  }
  return pieces;
}

/** Answers the place behind the first one at or after `from`, or -1. */
function searchFor(piece: string): (text: string, from: number, end: number) => number {
  // The longest beginning of the piece that its first n characters end with.
  const falls = [0];
  for (let index = 1, length = 0; index < piece.length; index++) {
    while (length > 0 && piece[index] !== piece[length]) length = falls[length - 1]!;
    if (piece[index] === piece[length]) length++;
    falls.push(length);
  }
  return (text, from, end) => {
    for (let at = from, length = 0; at < end; at++) {
      const code = text.charCodeAt(at);
      while (length > 0 && code !== piece.charCodeAt(length)) length = falls[length - 1]!;
      if (code === piece.charCodeAt(length)) length++;
      if (length === piece.length) return at + 1;
    }
    return -1;
  };
}
