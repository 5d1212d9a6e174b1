// `virga dead-letters`: messages that were given up: list, show, redrive, purge; and the redrives that run.
import type { Command } from 'commander';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DeadLetterChoice, DeadLetterItem, RedriveItem } from '../../../sdk/src/control.ts';
import { bytesText } from '../../lib/units.ts';
import { actionOf, askedOf } from '../actions.ts';
import type { Action, Asked as AskedWith } from '../actions.ts';
import type { CommandDefinition } from '../command.ts';
import { confirmed } from '../confirm.ts';
import { UsageError } from '../failure.ts';
import { diedText, factsText, oneLine, stateText, wholeLine } from '../message-text.ts';
import { agoText } from '../phrases.ts';
import { table } from '../table.ts';
import type { Terminal } from '../terminal.ts';
import { wholeNumber } from '../values.ts';

interface Options {
  project?: string;
  source?: string;
  all?: true;
  limit?: string;
  body?: true;
  rate?: string;
  to?: string;
  detach?: true;
  yes?: boolean;
}

type Asked = AskedWith<Options>;

const ID = 'the id of a message';
const ACTIONS = {
  list: { words: [], needed: 0, options: ['source', 'limit', 'body'] },
  show: { words: [ID], needed: 1, options: ['body'] },
  redrive: { words: [ID], needed: 0, options: ['source', 'all', 'rate', 'to', 'detach'] },
  redrives: { words: [], needed: 0 },
  cancel: { words: ['the id of a redrive'], needed: 1 },
  purge: { words: [ID], needed: 0, options: ['source', 'all', 'yes'] },
} satisfies Record<string, Action>;

const LOOK_MS = 200;

export const command: CommandDefinition<Options> = {
  define(cli: Command) {
    cli
      .argument('[action]', 'list (without it), show, redrive, redrives, cancel or purge')
      .argument('[words...]', 'show, redrive, purge: the id of a message; cancel: that of a redrive')
      .option('--source <source>', 'list, redrive, purge: those that died there: orders, queue/orders, topic/prices, async/resize, …')
      .option('-a, --all', 'redrive, purge: all of the project')
      .option('-n, --limit <count>', 'list: at most so many, 50 without it')
      .option('--body', 'list, show: with the bodies')
      .option('--rate <count>', 'redrive: so many in a second; without it as fast as it goes')
      .option('--to <queue>', 'redrive: to this queue, instead of where they died')
      .option('--detach', 'redrive: does not wait for the end')
      .option('-y, --yes', 'purge: do not ask')
      .option('-p, --project <name>', 'the project; without it, the one of the virga.yaml here');
  },
  examples: [
    'virga dead-letters',
    'virga dead-letters --source orders --body',
    'virga dead-letters show msg_01k9z3e5g7h2j4k6m8n0p2q4r6 --body',
    'virga dead-letters redrive msg_01k9z3e5g7h2j4k6m8n0p2q4r6',
    'virga dead-letters redrive --source orders --rate 50',
    'virga dead-letters cancel rdr_01k9z3e5g7h2j4k6m8n0p2q4r6',
    'virga dead-letters purge --source orders --yes',
  ],
  notes:
    'A message is a dead letter when it was tried as often as its `retry` says, was too old, or its receiver rejected it. A redrive lets it begin anew; it moves no more than were dead when it began, and goes on when Ctrl-C ends this program, or the node restarts: `cancel` ends it. The exit status is 1 when a redrive failed.',
  ownSignals: ['redrive'],
  async run(context, given, options) {
    const { name, words } = actionOf('dead-letters', ACTIONS, { given, options });
    return await { list, show, redrive, redrives, cancel, purge }[name](await askedOf(context, words, options));
  },
};

async function list({ client, project, options, terminal, signal }: Asked): Promise<void> {
  const limit = wholeNumber(options.limit ?? '50', '--limit', { min: 1, max: 10_000 });
  const items: DeadLetterItem[] = [];
  let more = false;
  for await (const item of client.deadLetters(project, { source: options.source, body: options.body }, { signal })) {
    more = items.length === limit;
    if (more) break;
    items.push(item);
  }
  if (items.length === 0) terminal.note('There are no dead letters.');
  terminal.result(items, () => (items.length === 0 ? '' : deadLettersText(items, { terminal, body: options.body === true })));
  if (more) terminal.note('There are more; --limit shows them.');
}

function deadLettersText(items: readonly DeadLetterItem[], { terminal, body }: { terminal: Terminal; body: boolean }): string {
  const rows = items.map((item) => [
    item.id,
    item.died.from,
    item.died.reason,
    agoText(item.died.at),
    String(item.attempts),
    bytesText(item.bytes),
    oneLine(item.lastError ?? '', 60),
    ...(body ? [oneLine(item.body ?? '', 60)] : []),
  ]);
  const headings = ['message', 'died in', 'because', 'when', '>attempts', '>size', 'last error', ...(body ? ['body'] : [])];
  return table(headings, rows, (text) => terminal.paint('dim', text));
}

