// How the program of a Cloud Run service is started, from what lies beside service.yaml: the container's command, CMD of a Dockerfile, a
// Procfile, or `start` of package.json. Used by cloud-run.ts.
import type { ImportFiles } from '../files.ts';
import type { ImportedFunction } from '../project.ts';
import type { Report } from '../report.ts';
import type { Section } from '../section.ts';
import { entryOf, textOf } from '../tree.ts';
import type { Place } from '../tree.ts';

type Program = Pick<ImportedFunction, 'source' | 'command' | 'runtime' | 'form' | 'handler'>;

interface Start {
  words: string[];
  at: Place;
}

export function programOf(
  files: ImportFiles,
  { image, report, name }: { image: Section; report: Report; name: string },
): Program | undefined {
  const named = image.text('image');
  if (named !== undefined) report.changed(named.at, name, 'image', 'is not run: the source beside the file is deployed instead');
  const words = [...image.list('command'), ...image.list('args')].map((word) => textOf(word) ?? '');
  const start = words.length > 0 ? { words, at: image.placeOf('command') } : startBeside(files);
  if (start === undefined) return undefined;
  const program = programFor(start.words, files);
  if (program === undefined) return undefined;
  report.carried(start.at, name, `command ${start.words.join(' ')}`);
  return program;
}

function startBeside(files: ImportFiles): Start | undefined {
  for (const file of ['Dockerfile', 'Procfile']) {
    if (!files.isFile(file)) continue;
    const lines = files.text(file).split('\n');
    const index = lines.findLastIndex((line) => (file === 'Dockerfile' ? /^\s*CMD\s/i : /^web:/).test(line));
    if (index === -1) continue;
    const rest = lines[index]!.replace(/^\s*(?:CMD|web:)\s*/i, '').trim();
    const words = rest.startsWith('[') ? wordsOfList(rest) : rest.replace(/^exec\s+/, '').split(/\s+/);
    if (words !== undefined && words.length > 0) return expanded({ words, at: { file, line: index + 1 } }, files);
  }
  return packageStart(files);
}

function packageStart(files: ImportFiles): Start | undefined {
  if (!files.isFile('package.json')) return undefined;
  const scripts = entryOf(files.tree('package.json'), 'scripts');
  const entry = scripts?.kind === 'mapping' ? scripts.entries.get('start') : undefined;
  const text = textOf(entry?.value);
  return text === undefined ? undefined : { words: text.trim().split(/\s+/), at: entry!.at };
}

/** `npm start` is what package.json says. */
function expanded(start: Start, files: ImportFiles): Start {
  const npm = /^(?:npm (?:run )?start|yarn (?:run )?start|pnpm (?:run )?start)$/.test(start.words.join(' '));
  return npm ? (packageStart(files) ?? start) : start;
}

function wordsOfList(text: string): string[] | undefined {
  try {
    const words: unknown = JSON.parse(text);
    return Array.isArray(words) && words.every((word) => typeof word === 'string') ? words : undefined;
  } catch {
    return undefined;
  }
}

/** `node server.js` is built from server.js; anything else is started in the folder as it is. */
function programFor(words: readonly string[], files: ImportFiles): Program | undefined {
  const [first, second] = words;
  if (first === 'node' && words.length === 2 && second !== undefined) {
    const source = [second.replace(/\.js$/, '.ts'), second, `${second}.js`]
      .map((one) => one.replace(/^\.\//, ''))
      .find((one) => files.isFile(one));
    return source === undefined ? undefined : { source, runtime: 'web' };
  }
  if (first?.endsWith('functions-framework') === true) {
    const target = words.map((word, index) => /^--target(?:=(.*))?$/.exec(word) && (word.split('=')[1] ?? words[index + 1])).find(Boolean);
    const main = files.isFile('package.json') ? (textOf(entryOf(files.tree('package.json'), 'main')) ?? 'index.js') : 'main.py';
    if (files.isFile(main))
      return { source: main.replace(/^\.\//, ''), form: 'google', ...(typeof target === 'string' ? { handler: target } : {}) };
  }
  return { source: '.', runtime: 'web', command: words.join(' ') };
}
