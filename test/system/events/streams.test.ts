// Records of streams reach functions in order, in Node and Python; windows, poison, replay, and what a kill of the edge leaves.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually, startVirga } from '../virga.ts';
import type { Virga } from '../virga.ts';

let virga: Virga;
before(async () => {
  virga = await startVirga();
});
after(() => virga[Symbol.asyncDispose]());

test('records of a stream reach a function in order, in batches', async () => {
  const deployed = await virga.deploy({
    'virga.yaml': `
project: shop
functions:
  count:
    source: count.ts
    triggers: [{ stream: clicks, batch: 5 }]
streams:
  clicks: { partitions: 2 }
`,
    'count.ts': `
export default {
  event({ data }) {
    console.log('got ' + data.partition + ' ' + data.records.map((one) => one.key + one.data).join(','));
  },
};
`,
  });
  assert.equal(deployed.code, 0, deployed.stderr);
  const input = Array.from({ length: 20 }, (_, i) => JSON.stringify({ key: i % 2 === 0 ? 'even' : 'odd', i })).join('\n');
  const appended = await virga.cli(['streams', 'append', 'clicks', '--lines', '--key-from', 'key', '--project', 'shop'], { input });
  assert.equal(appended.code, 0, appended.stderr);
  const lines = await eventually(async () => {
    const { stdout } = await virga.cli(['logs', 'count', '--project', 'shop', '--json']);
    const found = [...stdout.matchAll(/"i\\*":(\d+)/g)].map(([, i]) => Number(i));
    return found.length === 20 ? found : undefined;
  });
  for (const odd of [0, 1])
    assert.deepEqual(
      lines.filter((i) => i % 2 === odd),
      Array.from({ length: 10 }, (_, i) => 2 * i + odd),
    );
});
