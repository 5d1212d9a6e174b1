// A function that goes for the kernel (attacks/kernel.ts): each attack is answered by the wall, and a function of another
// project beside it does not notice. Most are also run once without the filter, with every right in a user namespace of
// their own: there the answer must be another one, or the attack would prove nothing.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { promisify } from 'node:util';
import { ROOT } from '../system/virga.ts';
import { ATTACKS } from './attacks/kernel.ts';
import { attackFiles, startNeighbourhood } from './neighbour.ts';
import type { Neighbourhood } from './neighbour.ts';

const MANIFEST = `
project: hostile
functions:
  kernel: { source: run.ts, timeout: 10s, http: [{ path: '/kernel/{name}' }] }
`;
const UNFILTERED = [
  ...['--unshare-user', '--uid', '0', '--gid', '0', '--unshare-ipc', '--unshare-pid', '--unshare-net', '--unshare-uts', '--unshare-cgroup'],
  // Read-only where a write would be the machine's: an attack that comes through here must change nothing.
  ...[
    '--cap-add',
    'ALL',
    '--die-with-parent',
    '--ro-bind',
    '/',
    '/',
    '--dev',
    '/dev',
    '--proc',
    '/proc',
    '--remount-ro',
    '/proc',
    '--tmpfs',
    '/tmp',
  ],
];

async function withoutFilter(name: string): Promise<string> {
  const command = [join(ROOT, 'bin/node'), '--disable-warning=ExperimentalWarning', join(import.meta.dirname, 'attacks/run.ts'), name];
  const { stdout } = await promisify(execFile)('bwrap', [...UNFILTERED, ...command], { timeout: 10_000 });
  return stdout;
}

suite('attacks on the kernel', () => {
  let neighbourhood: Neighbourhood;
  before(async () => {
    neighbourhood = await startNeighbourhood({ 'virga.yaml': MANIFEST, ...attackFiles('run.ts', 'kernel.ts', 'system-call.ts') });
  });
  after(() => neighbourhood[Symbol.asyncDispose]());

  for (const [name, { tries, holds, notCompared }] of Object.entries(ATTACKS)) {
    test(`${name}: ${tries}`, async () => {
      const compared = notCompared === undefined ? withoutFilter(name) : '';
      const [{ text }, unfiltered] = await Promise.all([neighbourhood.attack(`/kernel/${name}`), compared]);
      assert.match(text, holds);
      assert.doesNotMatch(unfiltered, holds, 'it fails in the same way without the filter');
    });
  }

  test('and there are enough of them', () => {
    assert.ok(Object.keys(ATTACKS).length >= 40);
  });
});
