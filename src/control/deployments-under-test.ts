// Cases of control.integration.test.ts. Deploys, rollbacks and what they leave: versions, history, projects, pages.
import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import pg from 'pg';
import type { Route } from '../protocol/settings.ts';
import { request, SETTINGS } from './fixture.ts';
import type { StartControl, TestControl } from './fixture.ts';

export function deploymentCases(start: StartControl): void {
  describe('deployments', () => {
    let control: TestControl;
    let one: string;
    let two: string;
    before(async () => {
      control = await start();
      one = await control.upload('export const handler = () => 1');
      two = await control.upload('export const handler = () => 2');
    });
    after(async () => {
      await control[Symbol.asyncDispose]();
    });

    const deploy = (project: string, json: unknown, query = ''): ReturnType<TestControl['call']> =>
      control.call('POST', `/v1/projects/${project}/deployments${query}`, { json });
    const rollback = (project: string, json: object = {}): ReturnType<TestControl['call']> =>
      control.call('POST', `/v1/projects/${project}/rollback`, { json });

    test('a first deploy creates the project, serves it, and says what it did', async () => {
      const { status, body } = await deploy('first', request(one));
      assert.equal(status, 201);
      assert.equal(body.url, 'http://first.localhost:8080/');
      assert.deepEqual(
        body.changes.map((change: { kind: string; name: string; change: string }) => `${change.change} ${change.kind} ${change.name}`),
        ['create project first', 'create function hello', 'create route * /'],
      );
      assert.equal(control.edge.synced.at(-1), body.deployment);
      const project = (await control.call('GET', '/v1/projects/first')).body;
      assert.equal(project.deployment, body.deployment);
      assert.equal(project.functions[0].version, 1);
      assert.deepEqual(project.functions[0].settings, SETTINGS);
      assert.deepEqual(project.routes, [{ path: '/', methods: null, function: 'hello' }]);
      const history = (await control.call('GET', '/v1/projects/first/deployments')).body.items;
      assert.equal(history[0].createdBy, 'operator');
    });

    test('an unchanged deploy makes no deployment and no version, whatever the order of keys and routes', async () => {
      const routes: Route[] = [
        { path: '/b', methods: ['PUT', 'GET'], function: 'hello' },
        { path: '/a', methods: null, function: 'hello' },
      ];
      const first = await deploy('same', request(one, {}, routes));
      const shuffled = {
        routes: routes.toReversed().map((route) => ({ ...route, methods: route.methods?.toReversed() ?? null })),
        functions: {} as object,
      };
      shuffled.functions = { hello: { settings: Object.fromEntries(Object.entries(SETTINGS).toReversed()), artifact: one } };
      const again = await deploy('same', shuffled);
      assert.equal(again.status, 200);
      assert.equal(again.body.deployment, first.body.deployment);
      assert.equal(again.body.changed, false);
      assert.ok(again.body.changes.every((change: { change: string }) => change.change === 'none'));
    });

    test('a change makes a new version of that function only, and each difference is told', async () => {
      const both = (settings: object): object => ({
        functions: { hello: { artifact: one, settings: { ...SETTINGS, ...settings } }, other: { artifact: one, settings: SETTINGS } },
        routes: [{ path: '/notes/{id}', methods: ['GET'], function: 'hello' }],
      });
      await deploy('changes', both({ env: { KEPT: 'a', SECRET: 'old' } }));
      const { body } = await deploy('changes', {
        ...both({ memoryMiB: 512, timeoutMs: 1_500, env: { SECRET: 'new', ADDED: 'x' } }),
        routes: [{ path: '/notes/{id}', methods: ['GET'], function: 'other' }],
      });
      const [hello, other, route] = body.changes;
      assert.deepEqual(hello, {
        kind: 'function',
        name: 'hello',
        change: 'update',
        detail: ['memory 256 MiB → 512 MiB', 'timeout 30 s → 1500 ms', 'env ADDED added', 'env KEPT removed', 'env SECRET changed'],
        version: 2,
      });
      assert.deepEqual(other, { kind: 'function', name: 'other', change: 'none', detail: [], version: 1 });
      assert.deepEqual(route, { kind: 'route', name: 'GET /notes/{id}', change: 'update', detail: ['function hello → other'] });
    });

    test('returning to earlier code gives the function its earlier version back', async () => {
      await deploy('back', request(one));
      assert.equal((await deploy('back', request(two))).body.changes[0].version, 2);
      const returned = await deploy('back', request(one));
      assert.equal(returned.status, 201);
      assert.equal(returned.body.changes[0].version, 1);
      assert.match(returned.body.changes[0].detail[0], /^code [0-9a-f]{12} → [0-9a-f]{12}$/);
      assert.equal((await deploy('back', request(one, { memoryMiB: 300 }))).body.changes[0].version, 3);
      const versions = (await control.call('GET', '/v1/projects/back/functions/hello/versions')).body.items;
      assert.deepEqual(
        versions.map((version: { number: number; current: boolean }) => [version.number, version.current]),
        [
          [3, true],
          [2, false],
          [1, false],
        ],
      );
    });

    test('a function that is removed and comes back never reuses a number for other code', async () => {
      await deploy('gone', request(one));
      const removed = await deploy('gone', { functions: {}, routes: [] });
      assert.deepEqual(
        removed.body.changes.map((change: { change: string }) => change.change),
        ['remove', 'remove'],
      );
      assert.equal((await deploy('gone', request(two))).body.changes[0].version, 2);
    });

    test('a dry run tells everything and changes nothing', async () => {
      const dry = await deploy('dry', request(one), '?dryRun=true');
      assert.equal(dry.status, 200);
      assert.equal(dry.body.dryRun, true);
      assert.equal(dry.body.changed, true);
      assert.equal(dry.body.deployment, null);
      assert.equal(dry.body.changes[0].change, 'create');
      assert.equal((await control.call('GET', '/v1/projects/dry')).status, 404);
      assert.equal((await deploy('dry', request('0'.repeat(64)), '?dryRun=true')).body.error.code, 'artifacts_missing');
    });

    test('a deploy that fails in any way changes nothing', async () => {
      const standing = (await deploy('atomic', request(one))).body.deployment;
      const lost = '1'.repeat(64);
      const failing: [unknown, number, string][] = [
        [
          { functions: { hello: { artifact: two, settings: SETTINGS }, more: { artifact: lost, settings: SETTINGS } }, routes: [] },
          409,
          'artifacts_missing',
        ],
        [request(two, {}, [{ path: '/', methods: null, function: 'helo' }]), 400, 'invalid_request'],
        [request(two, { memoryMiB: 31 }), 400, 'invalid_request'],
        [request(two, { memoryMiB: 8_192 }), 422, 'setting_not_enforceable'],
      ];
      for (const [json, status, code] of failing) {
        const answer = await deploy('atomic', json);
        assert.equal(answer.status, status, code);
        assert.equal(answer.body.error.code, code);
      }
      assert.deepEqual((await deploy('atomic', failing[0]![0])).body.error.detail, { missing: [lost] });
      assert.equal((await deploy('never', request(lost))).status, 409);
      assert.equal((await control.call('GET', '/v1/projects/never')).status, 404);
      const project = (await control.call('GET', '/v1/projects/atomic')).body;
      assert.equal(project.deployment, standing);
      assert.equal(project.functions[0].artifact, one);
      assert.equal((await control.call('GET', '/v1/projects/atomic/functions/hello/versions')).body.items.length, 1);
    });

    test('problems of routes are told with their place', async () => {
      const routes = [
        { path: 'notes', methods: null, function: 'hello' },
        { path: '/a/{id}', methods: ['GET'], function: 'hello' },
        { path: '/a/{name}', methods: ['HEAD'], function: 'hello' },
        { path: '/x', methods: null, function: 'helo' },
        { path: '/y', methods: ['GET', 'GET'], function: 'hello' },
      ];
      const { body } = await deploy('routes', request(one, {}, routes as Route[]));
      const problems = body.error.detail.map((problem: { path: string; message: string }) => `${problem.path} ${problem.message}`);
      assert.equal(problems.length, 4);
      assert.match(problems[0], /^routes.0.path must begin with/);
      assert.match(problems[1], /^routes.2 claims the same requests \(HEAD\) as routes.1/);
      assert.match(problems[2], /^routes.3.function .*did you mean 'hello'/);
      assert.match(problems[3], /^routes.4.methods names a method twice/);
    });

    test('concurrent deploys of one project come one after the other', async () => {
      const answers = await Promise.all(
        Array.from({ length: 8 }, (_, n) => deploy('race', request(n % 2 === 0 ? one : two, { memoryMiB: 100 + n }))),
      );
      assert.ok(answers.every(({ status }) => status === 201));
      const versions = answers.map(({ body }) => body.changes.find((change: { kind: string }) => change.kind === 'function').version);
      assert.deepEqual(
        versions.toSorted((a, b) => a - b),
        [1, 2, 3, 4, 5, 6, 7, 8],
      );
      assert.equal(answers.filter(({ body }) => body.changes[0].kind === 'project').length, 1);
      const newest = Math.max(...answers.map(({ body }) => body.deployment));
      const project = (await control.call('GET', '/v1/projects/race')).body;
      assert.equal(project.deployment, newest);
      assert.equal(project.functions[0].version, 8);
      const same = await Promise.all(Array.from({ length: 5 }, () => deploy('race2', request(one))));
      assert.equal(same.filter(({ status }) => status === 201).length, 1);
    });

    test('a rollback returns to the deployment before, or to a named one, as a new deployment', async () => {
      const first = (await deploy('roll', request(one))).body.deployment;
      await deploy('roll', request(two));
      const back = await rollback('roll');
      assert.equal(back.status, 201);
      assert.ok(back.body.deployment > first);
      assert.equal(back.body.changes[0].version, 1);
      assert.equal(control.edge.synced.at(-1), back.body.deployment);
      const again = await rollback('roll', { to: first });
      assert.equal(again.status, 200);
      assert.equal(again.body.changed, false);
      assert.equal((await rollback('roll')).body.changes[0].version, 2);
      const history = (await control.call('GET', '/v1/projects/roll/deployments')).body.items;
      assert.deepEqual(
        history.map((item: { kind: string; current: boolean }) => [item.kind, item.current]),
        [
          ['rollback', true],
          ['rollback', false],
          ['deploy', false],
          ['deploy', false],
        ],
      );
    });

    test('a rollback to nothing, or to a deployment of another project, is refused', async () => {
      const other = (await deploy('roll-a', request(one))).body.deployment;
      await deploy('roll-b', request(one));
      for (const [project, json, code] of [
        ['nowhere', {}, 'project_not_found'],
        ['roll-b', {}, 'deployment_not_found'],
        ['roll-b', { to: other }, 'deployment_not_found'],
        ['roll-b', { to: 0 }, 'invalid_request'],
        ['roll-b', { too: 1 }, 'invalid_request'],
      ] as const) {
        assert.equal((await rollback(project, json)).body.error.code, code);
      }
    });

    test('a setting that the node cannot enforce is refused when it is asked for, and warned of when it is the default', async () => {
      const { sandbox } = control.edge.stats;
      control.edge.stats.sandbox = {
        driver: 'process',
        runtime: null,
        strong: null,
        strongReason: 'gVisor is not installed',
        runtimes: [],
        lateFiles: true,
        enforcement: { isolation: null, memory: 'watcher', cpus: null, pids: null, tmp: null, network: null, notes: ['no cgroups here'] },
      };
      try {
        const refused = await deploy('hold', request(one, { cpus: 0.5, pids: 64 }));
        assert.equal(refused.status, 422);
        assert.equal(refused.body.error.code, 'setting_not_enforceable');
        assert.match(refused.body.error.message, /'hello' asks for pids 64.*no cgroups here/);
        assert.equal(refused.body.error.detail.refused.length, 2);
        const taken = await deploy('hold', request(one, { memoryMiB: 300 }));
        assert.equal(taken.status, 201);
        assert.match(taken.body.warning, /no limit of pids, tmp, network \(process sandbox: no cgroups here\)/);
        assert.equal((await deploy('hold', request(one, { memoryMiB: 300 }))).body.warning, undefined);
      } finally {
        control.edge.stats.sandbox = sandbox;
      }
    });

    test('strong isolation is refused with reason and remedy where it is not to be had, and taken where it is', async () => {
      const { sandbox } = control.edge.stats;
      const refused = await deploy('strong', request(one, { isolation: 'strong' }));
      assert.equal(refused.status, 422);
      assert.match(refused.body.error.message, /'hello' asks for isolation strong.*gVisor is not installed.*set isolation to standard/);
      control.edge.stats.sandbox = { ...sandbox!, strong: { ...sandbox!, driver: 'oci', runtime: 'runsc' }, strongReason: null };
      try {
        assert.equal((await deploy('strong', request(one, { isolation: 'strong' }))).status, 201);
      } finally {
        control.edge.stats.sandbox = sandbox;
      }
    });

    test('a runtime that the node does not have is refused with the remedy, and taken once it is there', async () => {
      const { sandbox } = control.edge.stats;
      const bun = (remedy: string | null) => ({ ...sandbox!, runtimes: [{ name: 'bun' as const, version: null, remedy }] });
      try {
        control.edge.stats.sandbox = bun('run `npm ci --prefix runtimes/bun`');
        const refused = await deploy('bun', request(one, { runtime: 'bun' }));
        assert.equal(refused.status, 422);
        assert.match(
          refused.body.error.message,
          /'hello' asks for runtime bun, which this node does not have: it is not installed; run `npm ci --prefix runtimes\/bun`$/,
        );
        control.edge.stats.sandbox = bun(null);
        assert.equal((await deploy('bun', request(one, { runtime: 'bun' }))).status, 201);
      } finally {
        control.edge.stats.sandbox = sandbox;
      }
    });

    test('a deploy stands when the edge is away, and says so', async () => {
      control.edge.syncFailure = { status: 503, message: 'the edge starts' };
      try {
        const { status, body } = await deploy('away', request(one));
        assert.equal(status, 201);
        assert.match(body.warning, /the edge has not confirmed it yet.*the edge starts/);
      } finally {
        control.edge.syncFailure = null;
      }
    });

    test('the edges are told of a deployment and of a removal at commit', async () => {
      const listener = new pg.Client(control.connection);
      await listener.connect();
      try {
        await listener.query('listen virga_deployments');
        const told: (string | undefined)[] = [];
        listener.on('notification', ({ payload }) => told.push(payload));
        const { deployment } = (await deploy('told', request(one))).body;
        await deploy('told', request('0'.repeat(64)));
        await deploy('told', request(one));
        await control.call('DELETE', '/v1/projects/told');
        await listener.query('select 1');
        assert.deepEqual(told, [String(deployment), '0']);
        assert.deepEqual(control.edge.synced.slice(-2), [deployment, 0]);
      } finally {
        await listener.end();
      }
    });

    test('a removed project is gone with everything but its records', async () => {
      await deploy('removed', request(one));
      await deploy('removed', request(two));
      assert.equal((await control.call('DELETE', '/v1/projects/removed')).status, 204);
      for (const path of ['', '/functions', '/deployments', '/functions/hello/versions', '/functions/hello/invocations', '/logs']) {
        assert.equal((await control.call('GET', `/v1/projects/removed${path}`)).body.error.code, 'project_not_found', path);
      }
      assert.equal((await control.call('DELETE', '/v1/projects/removed')).status, 404);
      assert.equal((await deploy('removed', request(one))).status, 201);
    });

    test('lists are paged without gaps or repetitions', async () => {
      for (let n = 0; n < 5; n++) await deploy(`page-${n}`, request(one));
      for (let n = 0; n < 4; n++) await deploy('page-0', request(one, { memoryMiB: 100 + n }));
      for (const [path, limit] of [
        ['/v1/projects', 3],
        ['/v1/projects/page-0/deployments', 2],
        ['/v1/projects/page-0/functions/hello/versions', 2],
        ['/v1/projects/page-0/functions', 1],
      ] as const) {
        const whole = (await control.call('GET', `${path}?limit=1000`)).body;
        assert.equal(whole.next, null);
        const paged: unknown[] = [];
        let cursor: string | null = '';
        while (cursor !== null) {
          const { body } = await control.call('GET', `${path}?limit=${limit}${cursor === '' ? '' : `&cursor=${cursor}`}`);
          assert.ok(body.items.length <= limit);
          paged.push(...body.items);
          cursor = body.next;
        }
        assert.deepEqual(paged, whole.items, path);
      }
      assert.deepEqual((await control.call('GET', '/v1/projects?limit=1')).body.items[0].functions, 1);
    });

    test('a deploy, a move of traffic and a rollback are told to the project, a removal and what changed nothing are not', async () => {
      const events = { triggers: { hello: [{ event: { type: ['virga.deployment.created'] } }] } };
      for (const artifact of [one, two, two]) await deploy('told', { ...request(artifact), events });
      const live = { live: { version: 1 } };
      assert.equal((await control.call('PUT', '/v1/projects/told/functions/hello/live', { json: live })).status, 201);
      assert.equal((await rollback('told')).status, 201);
      const messages = await control.needs.bus.peek('told/event/hello', { limit: 10 });
      const told = messages.map(
        ({ body }) => JSON.parse(body).data as { kind: string; by: string; changes: { kind: string; name: string }[] },
      );
      assert.deepEqual(
        told.map(({ kind, changes }) => `${kind} ${changes.some((change) => change.name === 'hello')}`),
        ['deploy true', 'deploy true', 'deploy true', 'rollback true'],
      );
      assert.equal(told[0]!.by, 'operator');
      const { rows } = await control.records.query('select 1 from platform_events');
      assert.deepEqual(rows, []);
      assert.equal((await control.call('DELETE', '/v1/projects/told')).status, 204);
    });

    test('an artifact whose bytes were lost counts as missing, and uploading it again heals', async () => {
      const lost = await control.upload('export const handler = () => 3');
      await deploy('heal', request(lost));
      await rm(join(control.folder, 'blobs', lost.slice(0, 2), lost));
      assert.deepEqual((await control.call('POST', '/v1/artifacts/missing', { json: { sha256: [lost, one] } })).body.missing, [lost]);
      assert.equal((await deploy('heal2', request(lost))).body.error.code, 'artifacts_missing');
      await control.upload('export const handler = () => 3');
      assert.equal((await deploy('heal2', request(lost))).status, 201);
    });
  });
}
