// `virga invoke NAME`: calls a function directly and prints what it answered. Invariant: stdout carries the result of the
// function and nothing else; its log lines, its error and where the time went go to stderr.
import { readFileSync, statSync } from 'node:fs';
import { buffer } from 'node:stream/consumers';
import type { Command } from 'commander';
import type { InvokeAnswer } from '../../../sdk/src/control.ts';
import type { CommandContext, CommandDefinition } from '../command.ts';
import { CommandError, UsageError } from '../failure.ts';
import { logLineText } from '../log-text.ts';
import { checkedName, projectOf } from '../project.ts';
import { receiptText } from '../receipt-text.ts';
import { connect } from '../server.ts';
import { follow, printTaken } from '../async-text.ts';
import type { Terminal } from '../terminal.ts';
import { wholeNumber } from '../values.ts';

interface Options {
  data?: string;
  contentType?: string;
  clientContext?: string;
  project?: string;
  version?: string;
  async?: true;
  wait?: true;
  key?: string;
}

const JSON_TYPE = /^application\/(.+\+)?json\b/;
const PAYLOAD_BYTES_MAX = 256 * 1024 * 1024;
const TYPES: Record<string, string> = {
  json: 'application/json',
  csv: 'text/csv',
  txt: 'text/plain',
  html: 'text/html',
  xml: 'application/xml',
  md: 'text/markdown',
  yaml: 'application/yaml',
  jpg: 'image/jpeg',
  jpeg: 'image/jpeg',
  png: 'image/png',
  webp: 'image/webp',
  gif: 'image/gif',
  svg: 'image/svg+xml',
  pdf: 'application/pdf',
};

export const command: CommandDefinition<Options> = {
  define(cli: Command) {
    cli
      .argument('<name>', 'the function')
      .option('-a, --async', 'do not wait for it: prints its id as soon as it is stored')
      .option('-w, --wait', 'with --async: follow it until it has ended, with all its attempts')
      .option('-k, --key <key>', 'with --async: an idempotency key; the same call with the same key is one invocation')
      .option('-d, --data <payload>', 'the payload: JSON, @FILE, or - for standard input')
      .option('-t, --content-type <type>', 'media type of the payload; without it JSON, or by the extension of the file')
      .option('--client-context <json>', 'what functions of AWS Lambda find as context.clientContext: a JSON object')
      .option('-p, --project <name>', 'the project; without it, the one of the virga.yaml here')
      .option('-v, --version <number>', 'this version instead of the current one');
  },
  examples: [
    'virga invoke hello',
    'virga invoke hello --data \'{"name":"Ada"}\'',
    'virga invoke stats --data @data/cities.csv',
    'echo \'{"n":1}\' | virga invoke hello --data - --json',
    'virga invoke report --async --wait',
    'virga invoke charge --async --key order-17 --data @order.json',
  ],
  notes:
    'The result of the function is all that goes to stdout; its log lines and where the time went go to stderr. When the function fails, the exit status is 1. With --json a result that is JSON is also there as the value itself, in result.json.',
  async run({ terminal, settings, input }, [name], options) {
    const fn = checkedName(name!, 'the name of the function');
    const version = options.version === undefined ? undefined : wholeNumber(options.version, '--version', { min: 1, max: 1_000_000_000 });
    const payload = await payloadOf(options, input);
    const clientContext = options.clientContext === undefined ? undefined : objectOf(options.clientContext);
    const client = connect(settings);
    const project = await projectOf(client, options.project);
    if (options.async === true) {
      if (clientContext !== undefined) throw new UsageError('--client-context is for calls that are waited for; leave out --async, or it');
      const taken = await client.async.invoke(project, fn, payload, { version, idempotencyKey: options.key });
      return options.wait === true ? await follow(client, { project, id: taken.id }, terminal) : printTaken(taken, terminal);
    }
    if (options.wait === true || options.key !== undefined)
      throw new UsageError(`${options.wait === true ? '--wait' : '--key'} is for asynchronous calls; say --async too`);
    let answer: InvokeAnswer;
    {
      using _ = terminal.progress(`waiting for ${fn}`);
      answer = await client.invoke(project, fn, payload, { version, clientContext });
    }
    if (terminal.json) terminal.result({ ...answer, result: withValue(answer.result) }, () => '');
    else print(answer, terminal);
    return answer.error === null ? 0 : 1;
  },
};

