// A function that goes for what is not its own (attacks/reach.ts): code, secrets and files of others, processes and sockets of
// the host. What it looks for is really there: each target is first reached from outside of the sandbox.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import type { Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { descendants } from '../system/virga.ts';
import { ATTACKS } from './attacks/reach.ts';
import { SECRET, attackFiles, startNeighbourhood } from './neighbour.ts';
import type { Neighbourhood } from './neighbour.ts';

const MANIFEST = `
project: hostile
functions:
  reach: { source: reach.ts, timeout: 15s, http: [{ path: '/reach/{name}' }] }
  sibling: { source: sibling.ts, env: { SECRET: 'the sibling has 0815' }, http: [{ path: /sibling }] }
`;
const SIBLING = `export default { fetch: () => new Response(String(process.env['SECRET'])) };`;
const ABSTRACT = `virga-host-${process.pid}`;

suite('attacks on what others have', () => {
  let neighbourhood: Neighbourhood;
  let door: Server;
  const folder = mkdtempSync(join(tmpdir(), 'virga-reach-'));
  const kept = join(folder, 'kept');
  const shared = `/dev/shm/virga-reach-${process.pid}`;
  before(async () => {
    neighbourhood = await startNeighbourhood({ 'virga.yaml': MANIFEST, 'sibling.ts': SIBLING, ...attackFiles('reach.ts') });
    writeFileSync(kept, SECRET, { mode: 0o644 });
    if (existsSync('/dev/shm')) writeFileSync(shared, SECRET, { mode: 0o644 });
    door = createServer((socket) => socket.end()).listen(`\0${ABSTRACT}`);
    await once(door, 'listening');
    assert.equal(await (await neighbourhood.virga.fetch('hostile', '/sibling')).text(), 'the sibling has 0815');
  });
  after(async () => {
    door.close();
    rmSync(folder, { recursive: true });
    rmSync(shared, { force: true });
    await neighbourhood[Symbol.asyncDispose]();
  });

  /** What an attack looks for, after it has been found from here. */
  async function targetOf(name: string): Promise<string> {
    const { virga } = neighbourhood;
    const run = join(virga.dataFolder, 'run');
    const socket = async (file: string): Promise<string> => (await opens(join(run, file)), join(run, file));
    switch (name) {
      case 'operator-token':
        assert.equal(readFileSync(join(virga.dataFolder, 'operator-token'), 'utf8').trim(), virga.token);
        return virga.dataFolder;
      case 'data-folder':
      case 'through-process-1':
      case 'through-working-folder':
        assert.ok(readdirSync(virga.dataFolder).includes('artifacts'));
        return virga.dataFolder;
      case 'other-artifacts':
        assert.ok(
          readdirSync(join(virga.dataFolder, 'artifacts'), { recursive: true, withFileTypes: true }).some(
            (entry) => entry.isFile() && readFileSync(join(entry.parentPath, entry.name), 'utf8').includes(SECRET),
          ),
        );
        return SECRET;
      case 'environments':
        return 'the sibling has 0815';
      case 'process-of-host':
      case 'signal-host': {
        const guest = descendants(virga.process.pid!).findLast(({ command }) => command.includes('guest.cjs'))!;
        assert.ok(process.kill(guest.pid, 0));
        return String(guest.pid);
      }
      case 'temporary-files':
        return kept;
      case 'shared-memory':
        return shared;
      case 'socket-of-edge':
        return socket('edge.sock');
      case 'socket-of-launcher':
        return socket('launcher.sock');
      case 'socket-of-channels':
        return socket('channels.sock');
      case 'socket-of-postgres':
        return socket('.s.PGSQL.5432');
      case 'abstract-of-host':
        await opens(`\0${ABSTRACT}`);
        return ABSTRACT;
      case 'abstract-of-neighbour':
        assert.equal(await (await virga.fetch('neighbour', '/victim?n=door')).text(), 'open to itself');
        return '';
      default:
        return '';
    }
  }

  async function opens(path: string): Promise<void> {
    const socket = connect(path);
    await once(socket, 'connect');
    socket.destroy();
  }

  for (const [name, { tries, holds }] of Object.entries(ATTACKS)) {
    test(`${name}: ${tries}`, async () => {
      const target = await targetOf(name);
      const { status, text } = await neighbourhood.attack(`/reach/${name}?target=${encodeURIComponent(target)}`);
      // Who ends everything in its sandbox ends itself.
      if (name === 'signal-all' && status === 502) return;
      assert.match(text, holds);
      assert.equal(await (await neighbourhood.virga.fetch('hostile', '/sibling')).text(), 'the sibling has 0815');
    });
  }

  test('two sandboxes have not the same user on the host', { skip: process.getuid?.() !== 0 }, () => {
    const guests = descendants(neighbourhood.virga.process.pid!).filter(({ command }) => /^\/runtime\/node .*guest\.cjs/.test(command));
    const uids = guests.map(({ pid }) => String(/^Uid:\t(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]));
    assert.ok(uids.length >= 2 && new Set(uids).size === uids.length, uids.join());
    for (const uid of uids) assert.ok(Number(uid) >= 2_000_000, uid);
  });
});
