// The life of the Python guest, black box: boot, load, serve, cancel, stop, die.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Flag, FrameType, encodeFrame } from '../../protocol/frames.ts';
import { GuestUnderTest } from './guest-under-test.ts';

const ECHO = 'def handler(event, context):\n    return event\n';

test('a guest says hello, loads, answers, and exits 0 when told to stop', async () => {
  await using guest = await GuestUnderTest.start({ code: ECHO });
  assert.equal(guest.hello?.runtime, 'python3');
  assert.match(guest.hello.runtimeVersion, /^v3\.\d+\.\d+$/);
  assert.ok(guest.hello.bootMs > 0 && guest.hello.bootMs < 1000);
  assert.deepEqual(guest.ready?.exports, ['handler']);
  assert.ok(guest.ready.loadMs > 0 && guest.ready.initMs > 0);
  const { status, headers, body, handlerUs } = await guest.invoke({ a: [1, 'é', null] }).outcome;
  assert.deepEqual([status, headers, body.toString()], [200, ['content-type', 'application/json'], '{"a":[1,"é",null]}']);
  assert.ok(handlerUs > 0 && handlerUs < 1_000_000);
  guest.stop();
  assert.deepEqual(await guest.exit, { code: 0, signal: null, stderr: '' });
});

test('a channel that arrives non-blocking carries answers larger than its buffer', async () => {
  await using guest = await GuestUnderTest.start({
    code: 'def handler(event, context):\n    return "x" * 8_000_000\n',
    nonBlocking: true,
  });
  assert.equal(((await guest.result()) as string).length, 8_000_000);
});

test('module state survives between invocations; context variables do not', async () => {
  await using guest = await GuestUnderTest.start({
    code: `
import contextvars
calls = 0
seen = contextvars.ContextVar("seen", default="nothing")
seen.set("loading")
def handler(event, context):
    global calls
    calls += 1
    before = seen.get()
    seen.set("an invocation")
    return [calls, before]
`,
  });
  assert.deepEqual(await guest.result(), [1, 'loading']);
  assert.deepEqual(await guest.result(), [2, 'loading']);
});

test('the environment is what INIT says and nothing else', async () => {
  await using guest = await GuestUnderTest.start({
    code: "import os, sys, time\ndef handler(event, context):\n    return [dict(os.environ), time.tzname[0], sys.argv, os.popen(\"env -0 | tr '\\\\0' ' '\").read()]\n",
    init: { env: { NAME: 'wört', TZ: 'Asia/Tokyo', PATH: '/usr/bin:/bin' } },
  });
  const [env, zone, argv, inherited] = (await guest.result()) as [unknown, string, string[], string];
  assert.deepEqual(env, { NAME: 'wört', TZ: 'Asia/Tokyo', PATH: '/usr/bin:/bin' });
  assert.equal(zone, 'JST');
  assert.deepEqual(argv, ['']);
  assert.match(inherited, /NAME=wört/);
});

test('modules come from the code folder, the file’s own folder, the standard library, and .packages, in this order', async () => {
  await using guest = await GuestUnderTest.start({
    code: {
      'src/app.py':
        'import os, beside, top, packaged, colorsys\nfrom . import related\ndef handler(event, context):\n    return [beside.V, top.V, packaged.V, related.V, hasattr(colorsys, "hsv_to_rgb"), __name__]\n',
      'src/beside.py': 'V = 1',
      'src/related.py': 'V = 4',
      'top.py': 'V = 2',
      '.packages/packaged/__init__.py': 'V = 3',
      '.packages/colorsys.py': 'V = "an old backport"',
    },
    init: { handler: 'src/app.py' },
  });
  assert.deepEqual(await guest.result(), [1, 2, 3, 4, true, 'src.app']);
});

test('.pth files of packages count; a file named like a loaded module, or like none, loads', async () => {
  await using guest = await GuestUnderTest.start({
    code: {
      'json.py': 'import json, added\ndef handler(event, context):\n    return json.dumps([added.V, __name__])\n',
      '.packages/x.pth': 'more\n',
      '.packages/more/added.py': 'V = 5',
    },
    init: { handler: 'json.py' },
  });
  assert.equal(await guest.result(), '[5, "virga_function"]');
  await using odd = await GuestUnderTest.start({ code: { 'my-fn/do it.py': ECHO }, init: { handler: 'my-fn/do it.py' } });
  assert.equal(await odd.result('x'), 'x');
});

