// Asynchronous invocations in a terminal: one that was taken, one with all that is known of it, a list, and one that is followed until it
// has ended. Used by the commands invoke, invocation and invocations.
import { setTimeout as sleep } from 'node:timers/promises';
import type { AsyncAccepted, AsyncDetail, AsyncItem, AsyncState, VirgaControl } from '../../sdk/src/control.ts';
import { printable } from './log-text.ts';
import { clockText } from './phrases.ts';
import { table } from './table.ts';
import type { Terminal } from './terminal.ts';

const LOOK_FIRST_MS = 50;
const LOOK_LAST_MS = 1_000;

export function printTaken(taken: AsyncAccepted, terminal: Terminal): number {
  terminal.result(taken, () => taken.id);
  if (taken.again) terminal.note('There was one of this key: this is it.');
  return 0;
}

/** Prints what it answered when it has ended; the exit status says whether it succeeded. */
export async function follow(client: VirgaControl, { project, id }: { project: string; id: string }, terminal: Terminal): Promise<number> {
  let detail: AsyncDetail;
  {
    using _ = terminal.progress(`waiting for ${id}`);
    for (let waitMs = LOOK_FIRST_MS; ; waitMs = Math.min(LOOK_LAST_MS, waitMs * 1.5)) {
      detail = await client.async.read(project, id);
      if (detail.state !== 'queued' && detail.state !== 'running') break;
      await sleep(waitMs);
    }
  }
  if (terminal.json) terminal.result(detail, () => '');
  else {
    const { answer } = detail;
    if (answer?.text !== undefined)
      terminal.outBytes(terminal.outIsTerminal && !answer.text.endsWith('\n') ? `${answer.text}\n` : answer.text);
    else if (answer?.base64 !== undefined) terminal.outBytes(Buffer.from(answer.base64, 'base64'));
    if (detail.error !== null)
      terminal.error(`${terminal.paintError(['red', 'bold'], 'error:')} ${printable(detail.error.message)} (${detail.error.code})`);
    terminal.note(terminal.paintError('dim', `${id}  ${detail.state}  ${attemptsText(detail.attempts)}`));
  }
  return detail.state === 'succeeded' ? 0 : 1;
}

export function asyncText(detail: AsyncDetail, terminal: Terminal): string {
  const { answer, asked, error } = detail;
  const rows = [
    ['function', `${detail.function}${detail.version === null ? '' : `, version ${detail.version}`}`],
    ['request', detail.request ?? 'async'],
    ['state', `${stateText(detail.state, terminal)}, ${attemptsText(detail.attempts)}`],
    ...(error === null ? [] : [['error', `${printable(error.message).replaceAll('\n', ' ')} (${error.code})`]]),
    ['created', detail.createdAt],
    ...(detail.startedAt === null ? [] : [['started', detail.startedAt]]),
    ...(detail.endedAt === null ? [['fails at', detail.deadlineAt]] : [['ended', detail.endedAt]]),
    ['kept until', detail.expiresAt],
    ...(detail.invocation === null ? [] : [['last attempt', `virga invocation ${detail.invocation}`]]),
    ...(answer === null ? [] : [['answer', `${answer.status}, ${answer.contentType}${answer.truncated ? ', cut' : ''}`]]),
  ];
  const lines = [
    detail.id,
    table(
      [],
      rows.map(([name, value]) => [`  ${terminal.paint('dim', name!)}`, value!]),
    ),
  ];
  if (asked !== null)
    lines.push('', terminal.paint('dim', 'asked'), printable(asked.text ?? (asked.json === undefined ? '' : JSON.stringify(asked.json))));
  if (answer !== null) lines.push('', terminal.paint('dim', 'answered'), printable(answer.text ?? '(bytes)'));
  return lines.join('\n');
}

export function asyncTable(items: AsyncItem[], terminal: Terminal): string {
  if (items.length === 0) return '';
  const rows = items.map((item) => [
    item.id,
    clockText(Date.parse(item.createdAt)),
    stateText(item.state, terminal),
    String(item.attempts),
    item.request ?? 'async',
    String(item.status ?? ''),
    printable(item.error?.message ?? '')
      .replaceAll('\n', ' ')
      .slice(0, 80),
  ]);
  return table(['invocation', 'time', 'state', '>attempts', 'request', '>status', 'error'], rows, (text) => terminal.paint('dim', text));
}

function stateText(state: AsyncState, terminal: Terminal): string {
  return state === 'succeeded' ? terminal.paint('green', state) : state === 'failed' ? terminal.paint('red', state) : state;
}

function attemptsText(attempts: number): string {
  return attempts === 1 ? '1 attempt' : `${attempts} attempts`;
}
