// `virga queues`: the queues of a project: list, show, send, peek, tail, receive, settle, purge.
import type { Command } from 'commander';
import { text as wholeText } from 'node:stream/consumers';
import type { QueueItem, SettleItem } from '../../../sdk/src/control.ts';
import { bytesText, durationMs } from '../../lib/units.ts';
import { actionOf, askedOf } from '../actions.ts';
import type { Action, Asked as AskedWith } from '../actions.ts';
import type { CommandDefinition } from '../command.ts';
import { confirmed } from '../confirm.ts';
import { CommandError, UsageError } from '../failure.ts';
import { backlogText, bodyText, factsText, messageText, messagesText, oneLine, stateText, wholeLine } from '../message-text.ts';
import { agoText } from '../phrases.ts';
import { table } from '../table.ts';
import { repeatedly } from '../tail.ts';
import type { Terminal } from '../terminal.ts';
import { attributesOf, durationOption, wholeNumber } from '../values.ts';

interface Options {
  project?: string;
  attribute?: string[];
  delay?: string;
  group?: string;
  deduplicationId?: string;
  id?: string;
  lines?: true;
  limit?: string;
  max?: string;
  wait?: string;
  visibility?: string;
  hold?: true;
  as?: string;
  error?: string;
  yes?: boolean;
}

type Asked = AskedWith<Options>;

const QUEUE = 'the name of a queue';
const ACTIONS = {
  list: { words: [], needed: 0 },
  show: { words: [QUEUE], needed: 1 },
  send: { words: [QUEUE, 'a text'], needed: 1, options: ['attribute', 'delay', 'group', 'deduplicationId', 'id', 'lines'] },
  peek: { words: [QUEUE, 'the id of a message'], needed: 1, options: ['limit'] },
  tail: { words: [QUEUE], needed: 1 },
  receive: { words: [QUEUE], needed: 1, options: ['max', 'wait', 'visibility', 'hold'] },
  settle: { words: [QUEUE, 'a receipt'], needed: 2, options: ['as', 'delay', 'visibility', 'error'] },
  purge: { words: [QUEUE], needed: 1, options: ['id', 'yes'] },
} satisfies Record<string, Action>;

const SENT_AT_ONCE = 100;

export const command: CommandDefinition<Options> = {
  define(cli: Command) {
    cli
      .argument('[action]', `${Object.keys(ACTIONS).join(', ')}; without it list`)
      .argument(
        '[words...]',
        'the queue; send: and the text (without it, standard input); peek: perhaps the id of a message; settle: and the receipt',
      )
      .option('-a, --attribute <key=value...>', 'send: an attribute of the message')
      .option('--delay <duration>', 'send: how long it waits before it is delivered; settle --as retry: before it comes again')
      .option('--group <name>', 'send: its group, in a queue with fifo')
      .option('--deduplication-id <id>', 'send: what tells that it is the same as an earlier one')
      .option('--id <id>', 'send: its id, instead of a new one; purge: only this message')
      .option('--lines', 'send: each line of standard input is a message')
      .option('-n, --limit <count>', 'peek: at most so many, 20 without it')
      .option('--max <count>', 'receive: at most so many, 1 without it')
      .option('--wait <duration>', 'receive: how long to wait for the first, at most 20s')
      .option('--visibility <duration>', 'receive, settle --as extend: how long they are held, as the queue says without it')
      .option('--hold', 'receive: leaves them held, to be settled by their receipts; without it they are done once they are printed')
      .option('--as <outcome>', 'settle: done (without it), retry, dead or extend')
      .option('--error <text>', 'settle --as retry or dead: why')
      .option('-y, --yes', 'purge: do not ask')
      .option('-p, --project <name>', 'the project; without it, the one of the virga.yaml here');
  },
  examples: [
    'virga queues',
    `virga queues send orders '{"article": 7}' --attribute kind=book`,
    'virga queues send orders --lines < orders.ndjson',
    'virga queues peek orders --limit 5',
    'virga queues tail orders',
    'virga queues receive reports --max 10 --wait 20s --hold --json',
    'virga queues settle reports 4711.8151 --as retry --delay 1m',
    'virga queues purge orders --yes',
  ],
  notes:
    'Messages of a queue with a trigger go to its function; `receive` is for the others. `peek` and `tail` look without taking. A queue that virga.yaml does not name any more is listed as removed until nothing is left in it: `purge` drops what is. With --json, `tail` prints a JSON document on each line.',
  ownSignals: ['tail'],
  async run(context, given, options) {
    const { name, words } = actionOf('queues', ACTIONS, { given, options });
    await { list, show, send, peek, tail, receive, settle, purge }[name](await askedOf(context, words, options));
  },
};

