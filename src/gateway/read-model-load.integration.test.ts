// What the edge makes of the records, from a real Postgres: what did not change is not made again, and which versions are served.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { testVersion } from '../functions/testing.ts';
import type { ProjectState } from '../protocol/settings.ts';
import { startTestPostgres } from '../store/records/testing.ts';
import type { TestDatabase, TestPostgres } from '../store/records/testing.ts';
import { loadProjects } from './read-model-load.ts';
import { ReadModel } from './read-model.ts';
import type { RouteSource } from './stage.ts';

let postgres: TestPostgres;
let database: TestDatabase;
before(async () => {
  postgres = await startTestPostgres();
  database = await postgres.database();
});
after(async () => {
  await database[Symbol.asyncDispose]();
  await postgres[Symbol.asyncDispose]();
});

const ARTIFACT = 'a'.repeat(64);

async function deploy(project: string, state: ProjectState): Promise<void> {
  const sql = database.records;
  await sql.query('insert into artifacts (sha256, bytes) values ($1, 1) on conflict do nothing', [ARTIFACT]);
  await sql.query('insert into projects (name) values ($1) on conflict do nothing', [project]);
  await sql.query(
    `insert into versions (project, function, number, artifact, settings, fingerprint)
     select $1, 'f', n, $2, $3, n::text from generate_series(1, 3) n on conflict do nothing`,
    [project, ARTIFACT, JSON.stringify(testVersion().settings)],
  );
  await sql.query(
    `with made as (insert into deployments (project, kind, state, created_by) values ($1, 'deploy', $2, 'test') returning id)
     update projects set current_deployment = made.id from made where name = $1`,
    [project, JSON.stringify(state)],
  );
}

const stateOf = (path: string, traffic: object = {}): ProjectState => ({
  functions: { f: { version: 3, ...traffic } },
  routes: [{ path, methods: null, function: 'f' }],
});

test('a deployment of one project compiles no route of another, and takes up its own', async () => {
  const model = new ReadModel();
  const compiled: string[] = [];
  const load = async (): Promise<string[]> => {
    compiled.length = 0;
    const stages = ({ project, route }: RouteSource): undefined => void compiled.push(`${project} ${route.path}`);
    model.replaceAll(await loadProjects(database.records, { stages, local: () => undefined, own: () => [] }, model));
    return compiled.toSorted();
  };
  await deploy('one', stateOf('/a'));
  await deploy('two', stateOf('/b'));
  assert.deepEqual(await load(), ['one /a', 'two /b']);
  const kept = model.project('one');
  await deploy('two', stateOf('/c'));
  assert.deepEqual(await load(), ['two /c']);
  assert.equal(model.project('one'), kept);
  assert.deepEqual(await load(), []);
  await database.records.query(`delete from projects where name = 'one'`);
  await load();
  assert.deepEqual(
    [...model.projects()].map(({ name }) => name),
    ['two'],
  );
});

test('the versions that a deployment names are all kept current, each once', async () => {
  const model = new ReadModel();
  const seen: RouteSource['versions'][] = [];
  const load = async (): Promise<void> => {
    const stages = ({ versions }: RouteSource): undefined => void seen.push(versions);
    model.replaceAll(await loadProjects(database.records, { stages, local: () => undefined, own: () => [] }, new ReadModel()));
  };
  const numbers = (): number[] => model.project('two')!.versions.map(({ version }) => version);
  await deploy(
    'two',
    stateOf('/', { live: { version: 1, canary: { version: 2, percent: 5, sticky: 'ip' } }, shadow: { version: 3, percent: 1 } }),
  );
  await load();
  assert.deepEqual(numbers(), [1, 2, 3]);
  assert.equal(model.project('two')!.functions.get('f')!.version, 1);
  assert.deepEqual([seen.at(-1)!.canary!.version.version, seen.at(-1)!.canary!.sticky, seen.at(-1)!.shadow!.version.version], [2, 'ip', 3]);
  await deploy('two', stateOf('/', { live: { version: 3, canary: { version: 3, percent: 5, sticky: 'ip' } } }));
  await load();
  assert.deepEqual(numbers(), [3]);
  assert.deepEqual([seen.at(-1)!.pinned, seen.at(-1)!.canary], [true, undefined]);
  await deploy('two', stateOf('/'));
  await load();
  assert.deepEqual([numbers(), seen.at(-1)!.pinned], [[3], false]);
});
