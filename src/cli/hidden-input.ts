// A secret from the terminal, unseen, or from standard input. Used by login.ts and secrets.ts.
import { text as wholeText } from 'node:stream/consumers';
import { UsageError } from './failure.ts';

/** `what` names it in the refusal, e.g. `token`. */
export async function secretFrom(input: NodeJS.ReadStream, what: string): Promise<string> {
  return input.isTTY ? await askHidden(input, what) : await wholeText(input);
}

/** Reads a line from the terminal without showing it. */
export async function askHidden(input: NodeJS.ReadStream, what: string): Promise<string> {
  process.stderr.write(`${what[0]!.toUpperCase()}${what.slice(1)}: `);
  input.setRawMode(true);
  let text = '';
  try {
    for await (const chunk of input.setEncoding('utf8') as AsyncIterable<string>) {
      for (const character of chunk) {
        if (character === '\r' || character === '\n' || character === '\u0004') return text;
        if (character === '\u0003') throw new UsageError(`no ${what} was given`);
        text = character === '\u007f' ? text.slice(0, -1) : text + character;
      }
    }
    return text;
  } finally {
    input.setRawMode(false);
    input.pause();
    process.stderr.write('\n');
  }
}
