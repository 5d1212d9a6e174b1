// What the function says, through the Python guest: print, logging, warnings, threads; attribution and bounds.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LOG_LINE_MAX, LogLevel } from '../../protocol/frames.ts';
import { GuestUnderTest } from './guest-under-test.ts';

const { debug, info, warn, error } = LogLevel;

async function logsOf(code: string): Promise<[number, string][]> {
  await using guest = await GuestUnderTest.start({
    code: `import sys, logging, warnings, threading\ndef handler(event, context):\n${code.replaceAll(/^/gm, '    ')}\n`,
  });
  const outcome = await guest.invoke({}).outcome;
  assert.equal(outcome.error, undefined, outcome.error?.stack ?? '');
  return outcome.logs.map((log) => [log.level, log.text]);
}

test('what one print writes is one record; unfinished lines are sent at the end', async () => {
  const logs = await logsOf(`
print("a", 1, "ü")
print("two\\nlines")
print()
print("to stderr", file=sys.stderr)
print("no ", end=""); print("break", end="")
sys.stdout.write("!\\nnext\\n")
sys.stdout.buffer.write("bytes ü\\n".encode())
print("flushed", end="", flush=True)
sys.stdout.writelines(["x", "y\\n"])
print("left over", end="")`);
  assert.deepEqual(logs, [
    [info, 'a 1 ü'],
    [info, 'two\nlines'],
    [info, ''],
    [error, 'to stderr'],
    [info, 'no break!\nnext'],
    [info, 'bytes ü'],
    [info, 'flushed'],
    [info, 'xy'],
    [info, 'left over'],
  ]);
});

test('logging keeps levels, and a record with its traceback in one piece', async () => {
  const logs = await logsOf(`
log = logging.getLogger("shop")
logging.debug("below the default level")
logging.info("said %s", "it")
log.warning("careful")
log.critical("very bad")
context.log.debug("by the context")
try:
    1 / 0
except ZeroDivisionError:
    logging.exception("could not divide")
warnings.warn("old")
logging.basicConfig(level=logging.DEBUG, format="%(levelname)s|%(message)s")
logging.debug("now shown")`);
  const [traceback, warning] = logs.splice(4, 2) as [[number, string], [number, string]];
  assert.deepEqual(logs, [
    [info, 'said it'],
    [warn, 'shop: careful'],
    [error, 'shop: very bad'],
    [debug, 'by the context'],
    [debug, 'DEBUG|now shown'],
  ]);
  assert.match(traceback[1], /^could not divide\nTraceback[^]*main.py[^]*ZeroDivisionError: division by zero$/);
  assert.equal(traceback[0], error);
  assert.match(warning[1], /main.py:\d+: UserWarning: old/);
  assert.equal(warning[0], warn);
});

test('lines over the limit are cut, at a whole character; long text becomes a record a line', async () => {
  const logs = await logsOf(`
print("ü" * 20_000)
logging.info("x" * 1_000_000)
print("\\n".join(["y" * 10_000] * 3))
print("z" * 16384)
print("end")`);
  const texts = logs.map(([, text]) => text);
  assert.equal(texts.length, 7);
  for (const text of texts.slice(0, 2)) {
    assert.ok(Buffer.byteLength(text) <= LOG_LINE_MAX && Buffer.byteLength(text) >= LOG_LINE_MAX - 1, String(Buffer.byteLength(text)));
    assert.match(text, /^(ü+|x+)… \(cut\)$/);
  }
  assert.deepEqual(texts.slice(2), [...Array<string>(3).fill('y'.repeat(10_000)), 'z'.repeat(16_384), 'end']);
});

test('threads of the function: attributed with concurrency 1, and their uncaught errors are one record', async () => {
  const logs = await logsOf(`
def work():
    print("in a thread")
    raise ValueError("lost")
thread = threading.Thread(target=work, name="worker")
thread.start()
thread.join()`);
  assert.deepEqual(logs[0], [info, 'in a thread']);
  assert.equal(logs.length, 2);
  assert.match(logs[1]![1], /^in thread worker: Traceback[^]*ValueError: lost$/);
});

