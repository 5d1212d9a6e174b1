// WebAssembly: examples/wasm (programs in C, WASI preview 1) deployed as it is, called over HTTP and by events; traps, limits, and
// what is refused at the deploy.
import assert from 'node:assert/strict';
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { inflateSync } from 'node:zlib';
import { eventually, ROOT, startVirga } from '../virga.ts';
import type { Virga } from '../virga.ts';

const EXAMPLE = join(ROOT, 'examples', 'wasm');
/** A program whose paths exercise one thing each; its source lies beside it. */
const PROBE = join(ROOT, 'src/runtimes/node/forms/wasm/probe/probe.wasm');
const EVENT = 'application/cloudevents+json';

let virga: Virga;
before(async () => {
  virga = await startVirga();
  const deployed = await virga.cli(['deploy', EXAMPLE]);
  assert.equal(deployed.code, 0, deployed.stderr);
  const probe = await virga.deploy({ 'virga.yaml': 'project: none\nfunctions: {}\n' });
  await copyFile(PROBE, join(probe.folder, 'probe.wasm'));
  const manifest =
    'project: probe\nfunctions:\n  probe: { source: probe.wasm, memory: 96 MiB, timeout: 2s, concurrency: 8, http: "/p/{rest+}" }\n';
  const written = await virga.cli(['deploy', await withManifest(probe.folder, manifest)]);
  assert.equal(written.code, 0, written.stderr);
});
after(async () => {
  await virga[Symbol.asyncDispose]();
});

async function withManifest(folder: string, manifest: string): Promise<string> {
  await writeFile(join(folder, 'virga.yaml'), manifest);
  return folder;
}

async function invoke(project: string, fn: string, data: string, type: string): Promise<{ code: number; stdout: string; stderr: string }> {
  return virga.cli(['invoke', fn, '--project', project, '--data', data, '--content-type', type]);
}

async function failure(path: string): Promise<{ status: number; code: string; message: string }> {
  const response = await virga.fetch('probe', path);
  const { error } = (await response.json()) as { error: { code: string; message: string } };
  return { status: response.status, code: error.code, message: error.message };
}

test('a form is read from stdin, a page from beside the program, and what is signed stays in /tmp', async () => {
  const post = (body: string): Promise<Response> =>
    virga.fetch('wasm', '/guestbook', {
      method: 'POST',
      body,
      redirect: 'manual',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    });
  const empty = await virga.fetch('wasm', '/guestbook');
  assert.deepEqual(
    [empty.status, empty.headers.get('content-type'), empty.headers.get('x-entries')],
    [200, 'text/html;charset=utf-8', '0'],
  );
  const signed = await post('name=x&text=Ada+%3Cwas%3E+here');
  assert.deepEqual([signed.status, signed.headers.get('location')], [303, '/guestbook']);
  const page = await (await virga.fetch('wasm', '/guestbook')).text();
  assert.match(page, /<h1>Who was here\?<\/h1>\n<ul>\n<li>Ada &lt;was> here\n<\/ul>/);
  const refused = await post('text=');
  assert.deepEqual([refused.status, await refused.text()], [422, 'write something into the field text\n']);
  assert.equal((await post(`text=${'x'.repeat(5000)}`)).status, 413);
  await eventually(async () =>
    (await virga.cli(['logs', 'guestbook', '--project', 'wasm'])).stdout.includes('signed: Ada <was> here') ? true : undefined,
  );
});

test('an event is read from stdin with its attributes as variables, and stdout is the result', async () => {
  const event = {
    specversion: '1.0',
    id: 'e1',
    source: '/projects/wasm/schedules/nightly',
    type: 'virga.schedule.due',
    data: { cron: '0 6 * * *' },
  };
  const { stdout, stderr } = await invoke('wasm', 'guestbook', JSON.stringify(event), EVENT);
  const { entries, at } = JSON.parse(stdout) as { entries: number; at: number };
  assert.equal(entries, 1);
  assert.ok(Math.abs(at * 1000 - Date.now()) < 10_000);
  assert.match(stderr, /virga\.schedule\.due of \/projects\/wasm\/schedules\/nightly/);
  const raw = await invoke('probe', 'probe', '{"a":[1]}', 'application/json');
  assert.deepEqual(JSON.parse(raw.stdout), { type: '', subject: '', contentType: 'application/json', bytes: '9', data: { a: [1] } });
});

