// Who has an invocation, whatever becomes of those who asked for it and of the caller.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Answer } from '../../answer.ts';
import type { Outlet } from '../../channel.ts';
import { Invocation } from '../../invocation.ts';
import { RequestBody } from '../../request-body.ts';
import { Assignments } from './assignments.ts';
import { Exchange } from './http-exchange.ts';

const NOWHERE: Outlet = {
  congestion: 0,
  send() {},
  sendNow() {},
  flush() {},
  defer() {},
  drained: () => Promise.resolve(),
};

function given(assignments: Assignments, stream: number): { invocation: Invocation; ended: () => boolean } {
  const body = new RequestBody(NOWHERE, { stream, first: Buffer.alloc(0), complete: true });
  const answer = new Answer(NOWHERE, { stream, receivedAt: 0, beforeEnd() {} });
  const meta = { kind: 'event', id: `inv_${stream}`, trace: '', trigger: 'invoke', contentType: '' } as const;
  const invocation = new Invocation({ stream, meta, receivedAt: 0, timeoutMs: 1000, body, answer });
  let ended = false;
  void assignments
    .give({ id: `id-${stream}`, invocation, headers: '', event: undefined, body: `body-${stream}` })
    .then(() => (ended = true));
  return { invocation, ended: () => ended };
}

/** `out`: its answer leaves whole, at once. */
function poll(assignments: Assignments, { out = true } = {}): { exchange: Exchange; got: (string | Buffer)[] } {
  const got: (string | Buffer)[] = [];
  const exchange = new Exchange('GET', '/next', {}, (sent, { body }) => {
    got.push(body);
    if (out) sent.onGone = undefined;
  });
  assignments.take(exchange);
  return { exchange, got };
}

const leave = ({ exchange }: { exchange: Exchange }): void => exchange.onGone?.(exchange);
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('a poller that has left is given nothing', () => {
  const assignments = new Assignments(1);
  const [gone, there] = [poll(assignments), poll(assignments)];
  leave(gone);
  given(assignments, 1);
  assert.deepEqual([gone.got, there.got], [[], ['body-1']]);
});

test('what a poller did not get whole is the next one’s', () => {
  const assignments = new Assignments(2);
  const broken = poll(assignments, { out: false });
  given(assignments, 1);
  assert.deepEqual(broken.got, ['body-1']);
  const waiting = poll(assignments);
  leave(broken);
  assert.deepEqual(waiting.got, ['body-1']);
  // It leaves once more, when the other has it.
  leave(broken);
  assert.deepEqual(poll(assignments).got, []);
});

test('one call at a time: who asks again gets the same, and the one before has nothing to give back', () => {
  const assignments = new Assignments(1);
  given(assignments, 1);
  const lost = poll(assignments, { out: false });
  const again = poll(assignments);
  leave(lost);
  assert.deepEqual([lost.got, again.got, poll(assignments).got], [['body-1'], ['body-1'], ['body-1']]);
  assert.equal(assignments.get('id-1')?.state, 'taken');
});

test('a cancelled invocation ends at once if nobody has begun it, and else with its answer', async () => {
  const assignments = new Assignments(1);
  const begun = given(assignments, 1);
  poll(assignments);
  const waiting = given(assignments, 2);
  begun.invocation.cancel();
  waiting.invocation.cancel();
  await turn();
  assert.deepEqual([begun.ended(), waiting.ended()], [false, true]);
  assert.deepEqual([assignments.speaking, assignments.wasAnswered('id-2')], [1, true]);
  assignments.done(assignments.get('id-1')!);
  await turn();
  assert.deepEqual([begun.ended(), assignments.open.length], [true, 0]);
});
