import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import pg from 'pg';
import { postgresConnection } from '../postgres.ts';
import { prepareEmbedded } from './embedded.ts';
import type { EmbeddedPostgres } from './embedded.ts';

const root = process.getuid?.() === 0;
const logged: string[] = [];
let folder: string;
let embedded: EmbeddedPostgres;

function prepare(at: string, direct = false): Promise<EmbeddedPostgres> {
  return prepareEmbedded({
    cluster: join(at, 'postgres'),
    socketFolder: at,
    fsync: false,
    direct,
    onLog: (severity, text) => logged.push(`${severity}: ${text}`),
  });
}

async function query<R extends pg.QueryResultRow>(text: string): Promise<R[]> {
  const client = new pg.Client(postgresConnection({ postgresUrl: null, runFolder: folder }));
  await client.connect();
  try {
    return (await client.query<R>(text)).rows;
  } finally {
    await client.end();
  }
}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'virga-embedded-'));
  embedded = await prepare(folder);
});
after(() => rm(folder, { recursive: true, force: true }));

test('the cluster is created once, and what was written survives stop and start', async () => {
  assert.equal(embedded.created, true);
  const first = await embedded.start();
  await query('create table kept (x integer); insert into kept values (7);');
  await first.stop();
  assert.deepEqual(await first.exited, { code: 0, signal: null });
  const again = await prepare(folder);
  assert.equal(again.created, false);
  const second = await again.start();
  assert.deepEqual(await query('select x from kept'), [{ x: 7 }]);
  await second.stop();
});

test('after a crash the next start recovers what was committed, past the stale pid file and socket', async () => {
  const first = await embedded.start();
  await query('insert into kept values (8)');
  first.kill();
  await first.exited;
  assert.ok((await readdir(join(folder, 'postgres'))).includes('postmaster.pid'));
  assert.ok((await readdir(folder)).includes('.s.PGSQL.5432'));
  const second = await embedded.start();
  assert.deepEqual(await query('select x from kept order by x'), [{ x: 7 }, { x: 8 }]);
  await second.stop();
});

test('the server ends with the process that started it, however that ends, and the next one starts', async () => {
  // A process of its own, so that it can be killed as kill -9 kills the supervisor.
  const program = `
    import { prepareEmbedded } from ${JSON.stringify(join(import.meta.dirname, 'embedded.ts'))};
    const embedded = await prepareEmbedded({ cluster: process.argv[1] + '/postgres', socketFolder: process.argv[1], fsync: false, onLog: () => {} });
    const server = await embedded.start();
    console.log(server.pid);`;
  const owner = spawn(process.execPath, ['--input-type=module-typescript', '-e', program, folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(owner.stdout, 'data')) as [Buffer];
  const pid = Number(line.toString());
  process.kill(pid, 0); // alive
  const killedAt = performance.now();
  owner.kill('SIGKILL');
  await once(owner, 'exit');
  // Starting waits for the lock that every process of the old server holds: once it is ready, none of them is left.
  const server = await embedded.start();
  const readyMs = performance.now() - killedAt;
  await server.stop();
  assert.ok(readyMs < 5_000, `${readyMs} ms`);
  // Dead for sure; only its exit status may still wait to be collected by whoever inherited it.
  const state = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => 'gone');
  assert.match(state, /^(?:gone|\d+ \(postgres\) [ZX] )/);
});

test('whoever still holds the cluster of an earlier Virga is killed', async () => {
  // It says so once it has the lock.
  const leftover = spawn('flock', ['--no-fork', join(folder, 'postgres.lock'), 'sh', '-c', 'echo held; exec sleep 600'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  await once(leftover.stdout, 'data');
  const ended = once(leftover, 'exit');
  const server = await embedded.start();
  await server.stop();
  assert.deepEqual(await ended, [null, 'SIGKILL']);
  assert.deepEqual(
    logged.filter((line) => line.includes('left of an earlier')),
    [`WARNING: killed what was left of an earlier Postgres: ${leftover.pid}`],
  );
});

test(
  'behind its walls the server reaches no network, no file of the host, and is not root',
  { skip: process.platform !== 'linux' },
  async () => {
    assert.equal(embedded.walls, 'bubblewrap');
    const server = await embedded.start();
    const client = new pg.Client(postgresConnection({ postgresUrl: null, runFolder: folder }));
    await client.connect();
    try {
      const shell = `id -u; cut -d: -f1 /proc/net/dev | tail -n +3 | tr -d " "; ls ${import.meta.dirname} /boot /etc/shadow 2>&1 | grep -c "No such file"; touch /usr/x 2>&1 | grep -c Read-only`;
      await client.query('create temporary table seen (line text)');
      await client.query(`copy seen from program '${shell}'`);
      const { rows } = await client.query<{ line: string }>('select line from seen');
      assert.deepEqual(
        rows.map(({ line }) => line),
        ['65534', 'lo', '3', '1'],
      );
    } finally {
      await client.end();
      await server.stop();
    }
  },
);

test('a cluster of another major version is refused, naming both and the remedy', async () => {
  const old = await mkdtemp(join(tmpdir(), 'virga-embedded-'));
  await mkdir(join(old, 'postgres'));
  await writeFile(join(old, 'postgres', 'PG_VERSION'), '9\n');
  await assert.rejects(prepare(old), { code: 'unavailable', message: /made by PostgreSQL 9.*version 18\..*install postgresql-9/ });
  await rm(old, { recursive: true });
});

test('what a crash left of a first attempt is no obstacle, and nothing is left of it', async () => {
  const begun = await mkdtemp(join(tmpdir(), 'virga-embedded-'));
  await mkdir(join(begun, 'postgres.new'));
  await writeFile(join(begun, 'postgres.new', 'PG_VERSION'), '18\n');
  assert.equal((await prepare(begun)).created, true);
  assert.deepEqual((await readdir(begun)).sort(), ['postgres', 'postgres.lock']);
  await rm(begun, { recursive: true });
});

test('without bubblewrap root gives the server to another user, or says which folder is closed to that user', { skip: !root }, async () => {
  // Not in the test run's own temporary folder, which is closed to other users.
  const outer = await mkdtemp('/var/tmp/virga-embedded-');
  const place = join(outer, 'data');
  await mkdir(place, { mode: 0o700 });
  try {
    const refusal = await prepare(place, true).then(
      () => assert.fail('it was not refused'),
      (error: Error) => error.message,
    );
    // In a clone below a closed folder (/root) the programs themselves are out of reach, and that is said first.
    if (/cannot reach \S+native\/bin: \S+ is closed/.test(refusal)) return;
    assert.match(refusal, new RegExp(`cannot reach ${place}: ${outer} is closed to it`));
    await chmod(outer, 0o711);
    const direct = await prepare(place, true);
    assert.equal(direct.walls, 'direct');
    const server = await direct.start();
    const status = await readFile(`/proc/${server.pid}/status`, 'utf8');
    await server.stop();
    assert.doesNotMatch(status, /^Uid:\s+0\s/m);
    assert.equal((await stat(place)).mode & 0o007, 0);
  } finally {
    await rm(outer, { recursive: true });
  }
});

test('without bubblewrap a user who is not root runs it directly', { skip: root }, async () => {
  const place = await mkdtemp(join(tmpdir(), 'virga-embedded-'));
  const direct = await prepare(place, true);
  assert.equal(direct.walls, 'direct');
  const server = await direct.start();
  await server.stop();
  await rm(place, { recursive: true });
});
