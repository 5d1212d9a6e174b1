// What an idle connection costs: two thousand are held by another process, and the heap is looked at after collections. 10,000 are
// those times five, since nothing grows but the connections (bench/sockets.ts counts all of the process with 10,000).
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { echoing } from './hub-under-test.ts';

const CONNECTIONS = 2_000;
const FIRST = 100;
/** JavaScript's share; the rest of the 15 KB is for the process's own buffers and handles. */
const BYTES_MAX = 5_000;

/** Opens as many as each line of its stdin says. */
const HOLDER = `
const { connect } = require('node:net');
const head = 'GET /chat HTTP/1.1\\r\\nHost: p.localhost\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\nSec-WebSocket-Version: 13\\r\\nCookie: a=' + 'x'.repeat(400) + '\\r\\n\\r\\n';
const one = () => new Promise((resolve, reject) => {
  const socket = connect(Number(process.argv[1]), '127.0.0.1');
  socket.on('error', reject);
  socket.once('data', (data) => (data.includes(' 101 ') ? resolve() : reject(new Error(String(data)))));
  socket.write(head);
});
require('node:readline').createInterface({ input: process.stdin }).on('line', async (line) => {
  let left = Number(line);
  await Promise.all(Array.from({ length: 32 }, async () => { while (left-- > 0) await one(); }));
  console.log('open');
}).on('close', () => process.exit());
`;

test('an idle connection holds little memory', async () => {
  await using gateway = await echoing();
  const holder = spawn(process.execPath, ['-e', HOLDER, String(gateway.port)], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: holder.stdout })[Symbol.asyncIterator]();
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const bytesWith = async (more: number): Promise<number> => {
    holder.stdin.write(`${more}\n`);
    assert.equal((await lines.next()).value, 'open');
    gateway.recorder.records.length = 0;
    for (let i = 0; i < 3; i++) {
      collect();
      await sleep(10);
    }
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };
  const before = await bytesWith(FIRST);
  const each = ((await bytesWith(CONNECTIONS)) - before) / CONNECTIONS;
  assert.equal(gateway.hub.size, FIRST + CONNECTIONS);
  assert.equal(gateway.hub.heldBytes, 0);
  assert.ok(each < BYTES_MAX, `${Math.round(each)} bytes each`);
  holder.stdin.end();
  await once(holder, 'close');
});
