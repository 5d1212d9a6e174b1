// What guests ask of a run that is awake: what cannot be stored is refused before it is anybody else's trouble, what is too much ends the run.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { WorkflowRequest } from '../../protocol/workflow-run.ts';
import { AwakeRun } from './awake-run.ts';
import type { Runs, Taken } from './runs.ts';
import type { StepWrite, StepWriter } from './step-writer.ts';

const NAME = { project: 'shop', function: 'f', id: 'a' };
const STEP = { ordinal: 1, scope: '', kind: 'step', name: 's', occurrence: 1, attempt: 1 } as const;

function awakeRun({ historyBytes = 1_000, waiting = 0 } = {}) {
  const written: StepWrite[] = [];
  const ended: { state: string; error: string | null }[] = [];
  const taken = { run: '7', token: 1, place: 0, bytes: 0, steps: 0 } as Taken;
  const runs: Partial<Runs> = {
    end: (_held, how) => {
      ended.push(how);
      return Promise.resolve(true);
    },
    news: () => Promise.resolve([]),
    waiting: () => Promise.resolve(waiting),
  };
  const writer: Partial<StepWriter> = {
    write: (write) => {
      written.push(write);
      return Promise.resolve();
    },
  };
  const awake = new AwakeRun(NAME, taken, {
    runs: runs as Runs,
    writer: writer as StepWriter,
    now: () => 1_000,
    limits: { workflowStepsMax: 10, workflowHistoryBytesMax: historyBytes, workflowBytesMax: 100 },
    wake: () => Promise.resolve(),
    keepMs: 1,
    hearsEvent: (_name, type) => type === 'paid',
  });
  const ask = (request: object, data = '') => awake.ask({ run: 'a', token: 1, ...request } as WorkflowRequest, Buffer.from(data));
  return { awake, written, ended, ask };
}

test('what Postgres would refuse, and with it the steps of others, is refused alone', async () => {
  const { written, ask } = awakeRun();
  const done = { op: 'workflow.done', ...STEP };
  for (const [request, data] of [
    [{ ...done, ordinal: 2 ** 31 }],
    [{ ...done, ordinal: 0 }],
    [{ ...done, ordinal: 'x' }],
    [{ ...done, occurrence: 1.5 }],
    [{ ...done, attempt: -1 }],
    [{ ...done, kind: 'sleep' }],
    [{ ...done, name: 'a\0b' }],
    [{ ...done, name: '\ud800' }],
    [{ ...done, name: { toString: 1 } }],
    [{ ...done, scope: 'x' }],
    [done, 'no JSON'],
    [{ ...done, op: 'workflow.failed' }, '"no error"'],
    [{ ...done, op: 'workflow.retry', inMs: null }, '{"name":"E","message":""}'],
    [{ ...STEP, op: 'workflow.sleep', kind: 'sleep', until: 9e15 }],
    [{ ...STEP, op: 'workflow.wait', kind: 'wait', forMs: -1 }],
    [{ op: 'workflow.history', after: 'x' }],
    [{ op: 'workflow.end', state: 'cancelled' }],
    [{ op: 'workflow.other' }],
  ] as const)
    await assert.rejects(ask(request, data), { code: 'invalid_request' }, JSON.stringify([request, data]));
  await assert.rejects(ask(done, `"${'x'.repeat(100)}"`), { code: 'request_too_large' });
  assert.equal(written.length, 0);
  await ask(done, '"kept"');
  assert.deepEqual(
    written.map(({ result }) => result),
    ['"kept"'],
  );
});

test('a history that is full ends the run at once: no step is run a second time for it', async () => {
  for (const request of [
    { op: 'workflow.done', ...STEP, ordinal: 2 },
    { op: 'workflow.begin', ...STEP, ordinal: 11 },
  ]) {
    const { awake, ended, ask } = awakeRun({ historyBytes: 60 });
    await ask({ op: 'workflow.done', ...STEP }, `"${'x'.repeat(50)}"`);
    await assert.rejects(ask(request, request.op === 'workflow.done' ? `"${'x'.repeat(50)}"` : ''), { code: 'workflow_lost' });
    assert.equal(awake.state, 'failed');
    assert.match(
      ended[0]!.error!,
      /"workflow_too_large","message":"the (history of the run has 104 bytes; at most 60|run has more than 10 steps)/,
    );
  }
});

test('a wait that cannot be is a step that failed', async () => {
  const wait = { ...STEP, op: 'workflow.wait', kind: 'wait', name: 'w' };
  for (const [how, match, waiting, expected] of [
    [{ name: 'a b' }, '', 0, /'a b' is no name of an event/],
    [{}, '5', 0, /match of the wait for 'w': expected a list/],
    [{ event: 'paid' }, '{"data":{"n":5}}', 0, /match\.data\.n of the wait for 'w': expected a list/],
    [{ event: 'sold' }, '', 0, /the type 'sold' are not brought to runs of 'f'; say/],
    [{ event: 'paid' }, '', 10_000, /10000 waits of project 'shop' for events of the type 'paid'/],
  ] as const) {
    const { written, ask } = awakeRun({ waiting });
    const answer = (await ask({ ...wait, ...how }, match)) as { state: string; place: number; error: { message: string } };
    assert.match(answer.error.message, expected);
    assert.deepEqual([answer.state, answer.place, written.map(({ state }) => state)], ['failed', 1, ['failed']]);
  }
});
