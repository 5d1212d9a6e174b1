// `virga streams`: the streams of a project: list, show, append, tail, consumers, seek.
import type { Command } from 'commander';
import { text as wholeText } from 'node:stream/consumers';
import type { StreamFacts, StreamRecordItem } from '../../../sdk/src/control.ts';
import { bytesText, durationText } from '../../lib/units.ts';
import { actionOf, askedOf } from '../actions.ts';
import type { Action, Asked as AskedWith } from '../actions.ts';
import type { CommandDefinition } from '../command.ts';
import { UsageError } from '../failure.ts';
import { factsText, oneLine, stateText } from '../message-text.ts';
import { agoText, clockText } from '../phrases.ts';
import { table } from '../table.ts';
import type { Terminal } from '../terminal.ts';
import { attributesOf, wholeNumber } from '../values.ts';

interface Options {
  project?: string;
  key?: string;
  attribute?: string[];
  id?: string;
  lines?: true;
  keyFrom?: string;
  partition?: string;
  from?: string;
  follow?: boolean;
  limit?: string;
  consumer?: string;
  to?: string;
}

type Asked = AskedWith<Options>;

const STREAM = 'the name of a stream';
const ACTIONS = {
  list: { words: [], needed: 0 },
  show: { words: [STREAM], needed: 1 },
  append: { words: [STREAM, 'a text'], needed: 1, options: ['key', 'attribute', 'id', 'lines', 'keyFrom'] },
  tail: { words: [STREAM], needed: 1, options: ['key', 'partition', 'from', 'follow', 'limit'] },
  consumers: { words: [STREAM], needed: 1 },
  seek: { words: [STREAM], needed: 1, options: ['consumer', 'to', 'partition'] },
} satisfies Record<string, Action>;

const APPENDED_AT_ONCE = 500;
const PLACE = 'oldest, newest, a time (2026-01-31T12:00:00Z), how long ago (2h), or with --partition a position';

export const command: CommandDefinition<Options> = {
  define(cli: Command) {
    cli
      .argument('[action]', `${Object.keys(ACTIONS).join(', ')}; without it list`)
      .argument('[words...]', 'the stream; append: and the data (without it, standard input)')
      .option('-k, --key <text>', 'append: records of one key stay in order; tail: only records of this key')
      .option('-a, --attribute <key=value...>', 'append: an attribute of the record')
      .option('--id <id>', 'append: its id, instead of a new one')
      .option('--lines', 'append: each line of standard input is a record')
      .option('--key-from <field>', 'append --lines: the key is this field of the JSON of each line')
      .option('--partition <number>', 'tail, seek: only this partition')
      .option('--from <place>', `tail: where it begins: ${PLACE}; without it the last records, or with --follow what comes from now on`)
      .option('-f, --follow', 'tail: go on with new records until Ctrl-C')
      .option('-n, --limit <count>', 'tail: at most so many, 20 without it and --follow')
      .option('--consumer <function>', 'seek: the function that is to read from another place')
      .option('--to <place>', `seek: the first record that it gets then: ${PLACE}`)
      .option('-p, --project <name>', 'the project; without it, the one of the virga.yaml here');
  },
  examples: [
    'virga streams',
    'virga streams show clicks',
    `virga streams append clicks '{"page": "/tea"}' --key user-7`,
    'virga streams append clicks --lines --key-from user < clicks.ndjson',
    'virga streams tail clicks --follow',
    'virga streams tail clicks --from 2h --key user-7 --limit 100 --json',
    'virga streams consumers clicks',
    'virga streams seek clicks --consumer count --to 2026-01-31T12:00:00Z',
    'virga streams seek clicks --consumer count --to oldest',
  ],
  notes:
    '`tail` looks without moving anybody. `seek` makes a function read records again (or pass over some); its windows begin afresh. With --json, `tail --follow` prints a JSON document on each line.',
  ownSignals: ['tail'],
  async run(context, given, options) {
    const { name, words } = actionOf('streams', ACTIONS, { given, options });
    await { list, show, append, tail, consumers, seek }[name](await askedOf(context, words, options));
  },
};