test('a picture streams out of the program, row by row', async () => {
  const response = await virga.fetch('wasm', '/fractal?size=300&zoom=2');
  assert.equal(response.headers.get('content-type'), 'image/png');
  const png = Buffer.from(await response.arrayBuffer());
  assert.equal(png.toString('latin1', 1, 4), 'PNG');
  const data: Buffer[] = [];
  for (let at = 8; at < png.length; at += png.readUInt32BE(at) + 12)
    if (png.toString('latin1', at + 4, at + 8) === 'IDAT') data.push(png.subarray(at + 8, at + 8 + png.readUInt32BE(at)));
  const pixels = inflateSync(Buffer.concat(data));
  assert.equal(pixels.length, 300 * 301);
  assert.equal(pixels[150 * 301 + 151], 0, 'the middle is inside of the set');
  assert.equal((await virga.fetch('wasm', '/fractal?size=0')).status, 400);
  const drip = await virga.fetch('probe', '/p/drip');
  const chunks: string[] = [];
  for await (const chunk of drip.body!.pipeThrough(new TextDecoderStream())) chunks.push(chunk);
  assert.deepEqual([chunks.join(''), chunks.length > 1], ['drop 0\ndrop 1\ndrop 2\n', true]);
});

test('a body streams in and out, larger than what may wait on the way', async () => {
  const body = Buffer.alloc(3_000_000, 'abcdefgh');
  const response = await virga.fetch('probe', '/p/echo', { method: 'POST', body, headers: { 'content-type': 'text/x-own' } });
  assert.equal(response.headers.get('content-type'), 'text/x-own');
  assert.ok(Buffer.from(await response.arrayBuffer()).equals(body));
});

test('each call has an instance of its own, and programs that wait do so beside each other', async () => {
  const startedAt = performance.now();
  const texts = await Promise.all(Array.from({ length: 8 }, async () => (await virga.fetch('probe', '/p/drip')).text()));
  assert.ok(texts.every((text) => text === 'drop 0\ndrop 1\ndrop 2\n'));
  assert.ok(performance.now() - startedAt < 8 * 60, 'not one after the other');
  assert.equal(await (await virga.fetch('probe', '/p/calls')).text(), '1');
});

test('a trap, an exit, an answer without headers: each is the function’s error, with what there is to know', async () => {
  const trap = await failure('/p/trap');
  assert.deepEqual([trap.status, trap.code], [502, 'function_error']);
  await eventually(async () => {
    const { stdout } = await virga.cli(['logs', 'probe', '--project', 'probe']);
    return /RuntimeError: unreachable\n\s+at main \(wasm:\/\/wasm\/\w+:wasm-function\[\d+\]:0x\w+\)/.test(stdout) ? true : undefined;
  });
  assert.deepEqual((await failure('/p/exit')).code, 'function_error');
  await eventually(async () => {
    const { stdout } = await virga.cli(['logs', 'probe', '--project', 'probe']);
    return /no such note[^]*the program exited with 3/.test(stdout) ? true : undefined;
  });
  const wrong = await failure('/p/no-head');
  assert.deepEqual([wrong.status, wrong.code], [502, 'function_bad_response']);
  assert.match(wrong.message, /its stdout begins with 'hello there', which is no header/);
});

test('the memory and the time of a program are those of its function', async () => {
  const grown = await failure('/p/grow');
  assert.deepEqual([grown.status, grown.code], [502, 'function_out_of_memory']);
  const late = await failure('/p/sleep-forever');
  assert.deepEqual([late.status, late.code], [504, 'function_timeout']);
  const busy = await failure('/p/loop');
  assert.deepEqual([busy.status, busy.code], [504, 'function_timeout']);
  assert.equal(await (await virga.fetch('probe', '/p/calls')).text(), '1');
});

test('what ended runs have used does not add up', async () => {
  for (let i = 0; i < 40; i++)
    assert.equal(await (await virga.fetch('probe', '/p/touch')).text(), '1', `call ${i}, each with 16 MiB of 96`);
});

test('a module that cannot run here is refused at the deploy', async () => {
  const manifest = 'project: bad\nfunctions:\n  bad: { source: bad.wasm, http: / }\n';
  const text = await virga.deploy({ 'virga.yaml': manifest, 'bad.wasm': 'hello, world' });
  assert.match(text.stderr, /function 'bad' cannot be built: bad\.wasm cannot run: it is no WebAssembly/);
  const folder = (await virga.deploy({ 'virga.yaml': 'project: none\nfunctions: {}\n' })).folder;
  await withManifest(folder, manifest.replace('source: bad.wasm', 'source: bad.wasm, handler: main'));
  await writeFile(join(folder, 'bad.wasm'), await readFile(PROBE));
  assert.match((await virga.cli(['deploy', folder])).stderr, /bad\.wasm cannot run: it exports no function main; its functions are _start/);
});
