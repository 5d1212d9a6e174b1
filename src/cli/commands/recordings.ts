// `virga recordings`: what was recorded where `record` in virga.yaml says so; `virga replay` runs it again.
import type { Command } from 'commander';
import type { RecordingDetail, RecordingItem } from '../../../sdk/src/control.ts';
import { actionOf, askedOf } from '../actions.ts';
import type { Action, Asked } from '../actions.ts';
import type { CommandDefinition } from '../command.ts';
import { printable } from '../log-text.ts';
import { clockText } from '../phrases.ts';
import { table } from '../table.ts';
import type { Terminal } from '../terminal.ts';
import { since, wholeNumber } from '../values.ts';

interface Options {
  project?: string;
  source?: string;
  since?: string;
  limit?: string;
}

const ACTIONS = {
  list: { words: [], needed: 0, options: ['source', 'since', 'limit'] },
  show: { words: ['the id of a recording'], needed: 1 },
} satisfies Record<string, Action>;

export const command: CommandDefinition<Options> = {
  define(cli: Command) {
    cli
      .argument('[action]', 'list (without it) or show')
      .argument('[words...]', 'show: the id of the recording')
      .option('--source <source>', 'list: only of this, e.g. queue/orders, topic/prices or route/notes/{id}')
      .option('-s, --since <time>', 'list: only since then: 90s, 10m, 2h, 7d ago, or a time')
      .option('-n, --limit <count>', 'list: at most so many, 20 without it')
      .option('-p, --project <name>', 'the project; without it, the one of the virga.yaml here');
  },
  examples: [
    'virga recordings',
    'virga recordings list --source queue/orders --since 1h',
    'virga recordings show inv_01k9x3v5m8q2r7t4w6y9z0a1b2',
  ],
  async run(context, given, options) {
    const { name, words } = actionOf('recordings', ACTIONS, { given, options });
    await { list, show }[name](await askedOf(context, words, options));
  },
};

async function list({ client, project, options, terminal }: Asked<Options>): Promise<void> {
  const limit = wholeNumber(options.limit ?? '20', '--limit', { min: 1, max: 10_000 });
  const filter = { source: options.source, since: since(options.since) };
  const items: RecordingItem[] = [];
  for await (const item of client.recordings.list(project, filter)) if (items.push(item) >= limit) break;
  if (items.length === 0) terminal.note('There are no such recordings; `record: true` at a queue, a topic or a route makes them.');
  terminal.result(items, () => {
    if (items.length === 0) return '';
    const rows = items.map((item) => [
      item.id,
      clockText(Date.parse(item.at)),
      item.source,
      printable(item.summary ?? '').replaceAll('\n', ' '),
      item.status === null ? outcomesText(item) : String(item.status),
    ]);
    return table(['recording', 'time', 'source', 'what', 'outcome'], rows, (text) => terminal.paint('dim', text));
  });
}

async function show({ client, project, words, terminal }: Asked<Options>): Promise<void> {
  const found = await client.recordings.read(project, words[0]!);
  terminal.result(found, () => found.map((one) => detailText(one, terminal)).join('\n\n'));
}

function detailText(one: RecordingDetail, terminal: Terminal): string {
  const { request, answer } = one;
  const dim = (text: string): string => terminal.paint('dim', text);
  const rows = [
    ['source', one.source],
    ['time', one.at],
    ['kept until', one.expiresAt],
    ...(one.function === null ? [] : [['function', `${one.function}, version ${one.version ?? '?'}`]]),
    ...(one.function === null ? [['outcome', outcomesText(one) || 'not delivered yet']] : []),
    ...(one.redacted.length === 0 ? [] : [['left out', one.redacted.join(', ')]]),
  ];
  const lines = [
    one.id,
    table(
      [],
      rows.map(([name, value]) => [`  ${dim(name!)}`, value!]),
    ),
    '',
  ];
  if (request.method !== undefined) lines.push(`${request.method} ${printable(request.url ?? '')}`, ...headerLines(request.headers ?? []));
  else lines.push(...Object.entries(request.attributes ?? {}).map(([name, value]) => `${name}: ${printable(value)}`));
  lines.push('', printable(request.text ?? '(bytes)'));
  if (answer !== null)
    lines.push('', dim(`answered ${answer.status}`), ...headerLines(answer.headers), '', printable(answer.text ?? '(bytes)'));
  return lines.join('\n');
}

function headerLines(headers: readonly string[]): string[] {
  return headers.flatMap((text, at) => (at % 2 === 0 ? [`${text}: ${printable(headers[at + 1] ?? '')}`] : []));
}

function outcomesText({ outcomes }: RecordingItem): string {
  return Object.entries(outcomes)
    .map(
      ([fn, { state, error }]) => `${fn} ${state}${error === undefined ? '' : `: ${printable(error).replaceAll('\n', ' ').slice(0, 60)}`}`,
    )
    .join(', ');
}