async function show({ client, project, words, options, terminal }: Asked): Promise<void> {
  const items = await client.deadLetter(project, words[0]!, { body: options.body });
  terminal.result(items, () => items.map((item) => deadLetterText(item, terminal)).join('\n\n'));
}

function deadLetterText(item: DeadLetterItem, terminal: Terminal): string {
  const rows: [string, string][] = [
    ['message', item.id],
    ['died', diedText(item.died)],
    ['attempts', String(item.attempts)],
    ['last error', wholeLine(item.lastError ?? 'none')],
    ['sent', `${item.sentAt} (${agoText(item.sentAt)})`],
    ['lies in', `${item.in}${item.redrivable ? '' : '; where it died is gone: redrive it with --to'}`],
  ];
  for (const [key, value] of Object.entries(item.attributes)) rows.push([`attribute ${key}`, wholeLine(value)]);
  rows.push(['size', bytesText(item.bytes)]);
  return factsText(rows, terminal, item.body);
}

/** Exactly one of an id, --source and --all. */
function choiceOf(action: string, id: string | undefined, { source, all }: Options): DeadLetterChoice {
  if ([id, source, all].filter((one) => one !== undefined).length !== 1)
    throw new UsageError(`${action} which? Give the id of a message, or --source, or --all`);
  return { id, source, all };
}

async function redrive(asked: Asked): Promise<number> {
  const { client, project, words, options, terminal, signal } = asked;
  const choice = choiceOf('redrive', words[0], options);
  const rate = options.rate === undefined ? undefined : wholeNumber(options.rate, '--rate', { min: 1, max: 100_000 });
  if (rate !== undefined && choice.id !== undefined) throw new UsageError('--rate is for many; with an id it is one message');
  let item = await client.startRedrive(project, { ...choice, rate, to: options.to });
  if (options.detach !== true) {
    using progress = terminal.progress('moving');
    while (item.state === 'running' && !signal.aborted) {
      progress.update('moving', `${item.moved} of ${item.total}`);
      await sleep(LOOK_MS, undefined, { signal }).catch(() => {});
      item = await client.redrive(project, item.id);
    }
  }
  terminal.result(item, () => endText(item));
  if (item.state === 'running')
    terminal.note(`It goes on: \`virga dead-letters redrives\` shows how far it is, \`virga dead-letters cancel ${item.id}\` ends it.`);
  else if (item.state === 'done' && item.moved < item.total)
    terminal.note(`${item.total - item.moved} stay: they were taken meanwhile, or what they died in is gone (--to names another queue).`);
  return item.state === 'failed' ? 1 : 0;
}

function endText({ id, state, moved, total, error }: RedriveItem): string {
  if (state === 'running') return id;
  if (state === 'failed') return `failed after ${moved} of ${total}: ${error}`;
  return `${state === 'cancelled' ? 'cancelled: ' : ''}moved ${moved} of ${total}`;
}

async function redrives({ client, project, terminal }: Asked): Promise<void> {
  const items = await client.redrives(project);
  if (items.length === 0) terminal.note('No redrive runs, and none has ended since the last restart.');
  const rows = items.map((item) => [
    item.id,
    stateText(item.state, terminal),
    item.source ?? 'all',
    item.to ?? '',
    item.rate === null ? '' : String(item.rate),
    `${item.moved} of ${item.total}`,
    agoText(item.startedAt),
    oneLine(item.error ?? '', 60),
  ]);
  terminal.result(items, () =>
    rows.length === 0
      ? ''
      : table(['redrive', 'state', 'source', 'to', '>rate', '>moved', 'began', 'error'], rows, (text) => terminal.paint('dim', text)),
  );
}

async function cancel({ client, project, words, terminal }: Asked): Promise<void> {
  const item = await client.cancelRedrive(project, words[0]!);
  terminal.result(item, () => `${item.id} is ${item.state}, ${item.moved} of ${item.total} were moved`);
}

async function purge(asked: Asked): Promise<void> {
  const { client, project, words, options, terminal } = asked;
  const choice = choiceOf('purge', words[0], options);
  const what =
    choice.id !== undefined
      ? `the dead letter ${choice.id}`
      : `all dead letters ${choice.source === undefined ? `of the project '${project}'` : `that died in ${choice.source}`}`;
  await confirmed(asked, { what: `Drop ${what}`, yes: options.yes });
  const answer = await client.purgeDeadLetters(project, choice);
  terminal.result(answer, () => `dropped ${answer.purged} dead letters`);
}
