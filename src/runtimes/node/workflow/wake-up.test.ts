// A wake-up against a node that is played here: what it asks and when, what a replay does, and how it ends.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HistoryStep, StepEnd, WorkflowAsk } from '../../../protocol/workflow-run.ts';
import { WakeUp } from './wake-up.ts';
import type { Ending } from './wake-up.ts';

type Answer = (request: WorkflowAsk, data: Buffer | undefined) => unknown;

class Node {
  readonly asked: string[] = [];
  place = 0;
  remainingMs = 1_000;
  answer: Answer;

  constructor(answer: Answer = () => undefined) {
    this.answer = answer;
  }

  async run(handler: (wakeUp: WakeUp) => unknown, history: HistoryStep[] = []): Promise<Ending> {
    const run = {
      ...{ id: 'run_1', token: 1, startedAt: 0, input: null, history },
      retry: { attempts: 3, delayMs: 1, maxDelayMs: 10 },
      limits: { resultBytes: 100, steps: 5 },
    };
    this.place = history.filter(({ place }) => place !== undefined).length;
    const wakeUp = new WakeUp(
      run,
      {
        ask: (request, data) => this.#ask(request, data),
        now: Date.now,
        remainingMs: () => this.remainingMs,
        timeoutMs: 1_000,
        random: () => 0.5,
      },
      'seed',
    );
    return await wakeUp.start(() => handler(wakeUp));
  }

  async #ask(request: WorkflowAsk, data: Buffer | undefined): Promise<unknown> {
    this.asked.push(request.op.slice('workflow.'.length) + ('name' in request ? ` ${request.name}` : ''));
    const answer = this.answer(request, data);
    if (answer !== undefined) return answer;
    if (request.op === 'workflow.done' || request.op === 'workflow.failed') return this.end(request.ordinal);
    if (request.op === 'workflow.sleep') return { inMs: request.forMs };
    if (request.op === 'workflow.news') return await new Promise(() => {});
    return null;
  }

  end(ordinal: number): StepEnd {
    return { ordinal, place: ++this.place, at: this.place, state: 'done' };
  }
}

const step = (wakeUp: WakeUp, name: string, work: () => unknown = () => name) => wakeUp.step(name, work, {});
const done = (ordinal: number, name: string, place: number): HistoryStep => ({
  ...{ ordinal, scope: '', kind: 'step', name, occurrence: 1, state: 'done', attempts: 1, result: `kept ${name}`, place, at: place },
});

test('a step is told before its function runs, and resolves after it is durable', async () => {
  const durable = Promise.withResolvers<void>();
  const node = new Node((request) => (request.op === 'workflow.done' ? durable.promise.then(() => node.end(request.ordinal)) : undefined));
  let seen: string[] = [];
  let resolved = false;
  const ending = node.run(async (wakeUp) => {
    const value = await step(wakeUp, 'a', () => {
      seen = [...node.asked];
      setImmediate(() => {
        assert.equal(resolved, false);
        durable.resolve();
      });
      return 1;
    });
    resolved = true;
    return value;
  });
  assert.deepEqual(await ending, { as: 'ended', state: 'succeeded', value: 1, step: undefined });
  assert.deepEqual(seen, ['begin a']);
  assert.deepEqual(node.asked, ['begin a', 'done a']);
});

test('a timer that comes before what follows a sleep has begun does not suspend the run', async () => {
  const node = new Node((request) =>
    request.op === 'workflow.news' ? new Promise((resolve) => setTimeout(() => resolve([node.end(2)]), 2)) : undefined,
  );
  await node.run((wakeUp) =>
    wakeUp.parallel([
      () => wakeUp.sleep('long', { forMs: 60_000 }),
      async () => {
        await wakeUp.sleep('short', { forMs: 20 });
        // The timer of the sleep is due by now, and the step not begun.
        for (const until = performance.now() + 30; performance.now() < until;);
        await step(wakeUp, 'after');
      },
    ]),
  );
  assert.deepEqual(
    node.asked.filter((asked) => /after|suspend/.test(asked)),
    ['begin after', 'done after', 'suspend'],
  );
});

test('in a replay steps end in the order of before, one at a time, and nothing new begins meanwhile', async () => {
  const node = new Node();
  const order: string[] = [];
  const history = [done(1, 'a', 2), done(2, 'b', 1), done(3, 'after b', 3)];
  const ending = await node.run(async (wakeUp) => {
    const follow = async (name: string): Promise<void> => {
      order.push(String(await step(wakeUp, name)));
      order.push(String(await step(wakeUp, `after ${name}`)));
    };
    await Promise.all([follow('a'), follow('b')]);
    return await step(wakeUp, 'last');
  }, history);
  assert.equal(ending.as, 'ended');
  assert.deepEqual(order, ['kept b', 'kept a', 'kept after b', 'after a']);
  assert.deepEqual(node.asked, ['begin after a', 'done after a', 'begin last', 'done last']);
});

test('what sleeps long ends the wake-up, what is asked for meanwhile is done first', async () => {
  const node = new Node();
  const ending = await node.run(async (wakeUp) => {
    await Promise.all([wakeUp.sleep('', { forMs: 60_000 }), step(wakeUp, 'beside')]);
  });
  assert.deepEqual(ending, { as: 'suspended' });
  assert.deepEqual(
    node.asked.filter((op) => op !== 'news'),
    ['sleep ', 'begin beside', 'done beside', 'suspend'],
  );
});

test('a step does not begin when half of the time is gone, unless it is the first', async () => {
  const node = new Node();
  node.remainingMs = 400;
  let again: unknown;
  node.answer = (request) => {
    if (request.op === 'workflow.suspend') ({ again } = request);
    return undefined;
  };
  const ending = await node.run(async (wakeUp) => {
    await step(wakeUp, 'first');
    await step(wakeUp, 'second');
  });
  assert.deepEqual([ending, again], [{ as: 'suspended' }, true]);
  assert.deepEqual(node.asked, ['begin first', 'done first', 'suspend']);
});

test('code that does something else than before is told what was there, and runs nothing', async () => {
  const node = new Node();
  for (const [handler, does] of [
    [async (wakeUp: WakeUp) => void (await step(wakeUp, 'b')), "asks for the step 'b'"],
    [async () => {}, 'has come to its end'],
    [() => Promise.reject(new Error('no')), 'throws Error: no'],
  ] as const) {
    const ending = await node.run(handler, [done(1, 'a', 1)]);
    assert.ok(ending.as === 'ended' && ending.state === 'failed');
    assert.match(
      String(ending.value),
      new RegExp(`NondeterminismError: .*place 1 of the run's history is the step 'a', and the code ${does}`),
    );
  }
  assert.deepEqual(node.asked, []);
});

test('a run that another has is let go, and one that cannot be kept breaks off', async () => {
  const refuse =
    (code: string): Answer =>
    () =>
      Promise.reject(Object.assign(new Error(code), { code }));
  const handler = async (wakeUp: WakeUp): Promise<void> => void (await step(wakeUp, 'a').catch(() => {}));
  assert.deepEqual(await new Node(refuse('workflow_lost')).run(handler), { as: 'lost' });
  assert.equal((await new Node(refuse('unavailable')).run(handler)).as, 'broken');
});

test('more steps than may be are refused', async () => {
  const ending = await new Node().run(async (wakeUp) => {
    for (;;) await step(wakeUp, 'again');
  });
  assert.ok(ending.as === 'ended' && ending.state === 'failed');
  assert.match(String(ending.value), /more than 5 steps.*VIRGA_LIMIT_WORKFLOW_STEPS/);
});
