// A log line for people. Invariant: what a function prints cannot move the cursor or recolour the terminal of whoever
// reads its log. Used by logs, invoke, invocation and dev.
import { stripVTControlCharacters } from 'node:util';
import type { LogLine } from '../../sdk/src/control.ts';
import { clockText } from './phrases.ts';
import type { Style, Terminal } from './terminal.ts';

const LEVEL_STYLES: Record<LogLine['level'], Style> = { debug: 'dim', info: 'reset', warn: 'yellow', error: 'red' };

/** `short`: without the function, where only one is meant. `onError`: coloured for stderr (default) or stdout. */
export function logLineText(line: LogLine, terminal: Terminal, options: { short?: boolean; stdout?: boolean } = {}): string {
  const paint = (style: Style, text: string): string => (options.stdout ? terminal.paint(style, text) : terminal.paintError(style, text));
  const head = paint('dim', clockText(line.at)) + (options.short ? '' : ` ${paint('cyan', `${line.function}@${line.version}`)}`);
  const level = line.level === 'info' ? '' : `${line.level} `;
  const text = printable(line.text).replaceAll('\n', '\n    ');
  return `${head} ${paint(LEVEL_STYLES[line.level], `${level}${text}`)}`;
}

/** Without what could move the cursor or recolour a terminal. */
export function printable(text: string): string {
  return stripVTControlCharacters(text).replace(
    /[\x00-\x08\x0b-\x1f\x7f-\x9f]/g,
    (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}
