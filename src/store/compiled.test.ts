import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { RuntimeName } from '../protocol/settings.ts';
import { CompiledFolders } from './compiled.ts';
import type { CompiledFile } from './compiled.ts';

const A = 'a'.repeat(64);
const B = 'b'.repeat(64);
const LARGE = Buffer.alloc(5_000, 'x');

class Place implements AsyncDisposable {
  readonly folder: string;
  readonly compiled: CompiledFolders;
  readonly asked: string[] = [];
  readonly lines: string[] = [];
  build = '0123456789abcdef';
  result: CompiledFile[] | { problem: string } | Error = [{ name: '0012abcd', content: LARGE }];

  static async make(): Promise<Place> {
    return new Place(await mkdtemp(join(tmpdir(), 'virga-compiled-')));
  }

  constructor(folder: string) {
    this.folder = folder;
    this.compiled = new CompiledFolders({
      folder,
      build: (runtime) => (runtime === 'nodejs24' ? null : this.build),
      compile: async (artifact, runtime) => {
        this.asked.push(`${artifact.slice(0, 1)} ${runtime}`);
        if (this.result instanceof Error) throw this.result;
        return this.result;
      },
      bytesMax: 20_000,
      log: (text) => this.lines.push(text),
    });
  }

  /** What lies there of an artifact. */
  async names(artifact = A): Promise<string[]> {
    return (await readdir(join(this.folder, artifact)).catch((): string[] => [])).toSorted();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true });
  }
}

test('an artifact is compiled once, and what was made is found, readable by anyone and writable by none', async () => {
  await using place = await Place.make();
  assert.equal(place.compiled.find(A, 'nodejs26'), null);
  const [first, second] = await Promise.all([place.compiled.ensure(A, 'nodejs26'), place.compiled.ensure(A, 'nodejs26')]);
  assert.equal(first, join(place.folder, A, 'nodejs26-0123456789abcdef'));
  assert.equal(second, first);
  assert.equal(place.compiled.find(A, 'nodejs26'), first);
  assert.equal(await place.compiled.ensure(A, 'nodejs26'), first);
  assert.deepEqual(place.asked, ['a nodejs26']);
  assert.deepEqual(readFileSync(join(first, '0012abcd')), LARGE);
  assert.deepEqual([statSync(first).mode & 0o777, statSync(join(first, '0012abcd')).mode & 0o777], [0o755, 0o444]);
});

test('what another build of the runtime made is not found, and is swept', async () => {
  await using place = await Place.make();
  await place.compiled.ensure(A, 'nodejs26');
  place.build = 'fedcba9876543210';
  assert.equal(place.compiled.find(A, 'nodejs26'), null);
  await mkdir(join(place.folder, 'artifacts', A), { recursive: true });
  assert.equal(await place.compiled.sweep(join(place.folder, 'artifacts'), ['nodejs26', 'nodejs24']), 1);
  assert.deepEqual(await place.names(), []);
  assert.equal(place.compiled.find(A, 'nodejs24'), null, 'a runtime that is not there');
});

test('what is left of an artifact that is gone is swept; the others stay', async () => {
  await using place = await Place.make();
  await place.compiled.ensure(A, 'nodejs26');
  await place.compiled.ensure(B, 'nodejs26');
  await mkdir(join(place.folder, 'artifacts', B), { recursive: true });
  assert.equal(await place.compiled.sweep(join(place.folder, 'artifacts'), ['nodejs26']), 1);
  assert.deepEqual([existsSync(join(place.folder, A)), await place.names(B)], [false, ['nodejs26-0123456789abcdef']]);
});

test('discarded after a crash, it is not found and not made again', async () => {
  await using place = await Place.make();
  await place.compiled.ensure(A, 'nodejs26');
  const discarded = place.compiled.discard(A, 'nodejs26');
  assert.equal(place.compiled.find(A, 'nodejs26'), null, 'from now on, not only once it is removed');
  await discarded;
  assert.equal(await place.compiled.ensure(A, 'nodejs26'), null);
  assert.deepEqual([place.asked.length, await place.names()], [1, ['nodejs26-0123456789abcdef.none']]);
  assert.match(place.lines[0]!, /crashed/);
});

const REFUSED: [what: string, runtime: RuntimeName, files: CompiledFile[] | { problem: string }, reason: RegExp][] = [
  ['a name that is a path, of Node', 'nodejs26', [{ name: '../12345678', content: LARGE }], /name/],
  ['a name that leads out, of Python', 'python3', [{ name: 'a/../../b.pyc', content: LARGE }], /name/],
  ['an absolute name', 'python3', [{ name: '/etc/b.pyc', content: LARGE }], /name/],
  ['a name that is no .pyc', 'python3', [{ name: 'a/b.py', content: LARGE }], /name/],
  ['one name twice', 'nodejs26', Array.from({ length: 2 }, () => ({ name: '12345678', content: LARGE })), /one name/],
  ['too many bytes', 'nodejs26', [{ name: '12345678', content: Buffer.alloc(20_001) }], /too many/],
  ['too few to be worth a look', 'nodejs26', [{ name: '12345678', content: Buffer.alloc(100) }], /not worth/],
  ['nothing', 'nodejs26', [], /not worth/],
  ['a problem of the artifact', 'nodejs26', { problem: 'it hangs' }, /it hangs/],
];

for (const [what, runtime, files, reason] of REFUSED) {
  test(`${what}: nothing is kept but the reason, and it is not tried again`, async () => {
    await using place = await Place.make();
    place.result = files;
    assert.equal(await place.compiled.ensure(A, runtime), null);
    assert.equal(await place.compiled.ensure(A, runtime), null);
    assert.deepEqual([place.asked.length, await readdir(place.folder), await place.names()], [1, [A], [`${runtime}-${place.build}.none`]]);
    assert.match(readFileSync(join(place.folder, A, `${runtime}-${place.build}.none`), 'utf8'), reason);
  });
}

test('a failure that is not the artifact’s is logged, and the next time may do better', async () => {
  await using place = await Place.make();
  const good = place.result;
  place.result = new Error('no room for a sandbox');
  assert.equal(await place.compiled.ensure(A, 'nodejs26'), null);
  assert.match(place.lines[0]!, /no room/);
  place.result = good;
  assert.notEqual(await place.compiled.ensure(A, 'nodejs26'), null);
});

test('Python’s files lie in folders like their sources', async () => {
  await using place = await Place.make();
  place.result = [
    { name: 'main.pyc', content: LARGE },
    { name: '.packages/yaml/a b.pyc', content: LARGE },
  ];
  const folder = (await place.compiled.ensure(A, 'python3'))!;
  assert.deepEqual(readFileSync(join(folder, '.packages/yaml/a b.pyc')), LARGE);
});
