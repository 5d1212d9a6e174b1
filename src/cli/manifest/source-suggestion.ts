// For a source that is not there: what the author probably meant, from the files that are. Bounded: at most 2,000 files,
// four folders deep. Used by manifest.ts.
import { readdirSync } from 'node:fs';
import { basename, extname, join } from 'node:path';
import { closestWord } from '../../lib/closest-word.ts';

const FILES_MAX = 2_000;
const DEPTH_MAX = 4;
const SOURCE = /\.(?:[cm]?[jt]s|py)$/;

/** `; did you mean 'functions/hello.ts'?`, or nothing. */
export function sourceSuggestion(folder: string, source: string): string {
  const files = sourcesUnder(folder);
  const stem = (file: string): string => basename(file, extname(file));
  const near =
    files.find((file) => basename(file) === basename(source)) ??
    files.find((file) => stem(file) === stem(source)) ??
    closestWord(source, files);
  return near === undefined ? '' : `; did you mean '${near}'?`;
}

function sourcesUnder(folder: string): string[] {
  const files: string[] = [];
  const visit = (at: string, depth: number): void => {
    for (const entry of readdirSync(join(folder, at), { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
      if (files.length >= FILES_MAX || entry.name.startsWith('.') || entry.name === 'node_modules' || entry.name === '__pycache__')
        continue;
      const path = at === '' ? entry.name : `${at}/${entry.name}`;
      if (entry.isDirectory()) {
        if (depth < DEPTH_MAX) visit(path, depth + 1);
      } else if (SOURCE.test(entry.name)) files.push(path);
    }
  };
  try {
    visit('', 1);
  } catch {
    // An unreadable folder only costs the suggestion.
  }
  return files;
}
