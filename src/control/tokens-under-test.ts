// Cases of control.integration.test.ts. The life of the operator token.
import assert from 'node:assert/strict';
import { chmod, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { StartControl, TestControl } from './fixture.ts';
import { TokenMemory } from './token-memory.ts';
import { authenticate, ensureOperatorToken } from './tokens.ts';

export function tokenCases(start: StartControl): void {
  describe('the operator token', () => {
    let control: TestControl;
    let file: string;
    before(async () => {
      control = await start();
      file = join(control.folder, 'operator-token');
    });
    after(async () => {
      await control[Symbol.asyncDispose]();
    });

    const ensure = (): Promise<void> => ensureOperatorToken(control.records, file, control.needs.log);
    const token = async (): Promise<string> => (await readFile(file, 'utf8')).trim();
    const works = (secret: string): Promise<boolean> =>
      authenticate(control.records, `Bearer ${secret}`).then(
        () => true,
        () => false,
      );

    test('the first start makes a token that only its owner can read, and stores only its hash', async () => {
      assert.match(await token(), /^vrg_[A-Za-z0-9_-]{43}$/);
      assert.equal((await stat(file)).mode & 0o777, 0o600);
      const { rows } = await control.records.query('select * from tokens');
      assert.equal(rows.length, 1);
      assert.ok(!JSON.stringify(rows).includes((await token()).slice(4)));
      assert.deepEqual(
        (await readdir(control.folder)).filter((name) => name.endsWith('.tmp')),
        [],
      );
    });

    test('a token is asked for once a second, and refused within one when it stops working', async () => {
      let queries = 0;
      let nowMs = 0;
      const { records } = control;
      const counted = { ...records, query: <R>(text: string, values?: unknown[]) => (queries++, records.query<R>(text, values)) };
      const memory = new TokenMemory(counted, () => nowMs);
      const secret = await token();
      const ask = (): Promise<boolean> =>
        memory.authenticate(`Bearer ${secret}`).then(
          () => true,
          () => false,
        );
      assert.deepEqual(await Promise.all([ask(), ask(), ask()]), [true, true, true]);
      assert.equal(queries, 1);
      await records.query("update tokens set hash = '\\x00'");
      nowMs = 999;
      assert.equal(await ask(), true);
      nowMs = 1_000;
      assert.equal(await ask(), false);
      await ensure();
      // What was refused is not remembered.
      assert.equal(await ask(), true);
      assert.equal(queries, 3);
    });

    test('later starts keep the token', async () => {
      const earlier = await token();
      await ensure();
      assert.equal(await token(), earlier);
      assert.ok(await works(earlier));
    });

    test('a lost file is replaced by a new token, and the old one stops working', async () => {
      const earlier = await token();
      await rm(file);
      await ensure();
      assert.notEqual(await token(), earlier);
      assert.ok(await works(await token()));
      assert.equal(await works(earlier), false);
    });

    test('a file that the records do not know is taken as it is', async () => {
      await control.records.query('delete from tokens');
      await ensure();
      assert.ok(await works(await token()));
    });

    test('a file that others can read is closed, and one without a token replaced, both told in the log', async () => {
      await chmod(file, 0o644);
      await ensure();
      assert.equal((await stat(file)).mode & 0o777, 0o600);
      await writeFile(file, 'oops');
      await ensure();
      assert.ok(await works(await token()));
      assert.ok(control.log.some((line) => line.includes('could be read by others')));
      assert.ok(control.log.some((line) => line.includes('something else')));
    });
  });
}
