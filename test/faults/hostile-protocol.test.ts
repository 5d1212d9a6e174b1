// A function that speaks to the edge itself, past its runtime (attacks/protocol.ts): whatever it says, the edge stays whole,
// a breach costs the instance that made it, and no call, log line or figure of anybody else is touched.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { after, before, suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../system/virga.ts';
import { ATTACKS } from './attacks/protocol.ts';
import { attackFiles, errorOf, startNeighbourhood } from './neighbour.ts';
import type { Neighbourhood } from './neighbour.ts';

const MIB = 1024 * 1024;
const MANIFEST = `
project: hostile
defaults: { timeout: 3s, memory: 256 MiB }
functions:
  protocol: { source: protocol.ts, http: [{ path: '/protocol/{name}', methods: [GET, POST] }] }
  late: { source: protocol.ts, timeout: 500ms, concurrency: 2, http: [{ path: '/late/{name}' }] }
  endless: { source: protocol.ts, http: [{ path: '/endless/{name}' }] }
  ready: { source: ready.ts, timeout: 1s, http: [{ path: /ready }] }
  twice: { source: twice.ts, timeout: 1s, http: [{ path: /twice }] }
  poison: { source: poison.ts, http: [{ path: /poison }] }
  background: { source: background.ts, timeout: 3s, http: [{ path: /background }] }
`;
/** Says that it is ready in the runtime's place, with a time of its own choosing; then does not get ready. */
const READY = (then: string): string => `
import { writeSync } from 'node:fs';
const ready = Buffer.from('{"initMs":1e300,"loadMs":-1e300,"exports":["fetch"]}');
const header = Buffer.alloc(16);
header.writeUInt32LE(ready.length, 0);
header[4] = 17;
writeSync(3, Buffer.concat([header, ready]));
${then}
export default { fetch: () => new Response('done') };`;
const POISON = (version: number): string => `
import { existsSync, writeFileSync } from 'node:fs';
const before = [String(globalThis.poisoned ?? ''), existsSync('/tmp/poison') ? 'file' : '', Array.prototype.map.name === 'map' ? '' : 'patched'].join('');
const denied: string[] = [];
for (const path of ['/code/index.mjs', '/virga/guest.cjs', '/runtime/node', '/compiled/x', '/etc/hosts', '/usr/lib/x']) {
  try { writeFileSync(path, 'poison'); } catch { continue; }
  denied.push(path);
}
globalThis.poisoned = 'globals';
writeFileSync('/tmp/poison', 'left behind');
Array.prototype.map = function patched() { return ['patched']; } as never;
declare global { var poisoned: string | undefined; }
export default { fetch: () => new Response('version ${version}: ' + (before || 'clean') + ' ' + denied.join()) };`;
/** Goes on after its answer: answers to come, logs, a child that spins. */
const BACKGROUND = `
import { spawn } from 'node:child_process';
import { writeSync } from 'node:fs';
let calls = 0;
export default { fetch() {
  calls++;
  const head = Buffer.from('{"status":200,"headers":[]}');
  const forged = Buffer.alloc(20);
  forged.writeUInt32LE(4 + head.length + 6, 0);
  forged[4] = 19;
  forged[5] = 1;
  forged.writeUInt32LE(calls + 1, 8);
  forged.writeUInt32LE(head.length, 16);
  const timer = setInterval(() => { try { writeSync(3, Buffer.concat([forged, head, Buffer.from('forged')])); } catch { clearInterval(timer); } }, 1);
  spawn('sh', ['-c', 'while :; do :; done'], { stdio: 'ignore', detached: true }).unref();
  setTimeout(() => clearInterval(timer), 100);
  return new Response('call ' + calls);
} };`;

