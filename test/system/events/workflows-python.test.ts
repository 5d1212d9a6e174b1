// Workflows in Python, with and without `async`: the same as in Node, in short.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { eventually } from '../virga.ts';
import type { Virga } from '../virga.ts';
import { startWorkflows } from './workflows-client.ts';
import type { Workflows } from './workflows-client.ts';

const COMMON = `
import os
import time
import uuid

class Declined(Exception):
    def __init__(self, message, code):
        super().__init__(message, code)
        self.code = code

def fail(error):
    raise error

def not_yet(attempt):
    if attempt.attempt < 3:
        raise RuntimeError("not yet")
    return attempt.attempt
`;

const FLOWS = `
@define
@async def steps(input, context):
    a = @await context.step("a", lambda: {"id": str(uuid.uuid4())})
    if "sleep" in input:
        @await context.sleep(input["sleep"])
    b = @await context.step("b", lambda: time.sleep(input.get("slow", 0)) or str(uuid.uuid4()))
    return {"a": a, "b": b, "run": context.run.id}

@define
@async def retries(input, context):
    try:
        @await context.step("charge", lambda: fail(Declined("no money", 7)), retry={"attempts": 2, "delay": "10ms"})
    except Declined as error:
        @await context.sleep("300ms")
        return [error.args[0], error.code, @await context.step("flaky", not_yet, retry={"delay": "20ms"})]

@define
@async def fatal(input, context):
    @await context.step("find", lambda: fail(context.fatal("there is no such user")))

@define
@async def parallel(input, context):
    def branch(name, seconds):
        @async def run():
            first = @await context.step("first", lambda: name)
            @await context.sleep(seconds)
            return first + @await context.step("second", lambda: name * 2)
        return run
    return @await context.parallel([branch("a", 0.6), branch("b", 0.01), branch("c", 0.4)])

@define
@async def waits(input, context):
    paid = @await context.wait_for_event("paid", timeout=input.get("timeout"))
    return "late" if paid is None else paid["data"]

@define
@async def moody(input, context):
    @await context.step("mood " + str(uuid.uuid4()), lambda: 1)
    @await context.sleep("300ms")
    @await context.step("then", lambda: 2)

@define
@async def bad(input, context):
    @await context.step("bad", lambda: {"found": {1, 2}})

@define
@async def same(input, context):
    first = [context.now().timestamp(), context.random(), context.uuid()]
    kept = @await context.step("kept", lambda: first)
    print("before the sleep")
    @await context.sleep("300ms")
    print("after the sleep")
    return kept == first

@define
@async def long(input, context):
    for i in range(60):
        @await context.step("add", lambda: i)
    @await context.sleep("300ms")
    return sum([@await context.step("again", lambda: i) for i in range(3)])

@define
@async def hang(input, context):
    @await context.step("hang", lambda: time.sleep(1))
    @await context.step("never", lambda: 1)
`;

function code(isAsync: boolean): string {
  const flows = FLOWS.replaceAll('@async ', isAsync ? 'async ' : '').replaceAll('@await ', isAsync ? 'await ' : '');
  return `${COMMON}
flows = {}

def define(flow):
    flows[flow.__name__] = flow
    return flow
${flows}
${isAsync ? 'async ' : ''}def handler(input, context):
    return ${isAsync ? 'await ' : ''}flows[input["flow"]](input, context)
`;
}

let virga: Virga;
let workflows: Workflows;
before(async () => {
  ({ virga, workflows } = await startWorkflows({
    'virga.yaml': `
project: snakes
functions:
  sync: { source: sync.py, workflow: true }
  later: { source: later.py, workflow: true }
`,
    'sync.py': code(false),
    'later.py': code(true),
  }));
});
after(() => virga[Symbol.asyncDispose]());

for (const workflow of ['sync', 'later']) {
  describe(workflow, { concurrency: 1 }, () => {
    const run = async (flow: string, input: object = {}) =>
      await workflows.ended(workflow, await workflows.start(workflow, { flow, ...input }));

    test('steps are run once, through a sleep and a kill -9 of the edge', async () => {
      const id = await workflows.start(workflow, { flow: 'steps', sleep: '1s' });
      const asleep = await workflows.until(workflow, id, ({ state }) => state === 'sleeping');
      const [edge] = virga.pids()['edge']!;
      process.kill(edge!, 'SIGKILL');
      await eventually(async () => virga.pids()['edge']?.find((pid) => pid !== edge));
      const { result, steps } = await workflows.succeeded(workflow, id);
      assert.deepEqual(result, { a: asleep.steps[0]!.result, b: steps[2]!.result, run: id });
      assert.ok(steps.every(({ attempts, state }) => attempts === 1 && state === 'done'));
    });

    test('exceptions come back as they were, and steps are tried again', async () => {
      const { result, steps } = await run('retries');
      assert.deepEqual(result, ['no money', 7, 3]);
      assert.deepEqual(
        steps.map(({ name, attempts }) => [name, attempts]),
        [
          ['charge', 2],
          ['', 1],
          ['flaky', 3],
        ],
      );
      const { state, error, steps: found } = await run('fatal');
      assert.deepEqual([state, error!.name, error!.message, found[0]!.attempts], ['failed', 'FatalError', 'there is no such user', 1]);
    });

    test('branches run at the same time, and each sleeps by itself', async () => {
      const { result, steps } = await run('parallel');
      assert.deepEqual(result, ['aaa', 'bbb', 'ccc']);
      assert.ok(steps.length === 9 && steps.every(({ state, attempts }) => state === 'done' && attempts === 1));
    });

    test('an event is waited for, and missed in time', async () => {
      const id = await workflows.start(workflow, { flow: 'waits' });
      await workflows.until(workflow, id, ({ state }) => state === 'waiting');
      await workflows.ask('POST', `/${workflow}/runs/${id}/events`, { name: 'paid', data: [1] });
      assert.deepEqual((await workflows.succeeded(workflow, id)).result, [1]);
      assert.equal((await run('waits', { timeout: 0.3 })).result, 'late');
    });

    test('what goes wrong is told', async () => {
      const moody = await run('moody');
      assert.equal(moody.error!.name, 'NondeterminismError');
      const bad = await run('bad');
      assert.match(bad.error!.message, /the result of the step 'bad'\['found'\] is of type set, which JSON cannot hold/);
    });

    test('clock, chance and logs are those of before', async () => {
      const { result } = await run('same');
      assert.equal(result, true);
      const lines = await eventually(async () => {
        const { stdout } = await virga.cli(['logs', workflow, '--project', 'snakes']);
        return stdout.includes('after the sleep') ? stdout : undefined;
      });
      assert.equal(lines.split('before the sleep').length, 2);
      assert.equal((await run('long')).result, 3);
    });

    test('a run is cancelled while a step runs', async () => {
      const id = await workflows.start(workflow, { flow: 'hang' });
      await workflows.until(workflow, id, ({ steps }) => steps[0]?.state === 'running');
      await workflows.ask('POST', `/${workflow}/runs/${id}/cancel`);
      assert.deepEqual((await run('steps')).steps.length, 2);
      assert.equal((await workflows.run(workflow, id)).steps.length, 1);
    });
  });
}
