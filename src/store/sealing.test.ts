import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { loadNodeKey, Sealing } from './sealing.ts';

const key = randomBytes(32);
const sealing = new Sealing(key);

test('what was sealed opens with the same key and context, whatever it is', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 5_000 }), fc.string(), (bytes, context) => {
      const plain = Buffer.from(bytes);
      const sealed = sealing.seal(plain, context);
      assert.deepEqual(new Sealing(Buffer.from(key)).unseal(sealed, context), plain);
      assert.ok(plain.length < 8 || !sealed.includes(plain), 'the plain bytes can be seen');
    }),
  );
});

test('the same value sealed twice is not the same', () => {
  assert.notDeepEqual(sealing.seal(Buffer.from('a'), 'c'), sealing.seal(Buffer.from('a'), 'c'));
});

test('another context, another key and any changed byte keep it shut', () => {
  const sealed = sealing.seal(Buffer.from('private'), 'certificate:a');
  assert.throws(() => sealing.unseal(sealed, 'certificate:b'), /'certificate:b' was changed, or belongs elsewhere/);
  assert.throws(() => new Sealing(randomBytes(32)).unseal(sealed, 'certificate:a'), /sealed with another key.*VIRGA_SECRET_KEY/);
  for (let i = 0; i < sealed.length; i++) {
    const changed = Buffer.from(sealed);
    changed[i]! ^= 1;
    assert.throws(() => sealing.unseal(changed, 'certificate:a'), `byte ${i}`);
  }
  for (let length = 0; length < sealed.length; length++) assert.throws(() => sealing.unseal(sealed.subarray(0, length), 'certificate:a'));
});

test('the key of a node is made once, for its owner alone, by however many at once', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sealing-'));
  try {
    const keys = await Promise.all(Array.from({ length: 8 }, () => loadNodeKey(folder)));
    for (const one of keys) assert.deepEqual(one, keys[0]);
    assert.equal(keys[0]!.length, 32);
    assert.deepEqual(await readdir(folder), ['secret-key']);
    assert.equal((await stat(join(folder, 'secret-key'))).mode & 0o777, 0o600);
    assert.deepEqual(await loadNodeKey(folder), keys[0]);
    assert.equal((await readFile(join(folder, 'secret-key'), 'utf8')).trim(), keys[0]!.toString('base64'));
    await chmod(join(folder, 'secret-key'), 0o644);
    await assert.rejects(loadNodeKey(folder), /can be read by others/);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('a key that is given is used, and one that is none is said so without being shown', async () => {
  assert.deepEqual(await loadNodeKey('/nowhere', key.toString('base64')), key);
  await assert.rejects(loadNodeKey('/nowhere', 'too-short'), (error: Error) => {
    return /VIRGA_SECRET_KEY is no key/.test(error.message) && !error.message.includes('too-short');
  });
});