suite('attacks on the protocol', () => {
  let neighbourhood: Neighbourhood;
  const files = {
    'virga.yaml': MANIFEST,
    'ready.ts': READY('await new Promise(() => setTimeout(() => {}, 60_000));'),
    'twice.ts': READY('await new Promise((resolve) => setTimeout(resolve, 200));'),
    'poison.ts': POISON(1),
    'background.ts': BACKGROUND,
    ...attackFiles('protocol.ts', 'system-call.ts'),
  };
  before(async () => (neighbourhood = await startNeighbourhood(files)));
  after(() => neighbourhood[Symbol.asyncDispose]());

  async function outcome(path: string, init?: RequestInit): Promise<string> {
    try {
      const { status, text } = await neighbourhood.attack(path, init);
      const { code, message } = errorOf(text);
      return code === '' ? `${status} ${text}` : `${status} ${code} ${message}`;
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
      return `0 ${String((error as Error).cause ?? error)}`;
    }
  }
  const edge = (): number => neighbourhood.virga.pids()['edge']![0]!;
  const edgeMemory = (): number => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${edge()}/status`, 'utf8'))![1]) * 1024;
  const logs = async (project: string, name: string): Promise<string> =>
    (await neighbourhood.virga.cli(['logs', name, '--project', project, '--limit', '1000'])).stdout;

  for (const [name, { tries, holds }] of Object.entries(ATTACKS)) {
    test(`${name}: ${tries}`, async () => {
      const filesBefore = readdirSync(`/proc/${edge()}/fd`).length;
      const memoryBefore = edgeMemory();
      assert.match(await outcome(`/protocol/${name}`), holds);
      assert.equal(await outcome('/protocol/nothing'), '200 done');
      const more = readdirSync(`/proc/${edge()}/fd`).length - filesBefore;
      assert.ok(more < 20, `${more} more open files in the edge`);
      const grown = (edgeMemory() - memoryBefore) / MIB;
      assert.ok(grown < 100, `the edge has grown by ${grown.toFixed(0)} MiB`);
    });
  }

  test('next-call: an answer to a call that has not come is not given to it', async () => {
    assert.equal(await outcome('/protocol/next-call'), '200 done');
    assert.equal(await outcome('/protocol/nothing'), '200 done');
  });

  test('late: an answer after the deadline reaches nobody, and a call beside it goes on', async () => {
    await outcome('/late/nothing');
    const late = outcome('/late/late');
    await sleep(350);
    const beside = outcome('/late/hold');
    assert.match(await late, /^504 function_timeout/);
    assert.equal(await beside, '200 done');
    await sleep(400);
    assert.equal(await outcome('/late/nothing'), '200 done');
  });

  test('endless: a body without credit, to a client that does not read, ends the instance and not the edge', async () => {
    const bytesBefore = edgeMemory();
    const client = rawClient('GET', '/endless/endless');
    await neighbourhood.beside(() =>
      eventually(async () => /more of an answer than it had credit for/.test(await logs('hostile', 'endless')) || undefined),
    );
    client.destroy();
    assert.ok(edgeMemory() - bytesBefore < 64 * MIB, `the edge has grown by ${((edgeMemory() - bytesBefore) / MIB).toFixed(0)} MiB`);
  });

  test('credit-lie: credit for what it never reads does not pull a client’s upload into the edge', async () => {
    const bytesBefore = edgeMemory();
    let peak = 0;
    const watch = setInterval(() => (peak = Math.max(peak, edgeMemory())), 20);
    const body = Buffer.alloc(150 * MIB);
    assert.match(await outcome('/protocol/credit-lie', { method: 'POST', body }), /credit for bytes that it has not read/);
    clearInterval(watch);
    assert.ok(peak - bytesBefore < 64 * MIB, `the edge has grown by ${((peak - bytesBefore) / MIB).toFixed(0)} MiB`);
  });

  test('split: bytes beyond the content-length do not become the next answer on the connection', async () => {
    const client = rawClient('GET', '/protocol/split', 'GET /@neighbour/victim?n=1');
    let received = '';
    client.on('data', (bytes: Buffer) => (received += bytes.toString('latin1')));
    await neighbourhood.beside(() => once(client, 'close'));
    assert.doesNotMatch(received, /x-smuggled/);
  });

  test('short: an answer that ends before its content-length breaks the connection off', async () => {
    assert.match(await outcome('/protocol/short'), /^0 /);
  });

  test('ready: a forged READY does not make the code ready, and its time is not believed', async () => {
    assert.match(await outcome('/ready'), /^504 function_timeout/);
    const record = await eventually(async () => {
      const { stdout } = await neighbourhood.virga.cli(['invocations', 'ready', '--project', 'hostile', '--json']);
      return (JSON.parse(stdout) as Recorded[])[0];
    });
    const { receipt } = record;
    assert.ok(receipt.billedMs < 20_000 && receipt.initMs < 10_000, JSON.stringify(receipt));
  });

  test('twice: READY from the code and from the runtime is one too many', async () => {
    assert.match(await outcome('/twice'), /^502 function_crashed/);
  });

  test('what was logged for others is the hostile function’s own, and what was logged too much is not kept', async () => {
    const kept = await eventually(async () => {
      const text = await logs('hostile', 'protocol');
      return /long-stack|after-bad-lines|forged-line/.test(text) ? text : undefined;
    });
    assert.ok(kept.length < 30 * MIB, `${kept.length} bytes`);
    for (const line of kept.split('\n')) assert.ok(line.length < 20_000, `a line of ${line.length}`);
    assert.doesNotMatch(await logs('neighbour', 'victim'), /forged-line|flood|bad-lines/);
  });

  test('peak-lie: no more memory is recorded than the function may use', async () => {
    const { stdout } = await neighbourhood.virga.cli(['invocations', 'protocol', '--project', 'hostile', '--limit', '200', '--json']);
    const parsed = JSON.parse(stdout) as Recorded[] | { items: Recorded[] };
    const records = Array.isArray(parsed) ? parsed : parsed.items;
    assert.ok(records.length > 20);
    for (const { peakMemoryBytes } of records) assert.ok(peakMemoryBytes <= 256 * MIB, String(peakMemoryBytes));
  });

  test('background: what it does after its answer touches neither its next call nor others', async () => {
    for (const n of [1, 2, 3]) {
      assert.match(await outcome('/background'), new RegExp(`^(200 call ${n}|502 function_crashed)`));
      await sleep(150);
    }
  });

  test('poison: another version finds nothing of what the one before has left', async () => {
    assert.equal(await outcome('/poison'), '200 version 1: clean ');
    await neighbourhood.deploy({ ...files, 'poison.ts': POISON(2) });
    assert.equal(await outcome('/poison'), '200 version 2: clean ');
  });

  /** A connection that sends these requests and is kept alive; nothing is read from it unless somebody listens. */
  function rawClient(method: string, path: string, next?: string): ReturnType<typeof connect> {
    const { hostname, port } = new URL(neighbourhood.virga.edgeUrl);
    const socket = connect(Number(port), hostname);
    socket.on('error', () => {});
    socket.setTimeout(8_000, () => socket.destroy());
    socket.write(`${method} /@hostile${path} HTTP/1.1\r\nhost: x\r\n\r\n`);
    if (next !== undefined) socket.write(`${next} HTTP/1.1\r\nhost: x\r\n\r\n`);
    return socket;
  }
});

interface Recorded {
  peakMemoryBytes: number;
  receipt: { billedMs: number; initMs: number };
}
