// A run of a workflow for people: its state, and what became of each of its steps. Pure but for the clock. Used by `virga workflows`.
import type { RunDetail, RunState, RunStep } from '../../sdk/src/workflow-runs.ts';
import { bytesText, durationText } from '../lib/units.ts';
import { msText, uptimeText } from './phrases.ts';
import { table } from './table.ts';
import type { Terminal } from './terminal.ts';

const COLOURS: Partial<Record<RunState, 'green' | 'red' | 'yellow'>> = { succeeded: 'green', failed: 'red', cancelled: 'yellow' };
const RESULT_SHOWN = 60;
const VALUE_SHOWN = 500;

export function stateText(state: RunState, terminal: Pick<Terminal, 'paint'>): string {
  const colour = COLOURS[state];
  return colour === undefined ? state : terminal.paint(colour, state);
}

/** `in 3 d 4 h`, `now`. */
export function untilText(iso: string, nowMs: number = Date.now()): string {
  const ms = Date.parse(iso) - nowMs;
  if (ms <= 0) return 'now';
  return ms < 1_000 ? `in ${Math.round(ms)} ms` : `in ${uptimeText(Math.round(ms / 1_000))}`;
}

export function runText(run: RunDetail, terminal: Pick<Terminal, 'paint'>): string {
  const lines = [
    `${run.workflow} ${run.id}  ${stateText(run.state, terminal)}  v${run.version}  by ${run.trigger}`,
    `started    ${run.createdAt}${run.endedAt === null ? '' : `, ended ${run.endedAt}`}`,
    ...(run.wakeAt === null ? [] : [`next       ${run.wakeAt} (${untilText(run.wakeAt)})`]),
    `input      ${short(run.input, VALUE_SHOWN)}`,
    ...(run.result === undefined ? [] : [`result     ${short(run.result, VALUE_SHOWN)}`]),
    ...(run.error === null ? [] : [terminal.paint('red', `error      ${run.error.name}: ${run.error.message}`)]),
  ];
  if (run.steps.length > 0) {
    const rows = run.steps.map((step) => [
      String(step.ordinal),
      `${'  '.repeat(step.scope === '' ? 0 : step.scope.split('/').length)}${nameOf(step)}`,
      step.state,
      step.attempts > 1 ? String(step.attempts) : '',
      step.startedAt.slice(0, 19).replace('T', ' '),
      tookText(step),
      said(step),
    ]);
    const headings = ['>#', 'step', 'state', '>attempts', 'began (UTC)', 'took', ''];
    lines.push(
      '',
      table(headings, rows, (heading) => terminal.paint('dim', heading)),
    );
  }
  const waiting = run.events.filter(({ ordinal }) => ordinal === null);
  if (waiting.length > 0) lines.push('', `kept for a wait that comes later: ${waiting.map(({ name }) => name).join(', ')}`);
  return lines.join('\n');
}

function nameOf({ kind, name, occurrence, scope, event }: RunStep): string {
  const branch = scope === '' ? '' : ` (branch ${scope})`;
  const count = occurrence > 1 ? ` #${occurrence}` : '';
  return kind === 'step'
    ? `${name}${count}${branch}`
    : kind === 'wait'
      ? `wait for ${name}${event === null ? '' : ` (${event})`}${count}${branch}`
      : `sleep${count}${branch}`;
}

function tookText({ startedAt, endedAt, wakeAt, kind }: RunStep): string {
  if (endedAt === null) return wakeAt === null ? '' : untilText(wakeAt);
  const ms = Date.parse(endedAt) - Date.parse(startedAt);
  return kind === 'step' ? msText(ms) : ms >= 60_000 ? uptimeText(Math.round(ms / 1_000)) : durationText(Math.round(ms));
}

function said({ error, result, resultBytes }: RunStep): string {
  if (error !== null) return `${error.name}: ${error.message}`.replaceAll(/\s+/g, ' ').slice(0, RESULT_SHOWN);
  if (result !== undefined) return short(result);
  return resultBytes > 0 ? bytesText(resultBytes) : '';
}

function short(value: unknown, charactersMax = RESULT_SHOWN): string {
  const text = JSON.stringify(value) ?? '';
  return text.length <= charactersMax ? text : `${text.slice(0, charactersMax - 1)}…`;
}
