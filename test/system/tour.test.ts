// The tour, as `npm start` deploys it, called over HTTP with the files of the repository.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ROOT, startVirga } from './virga.ts';
import type { Virga } from './virga.ts';

const TOUR = join(ROOT, 'examples', 'tour');

let virga: Virga;
before(async () => {
  virga = await startVirga();
  const deployed = await virga.cli(['deploy', TOUR]);
  assert.equal(deployed.code, 0, deployed.stderr);
});
after(async () => {
  await virga[Symbol.asyncDispose]();
});

test('the hello answers', async () => {
  const response = await virga.fetch('tour', '/hello/Ada');
  assert.equal(response.status, 200);
  assert.match(await response.text(), /Ada/);
});

test('a note is written, read, listed, replaced and deleted', async () => {
  const put = (text: string): Promise<Response> =>
    virga.fetch('tour', '/notes/7', { method: 'PUT', body: JSON.stringify({ text }), headers: { 'content-type': 'application/json' } });
  assert.equal((await put('milk')).status, 201);
  assert.match(await (await virga.fetch('tour', '/notes/7')).text(), /milk/);
  assert.equal((await put('bread')).status, 200);
  assert.match(await (await virga.fetch('tour', '/notes')).text(), /bread/);
  assert.equal((await virga.fetch('tour', '/notes/7', { method: 'DELETE' })).status, 204);
  assert.equal((await virga.fetch('tour', '/notes/7')).status, 404);
});

test('the statistics of a real CSV are right', async () => {
  const csv = await readFile(join(TOUR, 'data', 'cities.csv'));
  const response = await virga.fetch('tour', '/stats', { method: 'POST', body: csv, headers: { 'content-type': 'text/csv' } });
  assert.equal(response.status, 200);
  const answer = JSON.stringify(await response.json());
  const rows = csv.toString().trim().split('\n').slice(1);
  assert.ok(answer.includes(String(rows.length)), answer.slice(0, 500));
  assert.match(answer, /population/);
  const wrong = await virga.fetch('tour', '/stats', { method: 'POST', body: csv, headers: { 'content-type': 'image/png' } });
  assert.equal(wrong.status, 415);
});

test('the thumbnail of a real JPEG is a WebP of the width asked for', async () => {
  const photo = await readFile(join(TOUR, 'data', 'photo.jpg'));
  const response = await virga.fetch('tour', '/thumbnail?width=120', {
    method: 'POST',
    body: photo,
    headers: { 'content-type': 'image/jpeg' },
  });
  assert.equal(response.status, 200, await response.clone().text());
  assert.equal(response.headers.get('content-type'), 'image/webp');
  const webp = Buffer.from(await response.arrayBuffer());
  assert.equal(webp.toString('latin1', 0, 4), 'RIFF');
  assert.equal(webp.toString('latin1', 8, 12), 'WEBP');
});