async function list({ client, project, terminal }: Asked): Promise<void> {
  const streams = await Array.fromAsync(client.streams.list(project));
  if (streams.length === 0) terminal.note(`The project '${project}' has no streams; \`streams\` in virga.yaml declares them.`);
  const rows = streams.map((stream) => [
    stream.name,
    stream.state === 'removed' ? stateText('removed', terminal) : String(stream.partitions.length),
    String(stream.records),
    bytesText(stream.bytes),
    String(stream.perSecond),
    stream.oldestAt === null ? '' : agoText(stream.oldestAt),
    stream.newestAt === null ? '' : agoText(stream.newestAt),
    stream.consumers.map((one) => `${one.function} ${lagText(one)}`).join(', '),
  ]);
  const headings = ['stream', '>partitions', '>records', '>size', '>in/s', 'oldest', 'newest', 'consumers'];
  terminal.result(streams, () => (rows.length === 0 ? '' : table(headings, rows, (text) => terminal.paint('dim', text))));
}

async function show({ client, project, words, terminal }: Asked): Promise<void> {
  const stream = await client.streams.read(project, words[0]!);
  const parts = table(
    ['>partition', '>oldest', '>newest', '>size', ...stream.consumers.map((one) => `>${one.function}`)],
    stream.partitions.map(({ partition, oldest, newest, bytes }) => [
      String(partition),
      newest < oldest ? '' : String(oldest),
      newest === 0 ? '' : String(newest),
      bytesText(bytes),
      ...stream.consumers.map((one) => String(one.partitions.find((own) => own.partition === partition)?.position ?? '')),
    ]),
    (text) => terminal.paint('dim', text),
  );
  terminal.result(stream, () => factsText(factsOf(stream, terminal), terminal, parts));
}

function factsOf(stream: StreamFacts, terminal: Terminal): [string, string][] {
  const { limits, state, name, oldestAt, newestAt } = stream;
  return [
    ['stream', state === 'removed' ? `${name}, ${stateText('removed', terminal)} from virga.yaml` : name],
    ['records', `${stream.records}, ${bytesText(stream.bytes)}${limits === null ? '' : ` (at most ${bytesText(limits.bytes)})`}`],
    ...(limits === null ? [] : [['kept for', durationText(limits.retentionMs)] as [string, string]]),
    ['a second', `${stream.perSecond} (over the last minute)`],
    ...(oldestAt === null ? [] : [['oldest', `${oldestAt} (${agoText(oldestAt)})`] as [string, string]]),
    ...(newestAt === null ? [] : [['newest', `${newestAt} (${agoText(newestAt)})`] as [string, string]]),
    ...stream.consumers.map((one): [string, string] => [`read by ${one.function}`, lagText(one)]),
  ];
}

/** `in step`, or how far behind. */
function lagText({ lag, lagMs, missed, state }: StreamFacts['consumers'][number]): string {
  const behind = lag === 0 ? 'in step' : `${lag} behind (${secondsText(lagMs)})`;
  const text = missed === 0 ? behind : `${behind}, ${missed} gone before they were read`;
  return state === 'removed' ? `${text}, trigger removed` : text;
}

function secondsText(ms: number): string {
  return ms < 10_000 ? `${(ms / 1_000).toFixed(1)} s` : `${Math.round(ms / 1_000)} s`;
}

async function append({ client, project, words: [stream, text], options, terminal, input }: Asked): Promise<void> {
  const { key, id, keyFrom, lines } = options;
  if (lines === true && (text !== undefined || id !== undefined))
    throw new UsageError('--lines appends the lines of standard input: it goes neither with a text nor with --id');
  if (keyFrom !== undefined && (lines !== true || key !== undefined))
    throw new UsageError('--key-from goes with --lines, and not with --key');
  if (text === undefined && input.isTTY) throw new UsageError('append needs a text, or records on standard input');
  const attributes = attributesOf(options.attribute);
  const whole = text ?? (await wholeText(input));
  const datas = lines === true ? whole.split(/\r?\n/).filter((line) => line !== '') : [whole.replace(/\r?\n$/, '')];
  if (datas.length === 0) throw new UsageError('standard input has no lines');
  const all = datas.map((data, index) => ({ data, attributes, id, key: keyFrom === undefined ? key : fieldOf(data, keyFrom, index + 1) }));
  const appended: { id: string; partition: number; position: number }[] = [];
  using progress = terminal.progress('appending');
  for (let at = 0; at < all.length; at += APPENDED_AT_ONCE) {
    try {
      appended.push(...(await client.streams.append(project, stream!, all.slice(at, at + APPENDED_AT_ONCE))).records);
    } catch (error) {
      if (at > 0) terminal.note(`The first ${at} records were appended.`);
      throw error;
    }
    progress.update('appending', `${appended.length} of ${all.length}`);
  }
  terminal.result({ records: appended }, () =>
    appended.length > 1
      ? `appended ${appended.length} records`
      : appended.map((one) => `${one.id}  partition ${one.partition}  position ${one.position}`).join('\n'),
  );
}

