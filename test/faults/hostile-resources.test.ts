// A function that uses everything up (attacks/resources.ts): it reaches its own limits, and a function of another project
// answers all the while. Two attacks come from callers: bodies that drip, and connections that say nothing.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { after, before, suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually, processes } from '../system/virga.ts';
import { ATTACKS, BROKEN_OFF, SLEEPERS, TIMED_OUT } from './attacks/resources.ts';
import { attackFiles, errorOf, startNeighbourhood } from './neighbour.ts';
import type { Neighbourhood } from './neighbour.ts';

const MIB = 1024 * 1024;
const MANIFEST = `
project: hostile
defaults: { timeout: 3s, memory: 128 MiB, pids: 48, tmp: 24 MiB }
functions:
  resources: { source: resources.ts, http: [{ path: '/resources/{name}', methods: [GET, POST] }] }
  brief: { source: resources.ts, timeout: 1s, http: [{ path: '/brief/{name}' }] }
  large: { source: resources.ts, tmp: 512 MiB, http: [{ path: '/large/{name}' }] }
`;
const CONNECTIONS = 150;

suite('attacks on what all share', () => {
  let neighbourhood: Neighbourhood;
  before(async () => {
    neighbourhood = await startNeighbourhood({ 'virga.yaml': MANIFEST, ...attackFiles('resources.ts', 'system-call.ts') });
  });
  after(() => neighbourhood[Symbol.asyncDispose]());

  async function outcome(path: string): Promise<string> {
    try {
      const { status, text } = await neighbourhood.attack(path);
      const { code, message } = errorOf(text);
      return code === '' ? `${status} ${text.slice(0, 200)}` : `${status} ${code} ${message}`;
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
      return `0 ${String((error as Error).cause ?? error)}`;
    }
  }
  const edgeMemory = (): number => {
    const status = readFileSync(`/proc/${neighbourhood.virga.pids()['edge']![0]!}/status`, 'utf8');
    return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024;
  };

  for (const [name, { tries, holds }] of Object.entries(ATTACKS)) {
    test(`${name}: ${tries}`, async () => {
      const bytesBefore = edgeMemory();
      const path = holds === TIMED_OUT || holds === BROKEN_OFF ? 'brief' : 'resources';
      assert.match(await outcome(`/${path}/${name}`), holds);
      assert.ok(edgeMemory() - bytesBefore < 100 * MIB, `the edge has grown by ${((edgeMemory() - bytesBefore) / MIB).toFixed(0)} MiB`);
    });
  }

  test('after all of them it answers, in a sandbox that is whole', async () => {
    assert.equal(await outcome('/resources/nothing'), '200 done');
  });

  test('what it left behind is gone', async () => {
    await eventually(async () => (processes().some(({ command }) => command.includes(SLEEPERS)) ? undefined : true));
  });

  test('a /tmp that is larger than its memory is no way around the memory', async () => {
    assert.match(await outcome('/large/tmp-bomb'), /^502 function_out_of_memory .*128 MiB/);
  });

  test('floods of output are cut', async () => {
    const { stdout } = await neighbourhood.virga.cli(['logs', 'brief', '--project', 'hostile', '--limit', '10000']);
    assert.match(stdout, /flood-of-output/);
    assert.ok(stdout.length < 4 * MIB, `${stdout.length} bytes were kept`);
  });

  test('slow-loris: bodies that drip and requests that never end hold up nobody else', async () => {
    const { hostname, port } = new URL(neighbourhood.virga.edgeUrl);
    const sockets = Array.from({ length: CONNECTIONS }, (_, n): Socket => {
      const socket = connect(Number(port), hostname).on('error', () => {});
      socket.resume();
      if (n % 3 === 0) socket.write('POST /@hostile/resources/upload HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n');
      else if (n % 3 === 1) socket.write('GET /@hostile/resources/nothing HTTP/1.1\r\nhost: x\r\nx-a: ');
      return socket;
    });
    const drip = setInterval(() => sockets.forEach((socket) => socket.writable && socket.write('.')), 100);
    try {
      await neighbourhood.beside(() => sleep(2_500));
    } finally {
      clearInterval(drip);
      for (const socket of sockets) socket.destroy();
    }
    assert.equal(await outcome('/resources/nothing'), '200 done');
  });
});
