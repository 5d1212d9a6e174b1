// The words "did you mean …?" for a misspelt key, name or value. Used by the manifest and the commands.
import { closestWord } from '../lib/closest-word.ts';

/** `; did you mean 'source'?`, or nothing. */
export function suggestion(word: string, candidates: Iterable<string>): string {
  const near = closestWord(word, candidates);
  return near === undefined ? '' : `; did you mean '${near}'?`;
}