function fieldOf(line: string, field: string, number: number): string {
  let value: unknown;
  try {
    value = (JSON.parse(line) as Record<string, unknown> | null)?.[field];
  } catch {
    throw new UsageError(`line ${number} is no JSON, so it has no '${field}'`);
  }
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  throw new UsageError(`line ${number} has no text or number as '${field}'`);
}

async function tail({ client, project, words: [stream], options, terminal, signal }: Asked): Promise<void> {
  const { key, from, follow } = options;
  const partition = options.partition === undefined ? undefined : wholeNumber(options.partition, '--partition', { min: 0, max: 255 });
  const limit = options.limit === undefined ? undefined : wholeNumber(options.limit, '--limit', { min: 1, max: 100_000 });
  const filter = { partition, key };
  const line = (record: StreamRecordItem): string => recordText(record, terminal);
  if (follow === true) {
    terminal.note(terminal.paintError('dim', `following ${stream}; Ctrl-C ends it`));
    let seen = 0;
    for await (const record of client.streams.follow(project, stream!, { ...filter, from: from ?? 'newest', signal })) {
      terminal.out(terminal.json ? JSON.stringify(record) : line(record));
      if (++seen === limit) return;
    }
    return;
  }
  const records: StreamRecordItem[] = [];
  const most = limit ?? 20;
  // Of the last ones each partition has at most so many; of one key they may be anywhere.
  const last = from === undefined && key === undefined ? Math.min(most, 1_000) : undefined;
  for await (const record of client.streams.records(project, stream!, { ...filter, from, last, signal })) {
    if (from !== undefined && records.length >= most) break;
    records.push(record);
    if (records.length > most) records.shift();
  }
  if (records.length === 0) terminal.note(`There are no such records in the stream '${stream}'.`);
  terminal.result(records, () => records.map(line).join('\n'));
}

function recordText({ partition, position, at, key, data }: StreamRecordItem, terminal: Terminal): string {
  const place = terminal.paint('dim', `${clockText(Date.parse(at))} ${partition}:${position}`);
  return `${place} ${terminal.paint('cyan', oneLine(key, 40))} ${oneLine(data, 200)}`;
}

async function consumers({ client, project, words: [name], terminal }: Asked): Promise<void> {
  const stream = await client.streams.read(project, name!);
  if (stream.consumers.length === 0)
    terminal.note(`No function reads the stream '${name}'; \`triggers: [{ stream: ${name} }]\` makes one that does.`);
  const rows = stream.consumers.flatMap((one) =>
    one.partitions.map(({ partition, position, lag, heldUntil }) => [
      one.function,
      one.state === 'removed' ? stateText('removed', terminal) : '',
      String(partition),
      String(position),
      lag === 0 ? '0' : terminal.paint('yellow', String(lag)),
      heldUntil === null ? '' : 'being read',
    ]),
  );
  const headings = ['function', 'state', '>partition', '>position', '>behind', ''];
  terminal.result(stream.consumers, () => {
    if (rows.length === 0) return '';
    const sums = stream.consumers.map((one) => `${one.function}: ${lagText(one)}`).join('\n');
    return `${sums}\n\n${table(headings, rows, (text) => terminal.paint('dim', text))}`;
  });
}

async function seek({ client, project, words: [stream], options, terminal }: Asked): Promise<void> {
  const { consumer, to } = options;
  if (consumer === undefined) throw new UsageError('seek needs --consumer: the function that is to read from another place');
  if (to === undefined) throw new UsageError(`seek needs --to: ${PLACE}`);
  const partition = options.partition === undefined ? undefined : wholeNumber(options.partition, '--partition', { min: 0, max: 255 });
  const answer = await client.streams.seek(project, stream!, consumer, { to, partition });
  terminal.result(answer, () =>
    answer.partitions.map((one) => `partition ${one.partition}: ${consumer} goes on after ${one.to} (it was at ${one.from})`).join('\n'),
  );
}
