// The work of one turn: the calls, what their answers mean, and the commit. Invariants: nothing is committed unless all calls of the turn
// succeeded, but for records before the one that a function named; the state of a window is of exactly the records that were committed.
// Called by partition-run.ts.
import type { StreamRecord } from '../bus.ts';
import { verdictOf } from '../deliver/called.ts';
import type { Clock } from '../deliver/clock.ts';
import type { Verdict } from '../deliver/delivery-kind.ts';
import type { EventOutcome, Invoker } from '../invoker.ts';
import { CLOUD_EVENT_TYPE } from '../../protocol/events.ts';
import type { NextTry } from './attempts.ts';
import { backoffMs } from './attempts.ts';
import { batchEvent, readAnswer } from './batch-event.ts';
import { putAside } from './dead-records.ts';
import type { Partition, StreamBus } from './partition.ts';
import { stateProblem } from './partition-state.ts';
import type { ReaderRules } from './reader-rules.ts';
import type { Turn } from './turns.ts';
import type { OpenWindow } from './windows.ts';

export interface WorkNeeds {
  bus: StreamBus;
  invoker: Invoker;
  clock: Clock;
  random: () => number;
}

export interface WorkOf {
  project: string;
  stream: string;
  function: string;
  partition: Partition;
  rules: ReaderRules;
  signal: AbortSignal;
}

/** How long to wait before the next turn, ms. */
type WaitMs = number;
type RecordsTurn = Extract<Turn, { as: 'records' }>;

export async function workTurn(needs: WorkNeeds, of: WorkOf, turn: Turn): Promise<WaitMs> {
  return await (turn.as === 'final' ? endWindow(needs, of, turn.window) : handle(needs, of, turn));
}

async function handle(needs: WorkNeeds, of: WorkOf, turn: RecordsTurn): Promise<WaitMs> {
  const { partition } = of;
  let open = partition.open;
  for (const { window, records } of turn.parts) {
    const outcome = await call(needs, of, { records, window, final: false });
    if (of.signal.aborted) return 0;
    const verdict = verdictOf(outcome);
    if (verdict.as === 'later') return verdict.delayMs;
    const answer = outcome.ok && verdict.as === 'done' ? readAnswer(outcome, records) : { problem: errorOf(verdict) };
    if ('problem' in answer) return await failed(needs, of, { turn, error: answer.problem });
    if (answer.failedAt !== undefined) return await failedAt(needs, of, { turn, position: answer.failedAt });
    if (window === undefined) continue;
    const state = answer.given === undefined ? window.state : answer.given.state;
    open = [...open.filter((one) => one !== window), { start: window.start, end: window.end, state }];
    const problem = stateProblem(state, open);
    if (problem !== undefined) return await failed(needs, of, { turn, error: problem });
  }
  await partition.commit(turn.last, open);
  return 0;
}

async function endWindow(needs: WorkNeeds, of: WorkOf, window: OpenWindow): Promise<WaitMs> {
  const { partition, rules } = of;
  const outcome = await call(needs, of, { records: [], window, final: true });
  if (of.signal.aborted) return 0;
  const verdict = verdictOf(outcome);
  if (verdict.as === 'later') return verdict.delayMs;
  if (verdict.as !== 'done') {
    partition.finalFailures++;
    const givenUp = partition.finalFailures >= rules.retry.attempts;
    if (!givenUp || rules.blocks) return backoffMs(partition.finalFailures, rules.retry, needs.random);
    await aside(needs, of, { records: [], window, final: true, error: errorOf(verdict) });
  }
  partition.finalFailures = 0;
  const left = partition.open.filter((one) => one !== window);
  await partition.commit(partition.position, left);
  return 0;
}

async function failed(needs: WorkNeeds, of: WorkOf, { turn, error }: { turn: RecordsTurn; error: string }): Promise<WaitMs> {
  const { records } = turn;
  const next = of.partition.attempts.failed(
    { first: records[0]!.position, last: records.at(-1)!.position, count: records.length },
    of.rules.retry,
  );
  return await after(needs, of, { next, turn, record: records[0]!, error });
}

/** The function named a record. Those before it are done; it is the first of the next turn. */
async function failedAt(needs: WorkNeeds, of: WorkOf, { turn, position }: { turn: RecordsTurn; position: number }): Promise<WaitMs> {
  const { partition, rules } = of;
  const before = turn.records.filter((record) => record.position < position).length;
  if (before > 0 && rules.windows !== undefined) {
    // What it gave is of all the records: it has to see those before it once more, alone.
    partition.attempts.before(before, position - 1);
    return 0;
  }
  if (before > 0) await partition.commit(position - 1, partition.open);
  const record = turn.records[before]!;
  const next = partition.attempts.failedAlone(position, rules.retry);
  return await after(needs, of, { next, turn, record, error: 'the function said that the record failed' });
}

async function after(
  needs: WorkNeeds,
  of: WorkOf,
  { next, turn, record, error }: { next: NextTry; turn: RecordsTurn; record: StreamRecord; error: string },
): Promise<WaitMs> {
  const { partition } = of;
  if (!next.givenUp || of.rules.blocks) return next.delayMs;
  const window = turn.parts.find(({ records }) => records.includes(record))?.window;
  const fresh = window === undefined ? undefined : { ...window, state: undefined };
  await aside(needs, of, { records: [record], window: fresh, final: false, error });
  await partition.commit(record.position, partition.open);
  return 0;
}

function errorOf(verdict: Verdict): string {
  return 'error' in verdict ? verdict.error : '';
}

interface Calling {
  records: readonly StreamRecord[];
  window: OpenWindow | undefined;
  final: boolean;
}

async function call({ invoker, clock }: WorkNeeds, of: WorkOf, calling: Calling): Promise<EventOutcome> {
  const { project, stream, partition, signal } = of;
  const event = batchEvent({ project, stream, partition: partition.number, ...calling }, clock.now());
  return await invoker.invoke({
    project,
    function: of.function,
    trigger: 'stream',
    requestLine: calling.final
      ? `STREAM ${stream}/${partition.number} (end of a window)`
      : `STREAM ${stream}/${partition.number} (${calling.records.length})`,
    contentType: CLOUD_EVENT_TYPE,
    body: Buffer.from(JSON.stringify(event)),
    signal,
  });
}

async function aside({ bus, clock }: WorkNeeds, of: WorkOf, { error, ...calling }: Calling & { error: string }): Promise<void> {
  const { project, stream, partition, rules } = of;
  const { queue, dead } = rules;
  await putAside(bus, { project, stream, partition: partition.number, ...calling, queue, dead, error }, clock.now());
}
