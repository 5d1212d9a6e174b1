// Black box: a program behind AWS Lambda's Runtime API, run by the real, bundled guest. The program is a Python script that does
// what the event tells it, so that each test shows both ends.
import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { rolldown } from 'rolldown';
import { FrameType, encodeFrame } from '../../../../protocol/frames.ts';
import type { InitPayload } from '../../../../protocol/frames.ts';
import { NODES, ScriptedHost } from '../../scripted-host.ts';
import { requestIdOf } from '../lambda/environment.ts';
import { startProblem } from '../program/startable.ts';

const STOP = encodeFrame(FrameType.STOP, {});

const PROGRAM = `#!/usr/bin/python3
import base64, http.client, json, os, socket, sys, threading, time

API = os.environ["AWS_LAMBDA_RUNTIME_API"]
BASE = "/2018-06-01/runtime/"

def call(method, path, body=None, headers={}, connection=None):
    own = connection or http.client.HTTPConnection(API)
    own.request(method, BASE + path, body, headers)
    answer = own.getresponse()
    return answer.status, dict((k.lower(), v) for k, v in answer.getheaders()), answer.read()

def chunked(path, chunks, headers, trailers=b"", broken=False):
    host, port = API.split(":")
    with socket.create_connection((host, int(port))) as raw:
        lines = ["POST %s%s HTTP/1.1" % (BASE, path), "host: x", "transfer-encoding: chunked", "lambda-runtime-function-response-mode: streaming"]
        raw.sendall("\\r\\n".join(lines + headers).encode() + b"\\r\\n\\r\\n")
        for chunk in chunks:
            raw.sendall(b"%x\\r\\n%s\\r\\n" % (len(chunk), chunk))
        if broken:
            return
        raw.sendall(b"0\\r\\n" + trailers + b"\\r\\n")
        return raw.recv(65536)

def refused(answer):
    return [answer[0], json.loads(answer[2])["errorType"]]

def run(connection):
    status, headers, body = call("GET", "invocation/next", connection=connection)
    id = headers["lambda-runtime-aws-request-id"]
    try:
        event = json.loads(body)
        event = {"http": event} if "requestContext" in event else event
    except ValueError:
        event = {"bytes": list(body)}
    do = event.get("do", "echo")
    respond = lambda value, **more: call("POST", "invocation/%s/response" % id, value if isinstance(value, bytes) else json.dumps(value), **more)
    path = event.get("http", {}).get("rawPath", "")
    if path == "/result":
        return respond(json.loads(event["http"]["body"]))
    if path == "/raw":
        return respond(event["http"]["body"].encode())
    if path in ("/stream", "/bodiless"):
        prelude = {"statusCode": 204 if path == "/bodiless" else 201, "headers": {"x-a": "b"}, "cookies": ["c=1"]}
        pieces = [json.dumps(prelude).encode(), bytes(5), bytes(3) + b"one", b"two" * 10]
        return chunked("invocation/%s/response" % id, pieces, ["content-type: application/vnd.awslambda.http-integration-response"])
    if path == "/plain-stream":
        return chunked("invocation/%s/response" % id, [b"text"], ["content-type: text/x-test"])
    if path == "/large-stream":
        chunk = b"x" * 65536
        return chunked("invocation/%s/response" % id, (chunk for _ in range(160)), [])
    if path in ("/no-prelude", "/bad-prelude"):
        return chunked("invocation/%s/response" % id, [b"{" + bytes(8) if path == "/bad-prelude" else b"{}"], ["content-type: application/vnd.awslambda.http-integration-response"])
    if path in ("/late-error", "/early-error"):
        error = base64.b64encode(json.dumps({"errorType": "Late", "errorMessage": "after all", "stackTrace": ["at x", "at y"]}).encode())
        trailers = b"lambda-runtime-function-error-type: Late\\r\\nlambda-runtime-function-error-body: " + error + b"\\r\\n"
        announce = "trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body"
        return chunked("invocation/%s/response" % id, [] if path == "/early-error" else [b"begun"], [announce], trailers)
    if path == "/broken":
        return chunked("invocation/%s/response" % id, [b"begun"], [], broken=True)
    if do == "echo":
        print("echoing", flush=True)
        return respond({"event": event, "headers": headers, "pid": os.getpid()})
    if do == "env":
        return respond({"env": dict(os.environ), "cwd": os.getcwd(), "argv": sys.argv})
    if do == "raw":
        return respond(base64.b64decode(event["base64"]))
    if do == "speak":
        os.write(1, b"first\\nsecond\\rcontinued\\r\\n" + "ü".encode()[:1])
        os.write(1, "ü".encode()[1:] + b" unfinished")
        os.write(2, b"complaint\\n")
        with open("/dev/stderr", "w") as again:
            again.write("by its name\\n")
        return respond(None)
    if do == "error":
        return call("POST", "invocation/%s/error" % id, json.dumps({"errorMessage": "no", "errorType": "MyError", "stackTrace": ["at a", "at b"]}), {"Lambda-Runtime-Function-Error-Type": "Function.MyError"})
    if do == "text-error":
        return call("POST", "invocation/%s/error" % id, b"just text", {"Lambda-Runtime-Function-Error-Type": "Function.Text"})
    if do == "mistakes":
        seen = [
            refused(call("POST", "invocation/unknown/response", b"{}")),
            refused(call("POST", "invocation/unknown/error", b"{}")),
            refused(call("POST", "init/error", b"{}")),
            refused(call("GET", "invocation/nothing")),
            call("GET", "invocation/next")[1]["lambda-runtime-aws-request-id"] == id,
        ]
        respond(seen)
        print(refused(respond("again")), refused(call("POST", "invocation/%s/error" % id, b"{}")), flush=True)
        return
    if do == "mode":
        print(refused(respond("x", headers={"Lambda-Runtime-Function-Response-Mode": "later"})), flush=True)
        return
    if do == "large":
        answer = respond(b'"' + b"x" * (event["bytes"] - 2) + b'"')
        print(answer[0], json.loads(answer[2]).get("errorType"), flush=True)
        return
    if do == "exit":
        print("going", file=sys.stderr, flush=True)
        os._exit(event["code"])
    if do == "signal":
        os.kill(os.getpid(), event["signal"])
    if do == "leave":
        respond("bye")
        os._exit(0)
    if do == "sleep":
        print("sleeping", flush=True)
        time.sleep(event["s"])
        return respond("late")
    if do == "meet":
        # Answered only once all of them are under way.
        print("%s is here" % id, flush=True)
        MEETING.wait(10)
        return respond(id)

MEETING = threading.Barrier(3)

def loop():
    # A connection of its own, kept.
    connection = http.client.HTTPConnection(API)
    while True:
        run(connection)

threads = int(os.environ.get("POLLERS", "1"))
for _ in range(threads - 1):
    threading.Thread(target=loop, daemon=True).start()
loop()
`;

