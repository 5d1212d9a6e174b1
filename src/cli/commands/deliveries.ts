// `virga deliveries`: messages on their way to functions, queues and webhooks: list, show, tail, cancel.
import type { Command } from 'commander';
import type { DeliveryDetail, DeliveryItem, DeliveryState } from '../../../sdk/src/control.ts';
import { bytesText } from '../../lib/units.ts';
import { actionOf, askedOf } from '../actions.ts';
import type { Action, Asked as AskedWith } from '../actions.ts';
import type { CommandDefinition } from '../command.ts';
import { UsageError } from '../failure.ts';
import { diedText, dueText, factsText, oneLine, stateText, wholeLine } from '../message-text.ts';
import { agoText } from '../phrases.ts';
import { suggestion } from '../suggest.ts';
import { table } from '../table.ts';
import { repeatedly } from '../tail.ts';
import type { Terminal } from '../terminal.ts';
import { wholeNumber } from '../values.ts';

interface Options {
  project?: string;
  state?: string;
  function?: string;
  source?: string;
  limit?: string;
  body?: true;
}

type Asked = AskedWith<Options>;

const FILTERS = ['state', 'function', 'source'];
const ID = 'the id of a message';
const ACTIONS = {
  list: { words: [], needed: 0, options: [...FILTERS, 'limit'] },
  show: { words: [ID], needed: 1, options: ['body'] },
  tail: { words: [], needed: 0, options: FILTERS },
  cancel: { words: [ID], needed: 1, options: ['source'] },
} satisfies Record<string, Action>;

const STATES: readonly DeliveryState[] = ['pending', 'delayed', 'held', 'dead'];
/** Deliveries that tail looks through, so that each look ends, and says of each only what is new. */
const FOLLOWED_MAX = 10_000;

export const command: CommandDefinition<Options> = {
  define(cli: Command) {
    cli
      .argument('[action]', 'list (without it), show, tail or cancel')
      .argument('[words...]', 'show, cancel: the id of the message')
      .option('--state <state>', 'list, tail: only pending, delayed, held or dead')
      .option('-f, --function <name>', 'list, tail: only those to this function')
      .option('--source <source>', 'list, tail, cancel: only from there: orders, queue/orders, topic/prices, async, …')
      .option('-n, --limit <count>', 'list: at most so many, 50 without it')
      .option('--body', 'show: with the body')
      .option('-p, --project <name>', 'the project; without it, the one of the virga.yaml here');
  },
  examples: [
    'virga deliveries',
    'virga deliveries --function ship --state delayed',
    'virga deliveries show evt_01k9z3e5g7h2j4k6m8n0p2q4r6 --body',
    'virga deliveries tail --source orders',
    'virga deliveries cancel msg_01k9z3e5g7h2j4k6m8n0p2q4r6',
  ],
  notes:
    'A delivery that is done is not listed any more; the call of its function is: `virga invocations`. `tail` looks several times a second: what is delivered in between is only seen there. With --json, `tail` prints a JSON document on each line.',
  ownSignals: ['tail'],
  async run(context, given, options) {
    const { name, words } = actionOf('deliveries', ACTIONS, { given, options });
    if (options.state !== undefined && !STATES.includes(options.state as DeliveryState))
      throw new UsageError(
        `--state is ${JSON.stringify(options.state)}; expected ${STATES.join(', ')}${suggestion(options.state, STATES)}`,
      );
    await { list, show, tail, cancel }[name](await askedOf(context, words, options));
  },
};

function filterOf({ state, function: fn, source }: Options) {
  return { state: state as DeliveryState | undefined, function: fn, source };
}

async function list({ client, project, options, terminal, signal }: Asked): Promise<void> {
  const limit = wholeNumber(options.limit ?? '50', '--limit', { min: 1, max: 10_000 });
  const items: DeliveryItem[] = [];
  let more = false;
  for await (const item of client.deliveries(project, filterOf(options), { signal })) {
    more = items.length === limit;
    if (more) break;
    items.push(item);
  }
  if (items.length === 0) terminal.note('Nothing is on its way.');
  terminal.result(items, () => (items.length === 0 ? '' : deliveriesText(items, terminal)));
  if (more) terminal.note('There are more; --limit shows them.');
}