test('the names of the guest’s own modules are free for the function', async () => {
  await using guest = await GuestUnderTest.start({
    code: {
      'main.py': 'import frames, logs, context\ndef handler(event, context):\n    return frames.V\n',
      'frames.py': 'V = "mine"',
      'logs.py': '',
      'context.py': '',
    },
  });
  assert.equal(await guest.result(), 'mine');
});

for (const [name, export_, code] of [
  ['a named export', '#go', 'def go(event, context):\n    return "ran"\n'],
  ['a method', '#app.run', 'class App:\n    def run(self, event, context):\n        return "ran"\napp = App()\n'],
  ['a callable object', '', 'class App:\n    def __call__(self, event, context):\n        return "ran"\nhandler = App()\n'],
  ['an async callable object', '', 'class App:\n    async def __call__(self, event, context):\n        return "ran"\nhandler = App()\n'],
  [
    'a partial of an async function',
    '',
    'import functools\nasync def go(word, event, context):\n    return word\nhandler = functools.partial(go, "ran")\n',
  ],
  ['a function that gives a coroutine', '', 'async def go():\n    return "ran"\ndef handler(event, context):\n    return go()\n'],
] as const) {
  test(`the handler may be ${name}`, async () => {
    await using guest = await GuestUnderTest.start({ code, init: { handler: `main.py${export_}` } });
    assert.equal(await guest.result(), 'ran');
    assert.equal(await guest.result(), 'ran');
  });
}

for (const [name, code, handler, error, message, stack] of [
  ['a missing file', { 'other.py': '' }, 'main.py', 'LoadError', /'main.py' is not in the artifact, whose top folder holds other.py/, /^$/],
  ['a missing export', { 'main.py': 'def start(): pass' }, 'main.py', 'LoadError', /main.py has no 'handler' \(it defines start\)/, /^$/],
  ['an export that cannot be called', { 'main.py': 'handler = 5' }, 'main.py', 'LoadError', /'handler' in main.py is of type int/, /^$/],
  ['a syntax error', { 'main.py': 'def handler(:' }, 'main.py', 'SyntaxError', /invalid syntax/, /^ {2}File ".*main.py", line 1/],
  [
    'an error at the top level',
    { 'main.py': 'def boom():\n    return 1 / 0\nboom()' },
    'main.py',
    'ZeroDivisionError',
    /division by zero/,
    /^Traceback.*\n {2}File ".*main.py", line 3, in <module>/,
  ],
  [
    'an error in an imported module',
    { 'main.py': 'import broken', 'broken.py': 'import nowhere' },
    'main.py',
    'ModuleNotFoundError',
    /No module named 'nowhere'/,
    /^Traceback.*\n {2}File ".*main.py", line 1[^]*broken.py", line 1/,
  ],
  [
    'sys.exit() at the top level',
    { 'main.py': 'import sys\nsys.exit("no config")' },
    'main.py',
    'SystemExit',
    /no config/,
    /main.py", line 2/,
  ],
] as const) {
  test(`loading fails with ${name}: the error says so, and the guest exits 1`, async () => {
    await using guest = await GuestUnderTest.start({ code, init: { handler } });
    assert.equal(guest.failed?.name, error);
    assert.match(guest.failed.message, message);
    assert.match(guest.failed.stack, stack);
    assert.doesNotMatch(guest.failed.stack, /virga_guest|importlib/);
    assert.equal((await guest.exit).code, 1);
  });
}