describe('a program behind the Runtime API', () => {
  let folder: string;
  let guest: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'virga-provided-'));
    guest = join(folder, 'guest.cjs');
    const bundle = await rolldown({ input: join(import.meta.dirname, '../../guest.ts'), platform: 'node' });
    await bundle.write({ file: guest, format: 'cjs', codeSplitting: false });
    await bundle.close();
  });
  after(() => rm(folder, { recursive: true }));

  let made = 0;
  async function artifact(files: Record<string, string>, mode = 0o755): Promise<string> {
    const code = join(folder, `code-${++made}`);
    for (const [name, text] of Object.entries(files)) {
      await mkdir(dirname(join(code, name)), { recursive: true });
      await writeFile(join(code, name), text);
      await chmod(join(code, name), mode);
    }
    return code;
  }

  async function started(
    overrides: Partial<InitPayload> = {},
    files: Record<string, string> = { bootstrap: PROGRAM },
    { rehearsed = false } = {},
  ): Promise<ScriptedHost> {
    const host = new ScriptedHost(NODES[0]!.binary, guest);
    if (rehearsed) await host.idle();
    const code = await artifact(files);
    const ready = await host.init(code, 'bootstrap#pkg/app.handler', {
      form: 'provided',
      runtime: 'provided',
      concurrency: 1,
      ...overrides,
    });
    assert.deepEqual(ready.exports, ['serve']);
    return host;
  }

  const textsOf = (host: ScriptedHost, stream: number): string[] =>
    host.logs.filter((record) => record.stream === stream).map(({ level, text }) => `${level}: ${text}`);

  test('an event goes out by next and its answer comes in by response, call after call', async () => {
    await using host = await started();
    const call = host.event({ a: [1, 'ü'] }, { trace: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' }, { timeoutMs: 20_000 });
    const { event, headers, pid } = JSON.parse((await call.ended).text);
    assert.deepEqual(call.meta, { status: 200, headers: ['content-type', 'application/json'] });
    assert.deepEqual(event, { a: [1, 'ü'] });
    const remaining = Number(headers['lambda-runtime-deadline-ms']) - Date.now();
    assert.ok(remaining > 10_000 && remaining <= 20_000, String(remaining));
    assert.equal(headers['lambda-runtime-aws-request-id'], requestIdOf(`inv_${call.stream}`));
    assert.equal(headers['lambda-runtime-trace-id'], 'Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=b7ad6b7169203331;Sampled=1');
    assert.equal(headers['lambda-runtime-invoked-function-arn'], 'arn:aws:lambda:us-east-1:000000000000:function:hello');
    assert.equal(headers['content-type'], 'application/json');
    for (let i = 0; i < 20; i++) assert.equal(JSON.parse((await host.event({ i }).ended).text).pid, pid);
    assert.deepEqual(JSON.parse((await host.event('').ended).text).event, {});
    assert.deepEqual(textsOf(host, call.stream), ['info: echoing']);
    host.write(STOP);
    assert.deepEqual(await host.exited, { code: 0, signal: null });
    assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
  });

  test('the program has the environment of a custom runtime, and its code as the working folder', async () => {
    await using host = await started({ env: { GREETING: 'hi', AWS_REGION: 'eu-south-2' }, memoryMiB: 192 });
    const { env, cwd } = JSON.parse((await host.event({ do: 'env' }).ended).text);
    assert.match(env.AWS_LAMBDA_RUNTIME_API, /^127\.0\.0\.1:\d+$/);
    assert.equal(env.LAMBDA_TASK_ROOT, cwd);
    const expected = {
      _HANDLER: 'pkg/app.handler',
      GREETING: 'hi',
      AWS_LAMBDA_FUNCTION_NAME: 'hello',
      AWS_LAMBDA_FUNCTION_VERSION: '3',
      AWS_LAMBDA_FUNCTION_MEMORY_SIZE: '192',
      AWS_REGION: 'eu-south-2',
    };
    for (const [name, value] of Object.entries(expected)) assert.equal(env[name], value, name);
    assert.equal('AWS_LAMBDA_MAX_CONCURRENCY' in env, false);
  });

  for (const rehearsed of [false, true]) {
    test(`what the program writes is the log of the call, line by line, also by /dev/stderr${rehearsed ? ', with what a rehearsal has prepared' : ''}`, async () => {
      await using host = await started({}, { bootstrap: PROGRAM }, { rehearsed });
      const call = await host.event({ do: 'speak' }).ended;
      const lines = textsOf(host, call.stream);
      assert.deepEqual(
        lines.filter((line) => line.startsWith('info')),
        ['info: first', 'info: second\ncontinued', 'info: ü unfinished'],
      );
      assert.deepEqual(
        lines.filter((line) => line.startsWith('error')),
        ['error: complaint', 'error: by its name'],
      );
    });
  }

  test('the answer of a direct invocation is the bytes of the program', async () => {
    await using host = await started();
    for (const [bytes, type] of [
      [Buffer.from('[1, 2]'), 'application/json'],
      [Buffer.from('plain ü'), 'text/plain;charset=UTF-8'],
      [Buffer.from([0, 255, 128]), 'application/octet-stream'],
      [Buffer.alloc(0), 'text/plain;charset=UTF-8'],
    ] as const) {
      const call = await host.event({ do: 'raw', base64: bytes.toString('base64') }).ended;
      assert.deepEqual([call.body, call.header('content-type')], [bytes, [type]]);
    }
    const bytes = await host.event(Buffer.from([0, 255]), { contentType: 'image/png' }).ended;
    assert.deepEqual(JSON.parse(bytes.text).event, { bytes: [0, 255] });
    assert.equal(JSON.parse(bytes.text).headers['content-type'], 'image/png');
  });

  test('an error of the program is the error of the call, with its type, message and trace', async () => {
    await using host = await started();
    const { error } = await host.event({ do: 'error' }).ended;
    assert.deepEqual(error, { name: 'MyError', message: 'no', stack: 'MyError: no\nat a\nat b' });
    assert.deepEqual((await host.event({ do: 'text-error' }).ended).error, { name: 'Function.Text', message: 'just text', stack: '' });
    assert.equal((await host.event({ a: 1 }).ended).error, undefined);
  });

  test('mistakes are answered as AWS answers them', async () => {
    await using host = await started();
    const call = await host.event({ do: 'mistakes' }).ended;
    assert.deepEqual(JSON.parse(call.text), [
      [400, 'InvalidRequestID'],
      [400, 'InvalidRequestID'],
      [403, 'InvalidStateTransition'],
      [404, 'NotFound'],
      true,
    ]);
    await host.log(
      ({ stream, text }) => stream === call.stream && text === "[403, 'InvalidStateTransition'] [403, 'InvalidStateTransition']",
    );
    await host.log(({ level, text }) => level === 'warn' && text.includes('called GET /2018-06-01/runtime/invocation/nothing'));
    const mode = await host.event({ do: 'mode' }).ended;
    assert.equal(mode.error!.name, 'Runtime.InvalidResponseModeHeader');
    await host.log(({ text }) => text === "[400, 'InvalidFunctionResponseMode']");
  });

  test('a whole answer may have 6291556 bytes; with more it gets 413, the call an error, and the program goes on', async () => {
    await using host = await started();
    const largest = await host.event({ do: 'large', bytes: 6_291_556 }).ended;
    assert.equal(largest.bodyBytes, 6_291_556);
    const { error } = await host.event({ do: 'large', bytes: 6_291_557 }).ended;
    assert.equal(error!.name, 'BadResponse');
    assert.match(error!.message, /it has 6291557 bytes or more, and a whole answer may have 6291556; stream it/);
    await host.log(({ text }) => text === '413 RequestEntityTooLarge');
    assert.equal((await host.event({ a: 1 }).ended).error, undefined);
  });

  test('over HTTP the answer is what API Gateway takes', async () => {
    await using host = await started();
    const post = (path: string, body: unknown) =>
      host.http(path, { method: 'POST' }, { body: typeof body === 'string' ? body : JSON.stringify(body) });
    const created = await post('/result', { statusCode: 201, headers: { 'x-a': 'b' }, cookies: ['c=1'], body: 'made' }).ended;
    assert.deepEqual(
      [created.meta!.status, created.text, created.header('x-a'), created.header('set-cookie')],
      [201, 'made', ['b'], ['c=1']],
    );
    const plain = await post('/result', { a: 1 }).ended;
    assert.deepEqual([plain.meta!.status, JSON.parse(plain.text), plain.header('content-type')], [200, { a: 1 }, ['application/json']]);
    const wrong = await post('/raw', 'no JSON').ended;
    assert.equal(wrong.error!.name, 'BadResponse');
    assert.match(wrong.error!.message, /it is not JSON \(.*\), and an HTTP request is answered by JSON such as \{"statusCode"/);
    assert.match((await post('/result', { statusCode: 99 }).ended).error!.message, /statusCode is 99/);
  });

  test('a streamed answer begins with its prelude; without one it is 200 and the bytes', async () => {
    await using host = await started();
    const call = await host.http('/stream').ended;
    assert.deepEqual([call.meta!.status, call.text], [201, `one${'two'.repeat(10)}`]);
    assert.deepEqual([call.header('x-a'), call.header('set-cookie')], [['b'], ['c=1']]);
    const plain = await host.http('/plain-stream').ended;
    assert.deepEqual([plain.meta, plain.text], [{ status: 200, headers: ['content-type', 'text/x-test'] }, 'text']);
    const head = await host.http('/stream', { method: 'HEAD' }).ended;
    assert.deepEqual([head.meta!.status, head.bodyBytes], [201, 0]);
    const bodiless = await host.http('/bodiless').ended;
    assert.deepEqual([bodiless.meta!.status, bodiless.bodyBytes], [204, 0]);
    assert.match((await host.http('/no-prelude').ended).error!.message, /does not begin with JSON and eight NUL bytes/);
    assert.match(
      (await host.http('/bad-prelude').ended).error!.message,
      /its stream begins with '\{', which is not the JSON of its status and headers/,
    );
  });

  test('a stream waits for the host: no more than its credit is on the way', async () => {
    await using host = await started();
    const call = host.http('/large-stream', {}, { slow: true });
    call.keepsBody = false;
    await call.until(() => call.bodyBytes === 256 * 1024);
    // The guest has handled whatever it could send by the time it answers something else of the same connection.
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.equal(call.bodyBytes, 256 * 1024);
    call.grant(16 * 1024 * 1024);
    assert.equal((await call.ended).bodyBytes, 160 * 65_536);
  });

  test('a stream that nobody wants any more is read to its end, and the program goes on', async () => {
    await using host = await started();
    const call = host.http('/large-stream', {}, { slow: true });
    await call.until(() => call.bodyBytes > 0);
    call.cancel();
    assert.equal((await call.ended).error!.name, 'AbortError');
    assert.equal((await host.event({ a: 1 }).ended).error, undefined);
  });

  test('a stream may fail in its trailers, or break', async () => {
    await using host = await started();
    const late = await host.http('/late-error').ended;
    assert.deepEqual([late.meta!.status, late.text], [200, 'begun']);
    assert.deepEqual(late.error, { name: 'Late', message: 'after all', stack: 'Late: after all\nat x\nat y' });
    const early = await host.http('/early-error').ended;
    assert.deepEqual([early.meta, early.error!.message], [undefined, 'after all']);
    const broken = await host.http('/broken').ended;
    assert.match(broken.error!.message, /closed its connection in the middle of its answer/);
    assert.equal((await host.event({ a: 1 }).ended).error, undefined);
  });

  test('with concurrency above 1 several pollers have a call each, and a line with the id of a call is that call’s', async () => {
    await using host = await started({ concurrency: 3, env: { POLLERS: '4' } });
    const calls = [1, 2, 3].map(() => host.event({ do: 'meet' }));
    for (const call of calls) {
      assert.equal(JSON.parse((await call.ended).text), requestIdOf(`inv_${call.stream}`));
      assert.deepEqual(textsOf(host, call.stream), [`info: ${requestIdOf(`inv_${call.stream}`)} is here`]);
    }
    const { env } = JSON.parse((await host.event({ do: 'env' }).ended).text);
    assert.equal(env.AWS_LAMBDA_MAX_CONCURRENCY, '3');
  });

  test('a cancelled call that the program has begun keeps its slot until the program has answered', async () => {
    await using host = await started();
    const begun = host.event({ do: 'sleep', s: 0.3 });
    await host.log(({ text }) => text === 'sleeping');
    const waiting = host.event({ a: 1 });
    begun.cancel();
    waiting.cancel();
    // Nobody had begun this one: it ends first.
    assert.equal((await waiting.ended).error!.name, 'AbortError');
    assert.equal(begun.error, undefined);
    assert.equal((await begun.ended).error!.name, 'AbortError');
    assert.equal((await host.event({ a: 2 }).ended).error, undefined);
  });

  for (const [name, event, code] of [
    ['exits', { do: 'exit', code: 7 }, 7],
    ['exits with 0', { do: 'exit', code: 0 }, 0],
    ['is killed', { do: 'signal', signal: 9 }, 137],
  ] as const) {
    test(`a program that ${name} in the middle of a call takes the guest along`, async () => {
      await using host = await started();
      const call = host.event(event);
      call.ended.catch(() => {});
      assert.deepEqual(await host.exited, { code, signal: null });
      const how = name === 'is killed' ? 'was ended by SIGKILL' : `exited with code ${code}`;
      assert.equal(textsOf(host, call.stream).at(-1), `error: the program ${how} before it had answered; its instance ends`);
      if (name === 'exits') assert.equal(textsOf(host, call.stream).at(-2), 'error: going');
    });
  }

  test('a program that ends after its answer takes the guest along, and the answer stands', async () => {
    await using host = await started();
    assert.equal((await host.event({ do: 'leave' }).ended).text, '"bye"');
    assert.equal((await host.exited).code, 0);
  });

  test('bootstrap may be that of a layer', async () => {
    await using host = await started({}, { 'opt/bootstrap': PROGRAM, 'app.txt': '' });
    assert.equal((await host.event({ a: 1 }).ended).error, undefined);
  });

  describe('a program that cannot begin is an error that says why', () => {
    async function failing(
      files: Readonly<Record<string, string>>,
      mode?: number,
    ): Promise<{ name: string; message: string; stack: string }> {
      await using host = new ScriptedHost(NODES[0]!.binary, guest);
      const error = await host
        .init(await artifact(files, mode), 'bootstrap', { form: 'provided', runtime: 'provided', env: { PATH: '/usr/bin' } })
        .then(
          () => assert.fail('it was loaded'),
          (thrown: unknown) => (thrown as { guest: { name: string; message: string; stack: string } }).guest,
        );
      assert.equal((await host.exited).code, 1);
      return error;
    }

    for (const [name, files, mode, expected] of [
      ['no bootstrap', { 'main.sh': '' }, 0o755, /there is no file 'bootstrap' in the function's code, .* it holds main\.sh/],
      ['not executable', { bootstrap: '#!/bin/sh\n' }, 0o644, /'bootstrap' is not executable; run chmod \+x bootstrap/],
      ['no interpreter', { bootstrap: '#!/opt/none/ruby\n' }, 0o755, /the interpreter of 'bootstrap', \/opt\/none\/ruby, is not there/],
      [
        'no interpreter on PATH',
        { bootstrap: '#!/usr/bin/env noruby\n' },
        0o755,
        /noruby, is in none of the folders of PATH \(\/usr\/bin\)/,
      ],
      ['line ends of Windows', { bootstrap: '#!/bin/sh\r\nexit 1\r\n' }, 0o755, /save it with LF line ends/],
      ['neither program nor script', { bootstrap: 'MZ\x90\x00' }, 0o755, /neither a program for Linux nor a script: it begins with "MZ/],
      ['empty', { bootstrap: '' }, 0o755, /it begins with nothing: it is empty/],
      [
        'exits',
        { bootstrap: '#!/bin/sh\necho one\necho two >&2\nexit 3\n' },
        0o755,
        /bootstrap exited with code 3 before it asked for an invocation \(GET \/2018-06-01\/runtime\/invocation\/next\); its last words: one\ntwo/,
      ],
      [
        'is killed',
        { bootstrap: '#!/bin/sh\nkill -SEGV $$\n' },
        0o755,
        /bootstrap was ended by SIGSEGV before it asked for an invocation .*; it wrote nothing/,
      ],
    ] as const) {
      test(name, async () => {
        const error = await failing(files, mode);
        assert.equal(error.name, 'LoadError');
        assert.match(error.message, expected);
      });
    }

    test('a program for another processor, or with a loader that is not there', async () => {
      const elf = (machine: number, loader?: string): string => {
        const head = Buffer.alloc(256);
        head.write('\x7fELF\x02\x01\x01', 'latin1');
        head.writeUInt16LE(machine, 18);
        if (loader !== undefined) {
          head.writeBigUInt64LE(64n, 32);
          head.writeUInt16LE(56, 54);
          head.writeUInt16LE(1, 56);
          head.writeUInt32LE(3, 64);
          head.writeBigUInt64LE(128n, 72);
          head.writeBigUInt64LE(BigInt(loader.length + 1), 96);
          head.write(loader, 128);
        }
        return head.toString('latin1');
      };
      const [own, other, otherName] = process.arch === 'x64' ? [62, 183, 'arm64'] : [183, 62, 'x64'];
      const code = await artifact({ a: '', b: '' });
      await writeFile(join(code, 'a'), elf(other), 'latin1');
      await writeFile(join(code, 'b'), elf(own, '/lib/ld-musl-none.so.1'), 'latin1');
      assert.match(
        startProblem(join(code, 'a'), 'a', '')!,
        new RegExp(`'a' is a program for ${otherName}, and this machine is ${process.arch}`),
      );
      assert.match(
        startProblem(join(code, 'b'), 'b', '')!,
        /'b' needs the loader \/lib\/ld-musl-none\.so\.1, which is not there \(it was built with musl/,
      );
      assert.equal(startProblem(process.execPath, 'node', ''), undefined);
    });

    test('the program says so itself, by init/error', async () => {
      const report = `#!/usr/bin/python3
import http.client, os, sys
print("about to fail", flush=True)
connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
connection.request("POST", "/2018-06-01/runtime/init/error", '{"errorMessage": "no module app", "errorType": "Runtime.ImportModuleError", "stackTrace": ["at z"]}', {"Lambda-Runtime-Function-Error-Type": "Runtime.ImportModuleError"})
print(connection.getresponse().status, file=sys.stderr, flush=True)
sys.exit(1)
`;
      const error = await failing({ bootstrap: report });
      assert.deepEqual(error, {
        name: 'Runtime.ImportModuleError',
        message: 'no module app',
        stack: 'Runtime.ImportModuleError: no module app\nat z',
      });
    });
  });
});
