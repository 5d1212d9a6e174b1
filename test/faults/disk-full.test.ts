// A full disk: what writes fails with a clear error, nothing is half done, what is served goes on, and all is well again
// once there is room. The disk is a small tmpfs, so this needs the right to mount.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { startVirga } from '../system/virga.ts';
import { fill, mountDisk, needsRoot, unmountDisk } from './small-disk.ts';

const DISK_MIB = 400;
const PROJECT = {
  'virga.yaml': `
project: full
functions:
  f: { source: f.ts, include: [ballast.bin], http: [{ path: /f }] }
`,
  'f.ts': `export default { fetch: () => new Response('served') };`,
  'ballast.bin': '',
};

let disk: string;
before(async () => {
  if (needsRoot === false) disk = await mountDisk(DISK_MIB);
});
after(async () => {
  if (needsRoot === false) await unmountDisk(disk);
});

test('a deploy on a full disk fails as disk_full and changes nothing; with room again it succeeds', { skip: needsRoot }, async () => {
  const dataFolder = join(disk, 'data');
  mkdirSync(dataFolder);
  await using virga = await startVirga({ dataFolder });
  const deployed = await virga.deploy(PROJECT);
  assert.equal(deployed.code, 0, deployed.stderr);
  assert.equal(await (await virga.fetch('full', '/f')).text(), 'served');

  const empty = fill(disk);
  const ballast = randomBytes(4 * 1024 * 1024).toString('base64');
  const refused = await virga.deploy({ ...PROJECT, 'ballast.bin': ballast });
  assert.equal(refused.code, 1, refused.stdout);
  assert.match(refused.stderr, /disk/);
  assert.match(refused.stderr, /full/);
  // What was deployed is served all the while, also by a new instance.
  for (let i = 0; i < 5; i++) assert.equal(await (await virga.fetch('full', '/f')).text(), 'served');

  empty();
  const until = Date.now() + 20_000;
  for (;;) {
    const again = await virga.deploy({ ...PROJECT, 'ballast.bin': ballast });
    if (again.code === 0) break;
    // Postgres may have stopped over the full disk; it is back within its backoff.
    assert.ok(Date.now() < until, again.stderr);
  }
  const versions = await virga.cli(['versions', 'f', '--project', 'full', '--json']);
  assert.equal(versions.json<unknown[]>().length, 2);
  await virga.stop();
});

test('a start on a full disk says so', { skip: needsRoot }, async () => {
  const empty = fill(disk);
  await assert.rejects(startVirga({ dataFolder: join(disk, 'other') }), /disk.*full/s);
  empty();
});