test('what a handler raises is an ERROR with the user’s frames only, and the instance serves on', async () => {
  await using guest = await GuestUnderTest.start({
    code: `
class Odd(Exception):
    def __str__(self):
        raise RuntimeError("cannot say")
def inner(x):
    return {}["key" + x]
def handler(event, context):
    if event == "memory":
        return bytes(1 << 60)
    if event == "odd":
        raise Odd()
    if event == "long":
        raise ValueError("x" * 1_000_000)
    if event == "deep":
        return handler(event, context)
    if event == "cancel":
        raise KeyboardInterrupt()
    try:
        inner("1")
    except KeyError as error:
        raise ValueError("chained") from error
`,
  });
  const error = async (event: string) => (await guest.invoke(event).outcome).error!;
  const chained = await error('chain');
  assert.deepEqual([chained.name, chained.message], ['ValueError', 'chained']);
  assert.match(chained.stack, /KeyError: 'key1'[^]*direct cause[^]*main.py", line \d+, in handler[^]*ValueError: chained$/);
  assert.doesNotMatch(chained.stack, /virga_guest/);
  assert.equal((await error('memory')).name, 'MemoryError');
  assert.match((await error('odd')).message, /cannot be shown/);
  const long = await error('long');
  assert.ok(long.message.length < 5_000 && long.stack.length < 20_000);
  assert.equal((await error('deep')).name, 'RecursionError');
  assert.equal((await error('cancel')).name, 'KeyboardInterrupt');
});

test('a wrong number of parameters is an error that names it', async () => {
  await using guest = await GuestUnderTest.start({ code: 'def handler(event):\n    return 1\n' });
  assert.match((await guest.invoke({}).outcome).error?.message ?? '', /handler\(\) takes 1 positional argument but 2 were given/);
});

for (const [kind, prefix, concurrency] of [
  ['sync', 'def', 1],
  ['pooled', 'def', 4],
  ['async', 'async def', 1],
] as const) {
  test(`sys.exit() in a handler ends the process (${kind})`, async () => {
    await using guest = await GuestUnderTest.start({
      code: `import sys\n${prefix} handler(event, context):\n    print("last", end="")\n    sys.exit(7)\n`,
      init: { concurrency },
    });
    guest.invoke({});
    const exit = await guest.exit;
    assert.equal(exit.code, 7);
    assert.match(exit.stderr, /the handler called sys.exit\(7\)/);
    assert.deepEqual(
      guest.logs.map((log) => log.text),
      ['last'],
    );
  });
}

test('with concurrency 1 the handler runs on the main thread, one invocation after the other', async () => {
  await using guest = await GuestUnderTest.start({
    code: `
import signal, threading, time
def handler(event, context):
    signal.signal(signal.SIGUSR1, lambda *_: None)
    start = time.monotonic()
    time.sleep(0.02)
    return [threading.current_thread() is threading.main_thread(), start, time.monotonic()]
`,
  });
  const spans = (await Promise.all([guest.result(), guest.result(), guest.result()])) as [boolean, number, number][];
  for (const [at, [main, start]] of spans.entries()) {
    assert.equal(main, true);
    if (at > 0) assert.ok(start >= spans[at - 1]![2]);
  }
});

for (const [kind, code] of [
  [
    'threads',
    'import threading\nmeet = threading.Barrier(4)\ndef handler(event, context):\n    meet.wait(10)\n    print("from", context.invocation_id)\n    meet.wait(10)\n    return [threading.get_ident(), threading.active_count()]\n',
  ],
  [
    'tasks of one loop',
    'import asyncio, threading\nhere = 0\nasync def handler(event, context):\n    global here\n    here += 1\n    while here % 4:\n        await asyncio.sleep(0.001)\n    print("from", context.invocation_id)\n    return [threading.get_ident(), 1]\n',
  ],
] as const) {
  test(`with concurrency 4 invocations run side by side on ${kind}, each with its own log lines`, async () => {
    await using guest = await GuestUnderTest.start({ code, init: { concurrency: 4 } });
    const identities = new Set<unknown>();
    for (let round = 0; round < 3; round++) {
      const streams = [1, 2, 3, 4].map(() => guest.invoke({}));
      for (const stream of streams) {
        const { logs, body, error } = await stream.outcome;
        assert.equal(error, undefined);
        assert.deepEqual(
          logs.map((log) => log.text),
          [`from inv_${stream.id}`],
        );
        identities.add((JSON.parse(body.toString()) as unknown[])[0]);
      }
    }
    // The pool is bounded by the concurrency, and the loop has one thread: the main one.
    assert.equal(identities.size, kind === 'threads' ? 4 : 1);
  });
}

test('the context tells who is called, by whom, and how long it may take', async () => {
  await using guest = await GuestUnderTest.start({
    code: `
import time
def handler(event, context):
    return [context.invocation_id, context.aws_request_id, context.traceparent, context.project, context.function, context.version,
            context.params, context.trigger, context.remaining_ms(), context.get_remaining_time_in_millis(),
            context.deadline - time.time(), context.cancelled.is_set(), context.function_version, context.memory_limit_in_mb]
`,
  });
  const answer = (await guest.result()) as unknown[];
  assert.deepEqual(answer.slice(0, 8), [
    'inv_1',
    'inv_1',
    '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    'tour',
    'f',
    3,
    {},
    'invoke',
  ]);
  for (const ms of answer.slice(8, 10) as number[]) assert.ok(ms > 20_000 && ms <= 30_000);
  assert.ok((answer[10] as number) > 20 && (answer[10] as number) <= 30);
  assert.deepEqual(answer.slice(11), [false, '3', '256']);
});

test('CANCEL sets context.cancelled while the handler runs, and its answer is not sent', async () => {
  await using guest = await GuestUnderTest.start({
    code: 'waited = None\ndef handler(event, context):\n    global waited\n    if event == "ask":\n        return waited\n    print("waiting")\n    waited = [context.cancelled.wait(10), bool(context.cancelled)]\n    return "nobody hears this"\n',
  });
  const stream = guest.invoke({});
  await guest.until(() => guest.logs.length > 0);
  guest.cancel(stream);
  assert.equal((await stream.outcome).error?.name, 'Cancelled');
  assert.deepEqual(await guest.result('ask'), [true, true]);
});

test('the deadline sets context.cancelled as well', async () => {
  await using guest = await GuestUnderTest.start({
    code: 'def handler(event, context):\n    return [context.cancelled.wait(5), context.remaining_ms()]\n',
  });
  const { body } = await guest.invoke({}, { timeoutMs: 30 }).outcome;
  assert.deepEqual(JSON.parse(body.toString()), [true, 0]);
});

test('an invocation that is cancelled before its request is whole never runs', async () => {
  await using guest = await GuestUnderTest.start({ code: 'def handler(event, context):\n    print("ran")\n' });
  const stream = guest.http({ method: 'POST', body: 'half', bodyEnds: false });
  guest.cancel(stream);
  assert.equal((await stream.outcome).error?.name, 'Cancelled');
  guest.sendBody(stream, 'the other half', true);
  assert.equal(await guest.result(), null);
  assert.equal(guest.logs.filter((log) => log.text === 'ran').length, 1);
});

for (const [kind, code] of [
  ['an endless loop on the main thread', 'def handler(event, context):\n    print("on")\n    while True: pass\n'],
  ['an endless loop at load', 'print("on")\nwhile True: pass\n'],
  ['a blocked event loop', 'import time\nasync def handler(event, context):\n    print("on")\n    time.sleep(100)\n'],
] as const) {
  test(`the end of the channel ends the process at once, despite ${kind}`, async () => {
    await using guest = await GuestUnderTest.start({ code, atOnce: kind.endsWith('load') });
    if (!kind.endsWith('load')) guest.invoke({});
    await guest.until(() => guest.logs.length > 0);
    guest.hangUp();
    const before = performance.now();
    assert.equal((await guest.exit).code, 0);
    assert.ok(performance.now() - before < 3000);
  });
}

test('STOP lets running invocations finish, then runs exit hooks', async () => {
  for (const [prefix, wait, concurrency] of [
    ['def', 'time.sleep(0.03)', 1],
    ['def', 'time.sleep(0.03)', 2],
    ['async def', 'await asyncio.sleep(0.03)', 2],
  ] as const) {
    await using guest = await GuestUnderTest.start({
      code: `
import asyncio, atexit, time
atexit.register(lambda: print("exit hook"))
${prefix} handler(event, context):
    print("began")
    ${wait}
    return "finished"
`,
      init: { concurrency },
    });
    const stream = guest.invoke({});
    await guest.until(() => guest.logs.length > 0);
    guest.stop();
    assert.equal((await stream.outcome).body.toString(), '"finished"');
    assert.deepEqual(await guest.exit, { code: 0, signal: null, stderr: '' });
    assert.deepEqual(
      guest.logs.map((log) => [log.text, log.stream]),
      [
        ['began', 1],
        ['exit hook', 0],
      ],
    );
  }
});

test('STOP while the code still loads ends the guest after loading', async () => {
  await using guest = await GuestUnderTest.start({ code: `import time\nprint("loading")\ntime.sleep(0.05)\n${ECHO}`, atOnce: true });
  await guest.until(() => guest.logs.length > 0);
  guest.stop();
  assert.equal((await guest.exit).code, 0);
});

test('tasks that an async function left behind are cancelled when it stops', async () => {
  await using guest = await GuestUnderTest.start({
    code: `
import asyncio
async def background():
    try:
        await asyncio.sleep(100)
    finally:
        print("cleaned up")
task = None
async def handler(event, context):
    global task
    task = asyncio.create_task(background())
    await asyncio.sleep(0)
`,
  });
  await guest.result();
  guest.stop();
  assert.equal((await guest.exit).code, 0);
  assert.deepEqual(
    guest.logs.map((log) => log.text),
    ['cleaned up'],
  );
});

test('a child that the handler forks cannot speak for it', async () => {
  await using guest = await GuestUnderTest.start({
    code: `
import os
def handler(event, context):
    child = os.fork()
    if child == 0:
        print("from the child")
        return "an answer by the child"
    print("from the parent")
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
`,
  });
  const { body, logs } = await guest.invoke({}).outcome;
  assert.deepEqual([body.toString(), logs.map((log) => log.text)], ['0', ['from the parent']]);
  guest.stop();
  assert.equal((await guest.exit).stderr, 'from the child\n');
});

test('worker processes of multiprocessing work, forked or spawned', async () => {
  await using guest = await GuestUnderTest.start({
    code: {
      'main.py':
        'import multiprocessing, work\ndef handler(event, context):\n    with multiprocessing.get_context(event).Pool(1) as pool:\n        return pool.map(work.double, [1, 2])\n',
      'work.py': 'def double(x):\n    return 2 * x\n',
    },
  });
  for (const method of ['fork', 'spawn']) assert.deepEqual(await guest.result(method), [2, 4]);
});

test('the peak memory is told when it has grown, and is the guest’s own', async () => {
  await using guest = await GuestUnderTest.start({
    code: 'def handler(event, context):\n    x = bytearray(event * 1_000_000)\n    x[:] = b"1" * len(x)\n    return len(x)\n',
  });
  await guest.result(0);
  const atRest = guest.statsKib.at(-1)!;
  assert.ok(atRest > 5_000 && atRest < 40_000, `${atRest} KiB`);
  await guest.result(60);
  const high = guest.statsKib.at(-1)!;
  assert.ok(high - atRest > 60_000 && high - atRest < 200_000, `${high} KiB`);
  const count = guest.statsKib.length;
  await guest.result(10);
  assert.equal(guest.statsKib.length, count);
});

test('a frame that breaks the protocol ends the guest with a reason', async () => {
  for (const [bytes, reason] of [
    [encodeFrame(FrameType.READY, {}), /a frame of type 17/],
    [
      encodeFrame(FrameType.REQUEST, { stream: 1, flags: Flag.END, payload: Buffer.from([255, 0, 0, 0]) }),
      /meta of 255 bytes in a payload of 4/,
    ],
    [Buffer.alloc(16, 255), /a frame of 4294967295 bytes/],
  ] as const) {
    await using guest = await GuestUnderTest.start({ code: ECHO });
    guest.write(bytes);
    const exit = await guest.exit;
    assert.equal(exit.code, 70);
    assert.match(exit.stderr, reason);
  }
});

test('a crash in C leaves a traceback among the dying words', async () => {
  await using guest = await GuestUnderTest.start({ code: 'import ctypes\ndef handler(event, context):\n    ctypes.string_at(0)\n' });
  guest.invoke({});
  const exit = await guest.exit;
  assert.equal(exit.signal, 'SIGSEGV');
  assert.match(exit.stderr, /Segmentation fault[^]*main.py", line 3 in handler/);
});
