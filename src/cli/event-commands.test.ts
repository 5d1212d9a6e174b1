// The commands of queues, deliveries, schedules and recordings over a server of the test's own: Ctrl-C, hostile texts, much at once, typos.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { after, before, test } from 'node:test';
import { clientSettings } from '../config/client.ts';
import { runCommandLine } from './command-line.ts';

const AT = '2026-01-31T12:00:00.000Z';
/** Moves the cursor, names the window, begins a sequence in one character; and a line of its own. */
const HOSTILE = 'a\x1b[2J\x1b]0;x\x07\x9b31m\nb';
const MESSAGE = {
  id: `msg_${HOSTILE}`,
  sequence: '7',
  state: 'pending',
  attempt: 1,
  lastError: HOSTILE,
  sentAt: AT,
  firstReceivedAt: null,
  dueAt: AT,
  group: HOSTILE,
  deduplicationId: HOSTILE,
  attributes: { kind: HOSTILE },
  bytes: 9,
  body: HOSTILE,
  died: null,
};
const DELIVERIES = 12_000;

let server: Server;
let folder: string;
let listening: number[] = [];
let answer: (path: string, query: URLSearchParams) => unknown;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'virga-cli-'));
  server = createServer((request, response) => {
    request.resume();
    const { pathname, searchParams } = new URL(request.url!, 'http://h');
    listening.push(process.listenerCount('SIGINT'));
    response.writeHead(200, { 'content-type': 'application/json', connection: 'close' });
    response.end(JSON.stringify(answer(pathname.replace('/v1/projects/shop/', ''), searchParams)));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
});
after(async () => {
  server.close();
  await once(server, 'close');
  rmSync(folder, { recursive: true, force: true });
});

async function virga(
  args: string[],
  { onOut = () => {}, isTTY = false }: { onOut?: (text: string) => void; isTTY?: boolean } = {},
): Promise<{ status: number; stdout: string; stderr: string }> {
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const said = { stdout: '', stderr: '' };
  const sink = (name: 'stdout' | 'stderr'): Writable & { isTTY?: boolean } =>
    Object.assign(
      new Writable({
        write(chunk: Buffer, _encoding, done) {
          said[name] += chunk.toString();
          onOut(said.stdout);
          done();
        },
      }),
      { isTTY },
    );
  const input = Readable.from([]) as unknown as NodeJS.ReadStream;
  const settings = clientSettings({ XDG_CONFIG_HOME: folder, VIRGA_URL: url, VIRGA_TOKEN: 'vrg_x', NO_COLOR: '1' });
  const status = await runCommandLine([...args, '--project', 'shop'], { out: sink('stdout'), err: sink('stderr'), input, settings });
  return { status, ...said };
}

test('Ctrl-C ends at once what has no end of its own to make, and in order what has', async () => {
  const own = process.listenerCount('SIGINT');
  answer = () => ({ messages: [], items: [], next: null });
  listening = [];
  await virga(['queues', 'receive', 'orders', '--wait', '20s']);
  await virga(['deliveries']);
  assert.deepEqual(new Set(listening), new Set([own]));
  answer = () => ({ id: 'rdr_1', state: 'done', moved: 1, total: 1, error: null });
  listening = [];
  await virga(['dead-letters', 'redrive', '--all']);
  assert.deepEqual(new Set(listening), new Set([own + 1]));
});

test('what senders and functions wrote cannot move the cursor of who looks at it', async () => {
  answer = (path) => (path.endsWith('/messages') ? { items: [MESSAGE, MESSAGE], next: null } : MESSAGE);
  for (const args of [
    ['queues', 'peek', 'orders'],
    ['queues', 'peek', 'orders', 'msg_1'],
  ])
    for (const isTTY of [true, false]) {
      const { stdout, status } = await virga(args, { isTTY });
      assert.equal(status, 0);
      // A body in a file or a pipe is what was sent.
      const plain = stdout.replaceAll(/\x1b\[\d+m/g, '');
      const shown = args.length === 4 && !isTTY ? plain.slice(0, plain.indexOf('\n\n')) : plain;
      assert.ok(!/[\x00-\x09\x0b-\x1f\x7f-\x9f]/.test(shown), JSON.stringify(shown));
      if (args.length === 3) assert.equal(shown.split('\n').length, 4);
      else if (!isTTY) assert.ok(stdout.endsWith(`\n\n${HOSTILE}\n`));
    }
});

test('a tail of more deliveries than it can follow shows each once, says so, and ends', async () => {
  let looks = 0;
  answer = (_path, query) => {
    const from = Number(query.get('cursor') ?? 0);
    if (from === 0 && ++looks === 3) process.emit('SIGINT');
    const items = Array.from({ length: 1_000 }, (_, n) => ({
      id: `msg_${from + n}`,
      source: 'queue/orders',
      state: 'pending',
      function: 'ship',
      attempt: 0,
      nextAt: null,
      sentAt: AT,
      lastError: null,
      bytes: 1,
      died: null,
    }));
    return { items, next: from + 1_000 >= DELIVERIES ? null : String(from + 1_000) };
  };
  const { status, stdout, stderr } = await virga(['deliveries', 'tail']);
  const lines = stdout.trimEnd().split('\n');
  assert.deepEqual([status, lines.length, new Set(lines).size], [0, 10_000, 10_000]);
  assert.equal(stderr.match(/more than 10000 .*--function or --source/g)?.length, 1);
});

test('a misspelt action has a suggestion, and without one all is listed', async () => {
  answer = () => ({ items: [], next: null });
  for (const [args, message] of [
    [['schedules', 'puase', 'nightly'], /no action 'puase'; did you mean 'pause'\?/],
    [['schedules', 'pause'], /`virga schedules pause` needs the name of a schedule/],
    [['schedules', 'show', 'nightly', '--count', '3'], /--count is for `virga schedules next`/],
    [['schedules', 'nightly'], /no action 'nightly'; expected one of list, show/],
    [['schedules', 'next'], /needs the name of a schedule, or --cron or --rate/],
    [['recordings', 'lst'], /no action 'lst'; did you mean 'list'\?/],
    [['recordings', 'show'], /`virga recordings show` needs the id of a recording/],
    [['recordings', 'show', 'inv_1', '--limit', '3'], /--limit is for `virga recordings list`/],
    [['recordings', 'list', 'inv_1'], /`virga recordings list` takes nothing more; "inv_1" is too much/],
  ] as const) {
    const { status, stderr } = await virga([...args]);
    assert.match(stderr, message);
    assert.equal(status, 2);
  }
  for (const command of ['schedules', 'recordings', 'queues', 'deliveries']) assert.equal((await virga([command])).status, 0, command);
});