async function list({ client, project, terminal }: Asked): Promise<void> {
  const queues = await Array.fromAsync(client.queues(project));
  if (queues.length === 0) terminal.note(`The project '${project}' has no queues; \`queues\` in virga.yaml declares them.`);
  const rows = queues.map((queue) => [
    queue.name,
    queue.state === 'removed' ? stateText('removed', terminal) : (queue.function ?? ''),
    String(queue.pending),
    String(queue.delayed),
    String(queue.held),
    queue.oldestAt === null ? '' : agoText(queue.oldestAt),
    bytesText(queue.bytes),
    queue.deadLetters === null ? `→ ${queue.deadLettersTo}` : deadText(queue.deadLetters, terminal),
    rateText(queue.rates?.sent),
    rateText(queue.rates?.done),
  ]);
  const headings = ['queue', 'function', '>pending', '>delayed', '>held', 'oldest', '>size', '>dead letters', '>in/s', '>done/s'];
  terminal.result(queues, () => (rows.length === 0 ? '' : table(headings, rows, (text) => terminal.paint('dim', text))));
}

async function show({ client, project, words, terminal }: Asked): Promise<void> {
  const queue = await client.queue(project, words[0]!);
  terminal.result(queue, () => factsText(factsOf(queue, terminal), terminal));
}

function factsOf(queue: QueueItem, terminal: Terminal): [string, string][] {
  const { limits, totals, rates } = queue;
  const of = limits === null ? '' : ` (at most ${limits.messages} messages, ${bytesText(limits.bytes)})`;
  const removed = `${stateText('removed', terminal)} from virga.yaml; \`virga queues purge ${queue.name}\` drops what is left`;
  return [
    ['queue', queue.state === 'removed' ? `${queue.name}, ${removed}` : `${queue.name}${queue.fifo === true ? ', fifo' : ''}`],
    ['function', queue.function ?? 'none: messages wait for whoever receives them'],
    ['messages', `${backlogText(queue)}, ${bytesText(queue.bytes)}${of}`],
    ...(queue.oldestAt === null ? [] : [['oldest', `sent ${agoText(queue.oldestAt)}`] as [string, string]]),
    ['dead letters', queue.deadLetters === null ? `go to the queue '${queue.deadLettersTo}'` : deadText(queue.deadLetters, terminal)],
    ['since it exists', `${totals.sent} sent, ${totals.done} done, ${totals.retried} tried again, ${totals.dead} dead`],
    ...(rates === null
      ? []
      : [['a second', `${rates.sent} sent, ${rates.done} done (over ${Math.round(rates.overMs / 1_000)} s)`] as [string, string]]),
  ];
}

async function send({ client, project, words: [queue, text], options, terminal, input }: Asked): Promise<void> {
  const { group, deduplicationId, id } = options;
  if (options.lines === true && (text !== undefined || id !== undefined || deduplicationId !== undefined))
    throw new UsageError('--lines sends the lines of standard input: it goes neither with a text nor with --id or --deduplication-id');
  if (text === undefined && input.isTTY) throw new UsageError('send needs a text, or messages on standard input');
  const delayMs = options.delay === undefined ? undefined : durationOption(options.delay, '--delay', { min: 0, max: 30 * 86_400_000 });
  const rules = { attributes: attributesOf(options.attribute), delayMs, group, deduplicationId, id };
  const whole = text ?? (await wholeText(input));
  const bodies = options.lines === true ? whole.split(/\r?\n/).filter((line) => line !== '') : [whole.replace(/\r?\n$/, '')];
  if (bodies.length === 0) throw new UsageError('standard input has no lines');
  const sent: { result: string; id: string }[] = [];
  using progress = terminal.progress('sending');
  for (let at = 0; at < bodies.length; at += SENT_AT_ONCE) {
    const messages = bodies.slice(at, at + SENT_AT_ONCE).map((body) => ({ body, ...rules }));
    try {
      sent.push(...(await client.sendMessages(project, queue!, messages)).messages);
    } catch (error) {
      if (at > 0) terminal.note(`The first ${at} messages were sent.`);
      throw error;
    }
    progress.update('sending', `${sent.length} of ${bodies.length}`);
  }
  terminal.result({ messages: sent }, () =>
    sent.length > 1
      ? `sent ${sent.filter(({ result }) => result === 'sent').length} messages`
      : sent.map((one) => (one.result === 'duplicate' ? `${one.id} (a duplicate: nothing was sent)` : one.id)).join('\n'),
  );
}

async function peek({ client, project, words: [queue, id], options, terminal }: Asked): Promise<void> {
  if (id !== undefined) {
    const message = await client.message(project, queue!, id);
    return terminal.result(message, () => messageText(message, terminal));
  }
  const limit = wholeNumber(options.limit ?? '20', '--limit', { min: 1, max: 100 });
  const { items, next } = await client.messages(project, queue!).page({ limit });
  if (items.length === 0) terminal.note(`The queue '${queue}' is empty.`);
  terminal.result(items, () => (items.length === 0 ? '' : messagesText(items, terminal)));
  if (next !== null) terminal.note('There are more; --limit shows up to 100.');
}

