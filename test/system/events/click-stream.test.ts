// examples/click-stream, with windows of seconds instead of tens of them: seeded clicks of many visitors, and a dashboard that is sent exactly
// as many as there were.
import assert from 'node:assert/strict';
import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { WebSocket } from 'ws';
import { ROOT, eventually, startVirga, temporaryFolder } from '../virga.ts';
import type { Virga } from '../virga.ts';

const SEED = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);
const PAGES = ['/tea', '/coffee', '/cart', '/about', '/jobs', '/'];
const [SIZE_MS, TREND_MS] = [2_000, 6_000];

interface Shown {
  of: 'count' | 'trend';
  start: number;
  end: number;
  final: boolean;
  pages: Record<string, number>;
}

let virga: Virga;
let place: string;
before(async () => {
  virga = await startVirga();
  place = await temporaryFolder('virga-project-');
  const folder = join(place, 'click-stream');
  await cp(join(ROOT, 'examples', 'click-stream'), folder, { recursive: true });
  const manifest = join(folder, 'virga.yaml');
  const text = (await readFile(manifest, 'utf8'))
    .replaceAll('size: 10s', 'size: 2s')
    .replaceAll('size: 1m, every: 10s', 'size: 6s, every: 2s');
  await writeFile(manifest, text);
  const { code, stderr } = await virga.cli(['deploy', folder]);
  assert.equal(code, 0, stderr);
});
after(async () => {
  await virga[Symbol.asyncDispose]();
  await rm(place, { recursive: true });
});

/** Messages of a dashboard that connects again when it is cut off. */
function dashboard(): { shown: Shown[]; opened: () => Promise<void>; close: () => void } {
  const shown: Shown[] = [];
  let socket: WebSocket;
  let closed = false;
  const connect = (): void => {
    if (closed) return;
    socket = new WebSocket(`${virga.edgeUrl.replace('http', 'ws')}/@click-stream/live`);
    socket.on('message', (data: Buffer) => shown.push(JSON.parse(data.toString()) as Shown));
    socket.on('error', () => {});
    socket.on('close', () => setTimeout(connect, 50));
  };
  connect();
  return {
    shown,
    opened: async () => void (await eventually(async () => (socket.readyState === WebSocket.OPEN ? true : undefined), 15_000)),
    close: () => {
      closed = true;
      socket.close();
    },
  };
}

/** Of windows that have ended, each once. */
function finals(shown: Shown[], of: Shown['of']): Map<string, number> {
  const sums = new Map<string, number>();
  for (const one of shown)
    if (one.of === of && one.final) for (const [page, clicks] of Object.entries(one.pages)) sums.set(`${page} ${one.start}`, clicks);
  return sums;
}

function totals(sums: Map<string, number>): Map<string, number> {
  const pages = new Map<string, number>(PAGES.map((page) => [page, 0]));
  for (const [name, clicks] of sums) {
    const page = name.split(' ')[0]!;
    pages.set(page, (pages.get(page) ?? 0) + clicks);
  }
  return pages;
}

test('a page of the dashboard is served, and what is no click is refused', async () => {
  assert.match(await (await virga.fetch('click-stream', '/')).text(), /<title>Clicks<\/title>/);
  const response = await virga.fetch('click-stream', '/clicks', { method: 'POST', body: '[{"page": 7}]' });
  assert.equal(response.status, 400);
});

test('each click is counted once in its ten seconds, and in each minute that it is in', async () => {
  const view = dashboard();
  await view.opened();
  let random = SEED % 2_147_483_647 || 1;
  const next = (): number => (random = (random * 48_271) % 2_147_483_647) / 2_147_483_647;
  const clicked = new Map<string, number>(PAGES.map((page) => [page, 0]));
  for (let i = 0; i < 40; i++) {
    const clicks = Array.from({ length: 1 + Math.floor(next() * 20) }, () => ({
      page: PAGES[Math.floor(next() ** 2 * PAGES.length)]!,
      visitor: `visitor-${Math.floor(next() * 50)}`,
    }));
    const response = await virga.fetch('click-stream', '/clicks', { method: 'POST', body: JSON.stringify(clicks) });
    assert.equal(response.status, 202, await response.text());
    for (const { page } of clicks) clicked.set(page, clicked.get(page)! + 1);
    await new Promise((resolve) => setTimeout(resolve, next() * 60));
  }
  // Windows are ended by the clock: nothing comes any more.
  await eventually(async () => {
    const trends = totals(finals(view.shown, 'trend'));
    return [...clicked].every(([page, clicks]) => trends.get(page) === (clicks * TREND_MS) / SIZE_MS) ? true : undefined;
  }, 25_000).catch(() => assert.deepEqual(totals(finals(view.shown, 'trend')), clicked, `seed ${SEED}`));
  view.close();
  assert.deepEqual(totals(finals(view.shown, 'count')), clicked, `seed ${SEED}`);
  // While the clicks came it was told of sums that grew.
  assert.ok(view.shown.some(({ of, final }) => of === 'count' && !final));
});
