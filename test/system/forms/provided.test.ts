// examples/provided: custom runtimes of AWS Lambda in bash and in Python, deployed and called over HTTP and by every kind of
// event; and what goes wrong with such programs, from a file that is not executable to a crash in the middle of a call.
import assert from 'node:assert/strict';
import { chmod, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ROOT, startVirga, temporaryFolder, writeFiles } from '../virga.ts';
import type { Virga } from '../virga.ts';
import { goldenEvent, invoke } from './lambda-events.ts';

const PROJECT = 'provided';
/** Does what the event says. */
const PROGRAM = `#!/usr/bin/python3
import http.client, json, os, sys, time
connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
def call(method, path, body=None, **headers):
    connection.request(method, "/2018-06-01/runtime/" + path, body, headers)
    answer = connection.getresponse()
    return answer.headers, answer.read()
if os.environ["_HANDLER"] == "init":
    print("nothing to begin with", file=sys.stderr, flush=True)
    sys.exit(4)
if os.environ["_HANDLER"] == "reports":
    call("POST", "init/error", '{"errorType": "Runtime.NoLicense", "errorMessage": "the licence has run out"}')
    sys.exit(1)
while True:
    headers, event = call("GET", "invocation/next")
    do = json.loads(event).get("do", "pid")
    request = "invocation/" + headers["Lambda-Runtime-Aws-Request-Id"]
    print("told to", do, flush=True)
    if do == "crash":
        print("oh no", file=sys.stderr, flush=True)
        os._exit(7)
    if do == "kill":
        os.kill(os.getpid(), 9)
    if do == "hang":
        time.sleep(60)
    if do == "large":
        call("POST", request + "/response", b'"' + b"x" * 7_000_000 + b'"')
        continue
    if do == "wrong":
        call("POST", "invocation/other/response", "{}")
    call("POST", request + "/response", json.dumps(os.getpid()))
`;

let virga: Virga;
before(async () => {
  virga = await startVirga();
  const deployed = await virga.cli(['deploy', join(ROOT, 'examples', PROJECT)]);
  assert.equal(deployed.code, 0, deployed.stderr);
});
after(async () => {
  await virga[Symbol.asyncDispose]();
});

test('bash and curl: a report, and a countdown that is streamed', async () => {
  const report = await virga.fetch(PROJECT, '/report');
  assert.deepEqual([report.status, await report.json()], [200, { system: 'Linux', task: '/var/task', memory: 256 }]);
  const countdown = await virga.fetch(PROJECT, '/countdown/5');
  assert.deepEqual([countdown.status, countdown.headers.get('content-type')], [200, 'text/plain']);
  const chunks: string[] = [];
  for await (const chunk of countdown.body!.pipeThrough(new TextDecoderStream())) chunks.push(chunk);
  assert.equal(chunks.join(''), '5\n4\n3\n2\n1\nlift-off\n');
  assert.ok(chunks.length > 2, `it came in ${chunks.length} pieces`);
});

test('bash and curl: events, errors and log lines', async () => {
  const shell = [PROJECT, 'shell'] as const;
  for (const [name, value] of [
    ['a batch of a queue, as SQS gives it', { records: 2 }],
    ['changes of a table, as a DynamoDB stream gives them', { records: 3 }],
    ['any other CloudEvent is one of EventBridge', { event: 'com.example.paid' }],
  ] as const) {
    assert.deepEqual((await invoke(virga, shell, goldenEvent(name))).value, value, name);
  }
  const echo = await invoke(virga, shell, { a: [1, 'ü'] });
  assert.deepEqual(echo.value, { echo: { a: [1, 'ü'] } });
  assert.deepEqual(
    echo.logs.map(({ level, text }) => `${level} ${text}`),
    ['error an event of 13 characters'],
  );
  const failed = await invoke(virga, shell, { fail: true });
  assert.equal(failed.error!.code, 'function_error');
  const lines = failed.logs.map(({ text }) => text).join('\n');
  assert.match(lines, /asked to fail/);
  assert.match(lines, /Function\.Failed: handler ended with 3/);
});

test('Python and urllib: notes over HTTP, and a digest that is streamed', async () => {
  const post = (text: string) => virga.fetch(PROJECT, '/notes', { method: 'POST', body: JSON.stringify({ text }) });
  const made = await post('milk');
  assert.equal(made.status, 201);
  const { id } = (await made.json()) as { id: string };
  assert.deepEqual(await (await virga.fetch(PROJECT, `/notes/${id}`)).json(), { id, text: 'milk' });
  assert.equal((await virga.fetch(PROJECT, '/notes/none')).status, 404);
  const digest = await virga.fetch(PROJECT, '/digest');
  assert.deepEqual([digest.status, digest.headers.getSetCookie()], [200, ['read=1']]);
  assert.match(await digest.text(), new RegExp(`^${id}: milk$`, 'm'));
  const refused = await post('');
  assert.equal(refused.status, 502);
});

for (const [name, texts] of [
  ['a batch of a queue, as SQS gives it', ['{"n":1}', 'zwei ü']],
  ['a message of a topic, as SNS gives it', ['hello']],
  ['an object that was made, as S3 tells it', ['a+b/Happy+%C3%BC%281%29%7E*%21%27.jpg']],
  ['changes of a table, as a DynamoDB stream gives them', ['INSERT in aws:dynamodb', 'MODIFY in aws:dynamodb', 'REMOVE in aws:dynamodb']],
  ['a schedule that is due, as EventBridge tells it', ['Scheduled Event of aws.events']],
  ['any other CloudEvent is one of EventBridge', ['com.example.paid of /projects/shop']],
] as const) {
  test(`Python and urllib: ${name}`, async () => {
    const { value, error } = await invoke(virga, [PROJECT, 'notes'], goldenEvent(name));
    assert.equal(error, null);
    assert.deepEqual(
      [value].flat().map((note) => (note as { text: string }).text),
      texts,
    );
  });
}