async function tail({ client, project, words: [queue], terminal, signal }: Asked): Promise<void> {
  /** Sent, and either shown or told of. */
  let known = (await client.queue(project, queue!)).totals.sent;
  let after = await newestSequence(async (behind) => {
    const { items } = await client.messages(project, queue!, { after: behind, body: false }, { signal }).page({ limit: 1 });
    return items[0]?.sequence;
  });
  terminal.note(terminal.paintError('dim', `following ${queue}; Ctrl-C ends it`));
  await repeatedly(
    async () => {
      // Counted before it is looked: what comes in between is shown, and counted the next time.
      const { totals } = await client.queue(project, queue!, { signal });
      for await (const message of client.messages(project, queue!, { after }, { signal })) {
        after = message.sequence;
        known += 1;
        const clock = new Date(message.sentAt).toTimeString().slice(0, 8);
        const error = message.lastError === null ? '' : ` ${terminal.paint('red', oneLine(message.lastError, 60))}`;
        const line = `${terminal.paint('dim', clock)} ${wholeLine(message.id)} ${stateText(message.state, terminal)}${error} ${oneLine(message.body ?? '', 100)}`;
        terminal.out(terminal.json ? JSON.stringify(message) : line);
      }
      const missed = totals.sent - known;
      if (missed <= 0) return;
      known += missed;
      terminal.note(terminal.paintError('dim', `${missed} more came and were handled in between`));
    },
    { terminal, signal },
  );
}

/** The last sequence of a queue, by bisection: `firstBehind` answers the first one behind another. */
async function newestSequence(firstBehind: (sequence: string) => Promise<string | undefined>): Promise<string> {
  let last = BigInt((await firstBehind('0')) ?? '0');
  let step = 1_024n;
  let growing = true;
  while (step > 0n) {
    const found = await firstBehind(String(last + step));
    if (found !== undefined) last = BigInt(found);
    else if (await isLast(last)) return String(last);
    growing &&= found !== undefined;
    step = growing ? step * 2n : step / 2n;
  }
  return String(last);

  async function isLast(sequence: bigint): Promise<boolean> {
    return (await firstBehind(String(sequence))) === undefined;
  }
}

async function receive({ client, project, words: [queue], options, terminal }: Asked): Promise<void> {
  const max = wholeNumber(options.max ?? '1', '--max', { min: 1, max: 100 });
  const waitMs = options.wait === undefined ? 0 : durationOption(options.wait, '--wait', { min: 0, max: 20_000 });
  const { messages } = await client.receiveMessages(project, queue!, { max, waitMs, visibility: options.visibility });
  if (messages.length === 0) terminal.note(`Nothing came from the queue '${queue}'.`);
  terminal.result(messages, () =>
    messages
      .map((one) =>
        options.hold === true
          ? `${one.receipt}  ${one.id}  attempt ${one.attempt}  ${bodyText(one.body, terminal)}`
          : bodyText(one.body, terminal),
      )
      .join('\n'),
  );
  if (options.hold === true || messages.length === 0) return;
  const { results } = await client.settleMessages(
    project,
    queue!,
    messages.map(({ receipt }) => ({ receipt, as: 'done' })),
  );
  if (results.some(({ settled }) => !settled)) throw new CommandError('not all were still held when they were printed: some come again');
}

async function settle({ client, project, words: [queue, receipt], options, terminal }: Asked): Promise<void> {
  const item = settlementOf(receipt!, options);
  const [result] = (await client.settleMessages(project, queue!, [item])).results;
  if (result?.settled !== true)
    throw new CommandError(`nothing is held under the receipt ${receipt} (any more); the message comes again, or did`);
  terminal.result(
    result,
    () => ({ done: 'done', retry: 'it comes again', dead: 'it is a dead letter', extend: 'held for longer' })[item.as],
  );
}

function settlementOf(receipt: string, { as = 'done', delay, visibility, error }: Options): SettleItem {
  const misplaced = [
    ['delay', delay, ['retry']],
    ['visibility', visibility, ['extend']],
    ['error', error, ['retry', 'dead']],
  ].find(([, value, of]) => value !== undefined && !(of as string[]).includes(as));
  if (misplaced !== undefined)
    throw new UsageError(`--${misplaced[0] as string} goes with --as ${(misplaced[2] as string[]).join(' or ')}`);
  if (as === 'done') return { receipt, as };
  if (as === 'retry') return { receipt, as, delay, error };
  if (as === 'dead') return { receipt, as, error };
  if (as !== 'extend') throw new UsageError(`--as is ${JSON.stringify(as)}; expected done, retry, dead or extend`);
  if (visibility === undefined || durationMs(visibility) === undefined) throw new UsageError('--as extend needs --visibility, e.g. 5m');
  return { receipt, as, visibility };
}

async function purge(asked: Asked): Promise<void> {
  const { client, project, words, options, terminal } = asked;
  const queue = words[0]!;
  const { pending, delayed } = await client.queue(project, queue);
  const what = options.id === undefined ? `the ${pending + delayed} messages of the queue '${queue}'` : `the message ${options.id}`;
  await confirmed(asked, { what: `Drop ${what}`, yes: options.yes });
  const answer = await client.purgeQueue(project, queue, { id: options.id });
  terminal.result(answer, () => `dropped ${answer.purged} messages of ${queue}`);
}

function deadText(count: number, terminal: Terminal): string {
  return count === 0 ? '0' : terminal.paint('red', String(count));
}

function rateText(rate: number | undefined): string {
  return rate === undefined ? '' : String(rate);
}