async function payloadOf(options: Options, input: CommandContext['input']): Promise<{ body: Uint8Array | string; contentType: string }> {
  const { data, contentType } = options;
  if (contentType !== undefined && !/^[\w.+-]+\/[\w.+-]+(\s*;.*)?$/.test(contentType)) {
    throw new UsageError(`--content-type is ${JSON.stringify(contentType)}; expected a media type such as text/csv`);
  }
  if (data === undefined) return { body: contentType === undefined ? 'null' : '', contentType: contentType ?? 'application/json' };
  if (data === '-') return checked({ body: await buffer(input), contentType: contentType ?? 'application/json', what: 'standard input' });
  if (!data.startsWith('@')) return checked({ body: data, contentType: contentType ?? 'application/json', what: '--data' });
  const file = data.slice(1);
  const found = statSync(file, { throwIfNoEntry: false });
  if (!found?.isFile()) throw new UsageError(`--data: there is no file ${JSON.stringify(file)}`);
  if (found.size > PAYLOAD_BYTES_MAX)
    throw new UsageError(`--data: ${file} has ${found.size} bytes; at most ${PAYLOAD_BYTES_MAX} are read`);
  const extension = file.slice(file.lastIndexOf('.') + 1).toLowerCase();
  return checked({
    body: readFileSync(file),
    contentType: contentType ?? TYPES[extension] ?? 'application/octet-stream',
    what: `--data @${file}`,
  });
}

function objectOf(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Said below.
  }
  throw new UsageError(`--client-context is ${JSON.stringify(text)}; expected a JSON object such as '{"custom":{"a":1}}'`);
}

function checked(payload: { body: Uint8Array | string; contentType: string; what: string }): {
  body: Uint8Array | string;
  contentType: string;
} {
  const { body, contentType, what } = payload;
  if (/^application\/json\b/.test(contentType)) {
    try {
      JSON.parse(Buffer.from(body).toString());
    } catch (error) {
      throw new UsageError(`${what} is not JSON: ${(error as Error).message}; quote it ('{"name":"Ada"}'), or say --content-type`);
    }
  }
  return { body, contentType };
}

/** A JSON result also as the value itself, so that scripts need not parse twice. */
function withValue(result: InvokeAnswer['result']): object | null {
  if (result === null || !('text' in result) || !JSON_TYPE.test(result.contentType)) return result;
  try {
    return { ...result, json: JSON.parse(result.text) as unknown };
  } catch {
    return result;
  }
}

function print({ invocation, logs, result, error }: InvokeAnswer, terminal: Terminal): void {
  for (const line of logs) terminal.note(logLineText(line, terminal, { short: true }));
  if (error !== null) {
    terminal.error(`${terminal.paintError(['red', 'bold'], 'error:')} ${error.message} (${error.code})`);
    const stack = (error.detail as { stack?: unknown } | undefined)?.stack;
    if (typeof stack === 'string') terminal.error(terminal.paintError('dim', stack));
    if (invocation.explanation !== null) terminal.note(`The whole account: virga invocation ${invocation.id}`);
  } else if (result !== null) printResult(result, terminal);
  terminal.note(terminal.paintError('dim', `${invocation.id}  version ${invocation.version}  ${receiptText(invocation.receipt)}`));
}

export function printResult(result: NonNullable<InvokeAnswer['result']>, terminal: Terminal): void {
  if ('base64' in result) {
    const bytes = Buffer.from(result.base64, 'base64');
    if (terminal.outIsTerminal)
      throw new CommandError(`the result is ${bytes.length} bytes of ${result.contentType}; send stdout to a file`);
    terminal.outBytes(bytes);
    return;
  }
  if (terminal.outIsTerminal && JSON_TYPE.test(result.contentType)) {
    try {
      terminal.out(JSON.stringify(JSON.parse(result.text), null, 2));
      return;
    } catch {
      // Not what it says: as it is, then.
    }
  }
  terminal.outBytes(result.text.endsWith('\n') || !terminal.outIsTerminal ? result.text : `${result.text}\n`);
}