test('with several invocations at once, a thread of the function speaks for one only with its context variables', async () => {
  await using guest = await GuestUnderTest.start({
    code: `
import contextvars, threading
print("loading")
def handler(event, context):
    for name, run in (("plain", print), ("copied", contextvars.copy_context().run)):
        thread = threading.Thread(target=run, args=(name,) if run is print else (print, name))
        thread.start()
        thread.join()
`,
    init: { concurrency: 2 },
  });
  await guest.result();
  assert.deepEqual(
    guest.logs.map((log) => [log.text, log.stream]),
    [
      ['loading', 0],
      ['plain', 0],
      ['copied', 1],
    ],
  );
});

test('what is said after the end of an invocation belongs to none', async () => {
  await using guest = await GuestUnderTest.start({
    code: `
import asyncio
async def later():
    await asyncio.sleep(0.01)
    print("later")
task = None
async def handler(event, context):
    global task
    print("now")
    task = asyncio.create_task(later())
`,
  });
  await guest.result();
  await guest.until(() => guest.logs.length === 2);
  assert.deepEqual(
    guest.logs.map((log) => [log.text, log.stream]),
    [
      ['now', 1],
      ['later', 0],
    ],
  );
});

test('logs of a handler that is killed in mid-line are not lost once it has flushed', async () => {
  await using guest = await GuestUnderTest.start({
    code: 'import time\ndef handler(event, context):\n    print("working", end="", flush=True)\n    time.sleep(100)\n',
  });
  guest.invoke({});
  await guest.until(() => guest.logs.length > 0);
  assert.equal(guest.logs[0]!.text, 'working');
});

test('a gigabyte of prints is dropped beyond the allowance, counted, and neither stalls nor grows', async () => {
  const bytesPerSecond = 20_000;
  await using guest = await GuestUnderTest.start({
    code: `
import resource, time
def handler(event, context):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, cpu = time.monotonic(), time.process_time()
    line = "x" * (event["bytes"] - 1)
    for _ in range(event["lines"]):
        print(line)
    return [time.monotonic() - start, time.process_time() - cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before]
`,
    init: { logBytesPerSecond: bytesPerSecond },
  });
  let records = 0;
  for (const [lines, bytes] of [
    [100_000, 10_000],
    [300_000, 20],
  ] as const) {
    const { body, logs } = await guest.invoke({ lines, bytes }).outcome;
    const [seconds, cpuSeconds, grownKib] = JSON.parse(body.toString()) as [number, number, number];
    assert.ok(cpuSeconds < 3, `${cpuSeconds} s`);
    assert.ok(grownKib < 4096, `${grownKib} KiB`);
    const dropped = logs.filter((log) => /^\d+ log records? dropped: an instance may log 20000 bytes a second$/.test(log.text));
    assert.ok(dropped.length >= 1 && dropped.length < 3 + 12 * seconds);
    assert.equal(dropped.at(-1), logs.at(-1));
    const sent = logs.length - dropped.length;
    assert.equal(sent + dropped.reduce((sum, log) => sum + Number.parseInt(log.text), 0), lines);
    records += logs.reduce((sum, log) => sum + log.text.length, 0);
    assert.ok(records < bytesPerSecond * (11 + seconds), `${records} bytes`);
  }
});

test('a signal handler that logs in the midst of a log call neither stalls, loses nor tears a record', async () => {
  await using guest = await GuestUnderTest.start({
    code: `
import signal, time
def handler(event, context):
    ticks = 0
    def tick(*_):
        nonlocal ticks
        ticks += 1
        context.log.info("tick " + "t" * 50)
    signal.signal(signal.SIGALRM, tick)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    until = time.monotonic() + 0.2
    lines = 0
    while time.monotonic() < until:
        print("line " + "l" * 50)
        lines += 1
    signal.setitimer(signal.ITIMER_REAL, 0)
    return [ticks, lines]
`,
    init: { logBytesPerSecond: 100_000_000 },
  });
  const { logs, body } = await guest.invoke({}).outcome;
  const count = (text: string) => logs.filter((log) => log.text === text).length;
  const [ticks, lines] = JSON.parse(body.toString()) as [number, number];
  assert.ok(ticks > 5 && lines > 5);
  assert.deepEqual([count(`tick ${'t'.repeat(50)}`), count(`line ${'l'.repeat(50)}`), logs.length], [ticks, lines, ticks + lines]);
});