function deliveriesText(items: readonly DeliveryItem[], terminal: Terminal): string {
  const rows = items.map((item) => [
    item.id,
    item.source,
    stateText(item.state, terminal),
    item.function ?? '',
    String(item.attempt),
    item.nextAt === null ? '' : dueText(item.nextAt),
    agoText(item.sentAt),
    bytesText(item.bytes),
    oneLine(item.lastError ?? '', 60),
  ]);
  return table(['message', 'source', 'state', 'function', '>attempt', 'next', 'sent', '>size', 'last error'], rows, (text) =>
    terminal.paint('dim', text),
  );
}

async function show({ client, project, words, options, terminal }: Asked): Promise<void> {
  const detail = await client.delivery(project, words[0]!, { body: options.body });
  terminal.result(detail, () => detailText(detail, terminal));
}

function detailText({ items }: DeliveryDetail, terminal: Terminal): string {
  return items
    .map((item) => {
      const rows: [string, string][] = [
        ['message', item.id],
        ['from', item.source],
        ['to', receiverText(item)],
        ['state', `${stateText(item.state, terminal)}${item.nextAt === null ? '' : `, next ${dueText(item.nextAt)}`}`],
        ['attempts', String(item.attempt)],
        ['sent', `${item.sentAt} (${agoText(item.sentAt)})`],
      ];
      if (item.lastError !== null) rows.push(['last error', wholeLine(item.lastError)]);
      if (item.died !== null) rows.push(['died', diedText(item.died)]);
      for (const [key, value] of Object.entries(item.attributes)) rows.push([`attribute ${key}`, wholeLine(value)]);
      rows.push(['size', bytesText(item.bytes)]);
      return factsText(rows, terminal, item.body);
    })
    .join('\n\n');
}

/** A webhook's source is named for it. */
function receiverText({ function: fn, source }: DeliveryItem): string {
  if (fn !== null) return `function ${fn}`;
  return source.startsWith('webhook/') ? source.replace('/', ' ') : 'no function';
}

/** Says of each delivery what it sees first, and each change. */
async function tail({ client, project, options, terminal, signal }: Asked): Promise<void> {
  let seen = new Map<string, string>();
  let isTold = false;
  terminal.note(terminal.paintError('dim', `following ${options.source ?? project}; Ctrl-C ends it`));
  await repeatedly(
    async () => {
      const now = new Map<string, string>();
      for await (const item of client.deliveries(project, filterOf(options), { signal })) {
        if (now.size >= FOLLOWED_MAX) {
          if (!isTold)
            terminal.note(`There are more than ${FOLLOWED_MAX} deliveries, and those are followed; --function or --source narrow it down.`);
          isTold = true;
          break;
        }
        const key = `${item.source} ${item.id}`;
        const state = `${item.state} ${item.attempt}`;
        now.set(key, state);
        if (seen.get(key) === state) continue;
        const to = item.function === null ? '' : ` → ${item.function}`;
        const error = item.lastError === null ? '' : ` ${terminal.paint('red', oneLine(item.lastError, 80))}`;
        const line = `${wholeLine(item.id)} ${item.source}${to} ${stateText(item.state, terminal)} attempt ${item.attempt}${error}`;
        terminal.out(terminal.json ? JSON.stringify(item) : line);
      }
      seen = now;
    },
    { terminal, signal },
  );
}

async function cancel({ client, project, words, options, terminal }: Asked): Promise<void> {
  const id = words[0]!;
  const answer = await client.cancelDelivery(project, id, { source: options.source });
  terminal.result(answer, () => `${id} is taken back${answer.cancelled === 1 ? '' : ` from ${answer.cancelled} places`}`);
}
