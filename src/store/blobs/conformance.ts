// What every implementation of the Blobs port must do. Run by disk.test.ts, and by each further implementation's test.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import type { Blobs } from './blobs.ts';

const MAX = { maxBytes: 1_000_000 };

export function blobsConformance(name: string, make: () => Promise<Blobs & AsyncDisposable>): void {
  describe(`${name} blobs`, () => {
    test('what was put is read back, whole', async () => {
      await using blobs = await make();
      for (const size of [0, 1, 700_000]) {
        const { sha256, bytes } = sample(size);
        assert.deepEqual(await blobs.put(sha256, Readable.from([bytes.subarray(0, 5), bytes.subarray(5)]), MAX), {
          bytes: size,
          existed: false,
        });
        assert.equal(await blobs.has(sha256), true);
        assert.deepEqual(await buffer(await blobs.read(sha256)), bytes);
      }
    });

    test('putting what is there already succeeds and says so', async () => {
      await using blobs = await make();
      const { sha256, bytes } = sample(10);
      await blobs.put(sha256, Readable.from([bytes]), MAX);
      assert.deepEqual(await blobs.put(sha256, Readable.from([bytes]), MAX), { bytes: 10, existed: true });
    });

    test('the same blob put many times at once is stored once', async () => {
      await using blobs = await make();
      const { sha256, bytes } = sample(200_000);
      await Promise.all(Array.from({ length: 8 }, () => blobs.put(sha256, Readable.from([bytes]), MAX)));
      assert.deepEqual(await Array.fromAsync(blobs.list()), [{ sha256, bytes: 200_000 }]);
    });

    test('bytes of another hash are refused and leave nothing', async () => {
      await using blobs = await make();
      const { sha256 } = sample(10);
      await assert.rejects(blobs.put(sha256, Readable.from([Buffer.from('other')]), MAX), { code: 'artifact_invalid' });
      assert.deepEqual([await blobs.has(sha256), await Array.fromAsync(blobs.list())], [false, []]);
    });

    test('more bytes than allowed are refused and leave nothing', async () => {
      await using blobs = await make();
      const { sha256, bytes } = sample(2_000);
      await assert.rejects(blobs.put(sha256, Readable.from([bytes]), { maxBytes: 1_999 }), { code: 'artifact_too_large' });
      assert.equal(await blobs.has(sha256), false);
    });

    test('a source that breaks off leaves nothing', async () => {
      await using blobs = await make();
      const { sha256, bytes } = sample(2_000);
      async function* broken(): AsyncGenerator<Buffer> {
        yield bytes.subarray(0, 100);
        throw new Error('the client left');
      }
      await assert.rejects(blobs.put(sha256, Readable.from(broken()), MAX), /the client left/);
      assert.equal(await blobs.has(sha256), false);
    });

    test('an absent blob cannot be read, and deleting it is no error', async () => {
      await using blobs = await make();
      const { sha256 } = sample(1);
      await assert.rejects(blobs.read(sha256), { code: 'artifact_not_found' });
      await blobs.delete(sha256);
    });

    test('a deleted blob is gone', async () => {
      await using blobs = await make();
      const { sha256, bytes } = sample(9);
      await blobs.put(sha256, Readable.from([bytes]), MAX);
      await blobs.delete(sha256);
      assert.deepEqual([await blobs.has(sha256), await Array.fromAsync(blobs.list())], [false, []]);
    });

    test('a name that is no sha256 is refused, whatever it points at', async () => {
      await using blobs = await make();
      for (const wrong of ['../../etc/passwd', '', 'A'.repeat(64), `${'a'.repeat(63)}/`]) {
        await assert.rejects(async () => blobs.read(wrong), { code: 'artifact_invalid' });
        await assert.rejects(async () => blobs.put(wrong, Readable.from([]), MAX), { code: 'artifact_invalid' });
      }
    });
  });
}

function sample(size: number): { sha256: string; bytes: Buffer } {
  const bytes = randomBytes(size);
  return { bytes, sha256: createHash('sha256').update(bytes).digest('hex') };
}
