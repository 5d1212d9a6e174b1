import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
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
  const owner = spawn(process.execPath, ['--input-type=module-typescript', '-e', program, folder], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(owner.stdout, 'data')) as [Buffer];
  const pid = Number(line.toString());
  process.kill(pid, 0); // alive
  const killedAt = performance.now();
  owner.kill('SIGKILL');
  await once(owner, 'exit');
  // Starting waits for the lock that every process of the old server holds: once it is ready, none of them is left.
  const server = await embedded.start();
  assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
  assert.ok(performance.now() - killedAt < 5_000);
  await server.stop();
});

test('whoever still holds the cluster of an earlier Virga is killed', async () => {
  const leftover = spawn('flock', ['--no-fork', join(folder, 'postgres.lock'), 'sleep', '600'], { stdio: 'ignore' });
  await once(leftover, 'spawn');
  const ended = once(leftover, 'exit');
  // flock has the lock once it has become sleep.
  while ((await query('select 1').catch(() => undefined)) !== undefined);
  const server = await embedded.start();
  assert.deepEqual(await ended, [null, 'SIGKILL']);
  assert.ok(logged.some((text) => text.includes(`killed what was left of an earlier Postgres: ${leftover.pid}`)));
  await server.stop();
});

test('behind its walls the server reaches no network, no file of the host, and is not root', { skip: !isWalled() }, async () => {
  assert.equal(embedded.walls, 'bubblewrap');
  const server = await embedded.start();
  await writeFile(join(folder, 'secret'), 'x');
  try {
    const [{ uid, interfaces, host }] = (await query(`
      create temporary table seen (line text);
      copy seen from program 'id -u; tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d " " | paste -sd,; ls ${import.meta.dirname} /root /home 2>&1 | grep -c "No such"';
      select (select line from seen limit 1) as uid, (select line from seen offset 1 limit 1) as interfaces, (select line from seen offset 2 limit 1) as host`).catch(
      () => [],
    )) as [{ uid: string; interfaces: string; host: string }];
    assert.deepEqual({ uid, interfaces, host }, { uid: '65534', interfaces: 'lo', host: '3' });
  } finally {
    await server.stop();
  }
});

test('a cluster of another major version is refused, naming both and the remedy', async () => {
  const old = await mkdtemp(join(tmpdir(), 'virga-embedded-'));
  await mkdir(join(old, 'postgres'));
  await writeFile(join(old, 'postgres', 'PG_VERSION'), '9\n');
  await assert.rejects(prepare(old), { code: 'unavailable', message: /made by PostgreSQL 9.*version 18\..*install postgresql-9/ });
  await rm(old, { recursive: true });
});

test('a folder that cannot be written is named, and nothing is left of the attempt', { skip: !isWalled() }, async () => {
  const closed = await mkdtemp(join(tmpdir(), 'virga-embedded-'));
  await writeFile(join(closed, 'postgres.lock'), '');
  await writeFile(join(closed, 'postgres.new'), 'a file of somebody else');
  const made = await prepare(closed);
  assert.equal(made.created, true);
  assert.deepEqual((await readdir(closed)).sort(), ['postgres', 'postgres.lock']);
  await rm(closed, { recursive: true });
});

test('without bubblewrap it runs directly, as another user when we are root, or says what is closed to that user', async () => {
  const open = await mkdtemp(join(tmpdir(), 'virga-embedded-'));
  const attempt = prepare(join(open), true);
  if (root) await assert.rejects(attempt, { code: 'unavailable', message: new RegExp(`cannot reach ${open}|cannot reach .*: .* is closed to it`) });
  else {
    const direct = await attempt;
    const server = await direct.start();
    assert.equal(direct.walls, 'direct');
    await server.stop();
  }
  await rm(open, { recursive: true, force: true });
});

function isWalled(): boolean {
  return process.platform === 'linux';
}