test('Python and urllib: an error has its type and its trace, and the program goes on', async () => {
  const notes = [PROJECT, 'notes'] as const;
  const failed = await invoke(virga, notes, { text: '' });
  assert.equal(failed.error!.code, 'function_error');
  const lines = failed.logs.map(({ text }) => text).join('\n');
  assert.match(lines, /a direct invocation with \d+ ms left/);
  assert.match(lines, /ValueError: a note needs a text/);
  assert.match(lines, /notes\.py", line \d+, in note/);
  const { value, invocation } = await invoke(virga, notes, { text: 'eggs' });
  assert.equal((value as { text: string }).text, 'eggs');
  assert.equal(invocation.receipt.cold, false);
});

test('what goes wrong in a program says what and when', async () => {
  const { code, stderr } = await virga.deploy({
    'virga.yaml': `
project: failing
defaults: { runtime: provided, timeout: 2s }
functions:
  program: { source: program.py, instances: { max: 1 } }
  init: { source: program.py, handler: init }
  reports: { source: program.py, handler: reports }
  interpreter: { source: interpreter }
`,
    'program.py': PROGRAM,
    interpreter: '#!/opt/ruby/bin/ruby\n',
  });
  assert.equal(code, 0, stderr);
  const tried = async (fn: string, event: object = {}) => {
    const { error, logs, value, invocation } = await invoke(virga, ['failing', fn], event);
    return {
      code: error?.code,
      message: error?.message ?? '',
      lines: logs.map(({ text }) => text).join('\n'),
      value,
      instance: invocation.instance,
    };
  };
  const init = await tried('init');
  assert.equal(init.code, 'function_load_failed');
  assert.match(init.message, /bootstrap exited with code 4 before it asked for an invocation .*; its last words: nothing to begin with/);
  const reports = await tried('reports');
  assert.match(reports.message, /could not be loaded: Runtime\.NoLicense: the licence has run out/);
  const interpreter = await tried('interpreter');
  assert.match(interpreter.message, /the interpreter of 'bootstrap', \/opt\/ruby\/bin\/ruby, is not there/);

  const first = await tried('program');
  assert.equal(first.code, undefined);
  const crash = await tried('program', { do: 'crash' });
  assert.equal(crash.code, 'function_crashed');
  assert.match(crash.message, /exited with code 7 during the call/);
  assert.match(crash.lines, /told to crash\noh no\nthe program exited with code 7 before it had answered; its instance ends/);
  const killed = await tried('program', { do: 'kill' });
  assert.match(killed.message, /(?:was ended by SIGKILL|exited with code 137) during the call/);
  assert.match(killed.lines, /the program was ended by SIGKILL before it had answered/);
  const hung = await tried('program', { do: 'hang' });
  assert.equal(hung.code, 'function_timeout');
  const large = await tried('program', { do: 'large' });
  assert.equal(large.code, 'function_bad_response');
  assert.match(large.message, /it has 7000002 bytes or more, and a whole answer may have 6291556; stream it/);
  const wrong = await tried('program', { do: 'wrong' });
  assert.equal(wrong.code, undefined);
  assert.equal(typeof wrong.value, 'number');
  assert.notEqual(wrong.instance, first.instance, 'the instance that crashed is another');
});

test('a folder without a bootstrap, or with one that is not executable, is refused at the deploy', async () => {
  const folder = await temporaryFolder('virga-project-');
  await writeFiles(folder, {
    'virga.yaml': 'project: refused\ndefaults: { runtime: provided }\nfunctions: { none: { source: none }, plain: { source: plain } }\n',
    'none/main.sh': '#!/bin/sh\n',
    'plain/bootstrap': '#!/bin/sh\n',
  });
  const refused = await virga.cli(['deploy', folder]);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /none has no file 'bootstrap' at its top, .*; it has main\.sh/);
  assert.match(refused.stderr, /bootstrap of plain is not executable: chmod \+x bootstrap, and deploy again/);
  await chmod(join(folder, 'plain', 'bootstrap'), 0o755);
  assert.doesNotMatch((await virga.cli(['deploy', folder])).stderr, /executable/);
  await rm(folder, { recursive: true });
});

test('several calls at once in one program: a poller for each', async () => {
  const { code, stderr } = await virga.deploy({
    'virga.yaml':
      'project: many\nfunctions: { meet: { source: meet.py, runtime: provided, concurrency: 3, instances: { max: 1 }, http: /meet } }\n',
    'meet.py': `#!/usr/bin/python3
import http.client, json, os, threading
meeting = threading.Barrier(3)
def work():
    connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    while True:
        connection.request("GET", "/2018-06-01/runtime/invocation/next")
        answer = connection.getresponse()
        answer.read()
        meeting.wait(10)
        id = answer.headers["Lambda-Runtime-Aws-Request-Id"]
        connection.request("POST", "/2018-06-01/runtime/invocation/%s/response" % id, json.dumps({"id": id, "max": os.environ["AWS_LAMBDA_MAX_CONCURRENCY"]}))
        connection.getresponse().read()
for _ in range(3):
    threading.Thread(target=work).start()
`,
  });
  assert.equal(code, 0, stderr);
  const answers = await Promise.all(
    [1, 2, 3].map(async () => (await virga.fetch('many', '/meet')).json() as Promise<{ id: string; max: string }>),
  );
  assert.equal(new Set(answers.map(({ id }) => id)).size, 3);
  assert.deepEqual(
    answers.map(({ max }) => max),
    ['3', '3', '3'],
  );
});
