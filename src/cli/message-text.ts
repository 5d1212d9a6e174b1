// Messages, deliveries and dead letters for people. Pure but for colours and the clock. Used by the commands of queues, deliveries and
// dead letters.
import type { Backlog, Died, QueuedMessage } from '../../sdk/src/control.ts';
import { bytesText } from '../lib/units.ts';
import { printable } from './log-text.ts';
import { agoText } from './phrases.ts';
import { table } from './table.ts';
import type { Style, Terminal } from './terminal.ts';

const STYLES: Record<string, Style> = {
  pending: 'cyan',
  delayed: 'yellow',
  held: 'green',
  dead: 'red',
  removed: 'yellow',
  running: 'cyan',
};

export function stateText(state: string, terminal: Terminal): string {
  return Object.hasOwn(STYLES, state) ? terminal.paint(STYLES[state]!, state) : state;
}

/** `3 pending, 2 delayed, 1 held`, or `empty`. */
export function backlogText({ pending, delayed, held }: Pick<Backlog, 'pending' | 'delayed' | 'held'>): string {
  const parts = [
    [pending, 'pending'],
    [delayed, 'delayed'],
    [held, 'held'],
  ] as const;
  return (
    parts
      .filter(([count]) => count > 0)
      .map(([count, word]) => `${count} ${word}`)
      .join(', ') || 'empty'
  );
}

/** When something is due: `in 12 s`, `now`. */
export function dueText(iso: string, nowMs: number = Date.now()): string {
  const seconds = Math.ceil((Date.parse(iso) - nowMs) / 1_000);
  if (seconds <= 0) return 'now';
  if (seconds < 120) return `in ${seconds} s`;
  return seconds < 7_200 ? `in ${Math.round(seconds / 60)} min` : `in ${Math.round(seconds / 3_600)} h`;
}

export function diedText({ from, reason, at }: Died): string {
  const why = { receives: 'received as often as it may be', expired: 'too old', rejected: 'given up' }[reason];
  return `${why}, in ${from}, ${agoText(at)}`;
}

/** In one line, without what moves the cursor. */
export function oneLine(text: string, charactersMax: number): string {
  const plain = wholeLine(text);
  return plain.length > charactersMax ? `${plain.slice(0, Math.max(1, charactersMax - 1)).replace(/[\ud800-\udbff]$/, '')}…` : plain;
}

/** The same, all of it. */
export function wholeLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').replaceAll(/[\x00-\x1f\x7f-\x9f]/g, '·');
}

/** What a sender wrote, on stdout: as it is, but on a terminal without what moves its cursor. */
export function bodyText(body: string, terminal: Pick<Terminal, 'outIsTerminal'>): string {
  return terminal.outIsTerminal ? printable(body) : body;
}

export function messagesText(messages: readonly QueuedMessage[], terminal: Terminal): string {
  const rows = messages.map((message) => [
    message.id,
    stateText(message.state, terminal),
    message.state === 'pending' ? '' : dueText(message.dueAt),
    String(message.attempt),
    agoText(message.sentAt),
    oneLine(message.group ?? '', 40),
    bytesText(message.bytes),
    oneLine(message.lastError ?? '', 40),
    oneLine(message.body ?? '', 60),
  ]);
  return table(['message', 'state', 'due', '>attempt', 'sent', 'group', '>size', 'last error', 'body'], rows, (text) =>
    terminal.paint('dim', text),
  );
}

/** All of one message, its body last. */
export function messageText(message: QueuedMessage, terminal: Terminal): string {
  const rows: [string, string][] = [
    ['message', message.id],
    ['state', `${stateText(message.state, terminal)}${message.state === 'pending' ? '' : `, due ${dueText(message.dueAt)}`}`],
    ['attempts', String(message.attempt)],
    ['sent', `${message.sentAt} (${agoText(message.sentAt)})`],
  ];
  if (message.lastError !== null) rows.push(['last error', wholeLine(message.lastError)]);
  if (message.group !== null) rows.push(['group', wholeLine(message.group)]);
  if (message.deduplicationId !== null) rows.push(['deduplication id', wholeLine(message.deduplicationId)]);
  for (const [key, value] of Object.entries(message.attributes)) rows.push([`attribute ${key}`, wholeLine(value)]);
  if (message.died !== null) rows.push(['died', diedText(message.died)]);
  rows.push(['size', bytesText(message.bytes)]);
  return factsText(rows, terminal, message.body);
}

/** Names and values, and a body below. */
export function factsText(rows: readonly (readonly [string, string])[], terminal: Terminal, body?: string): string {
  const facts = table(
    [],
    rows.map(([name, value]) => [terminal.paint('dim', name), value]),
  );
  return body === undefined ? facts : `${facts}\n\n${bodyText(body, terminal)}`;
}
