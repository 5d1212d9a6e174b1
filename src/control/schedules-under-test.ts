// Cases of control.integration.test.ts. Schedules as operators see them: deployed, listed, asked for their times, paused, resumed and run.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { EventsSection } from '../protocol/sources/sources.ts';
import { request } from './fixture.ts';
import type { StartControl, TestControl } from './fixture.ts';

const EVENTS: EventsSection = {
  schedules: {
    nightly: { cron: '0 3 * * *', timezone: 'Europe/Madrid' },
    party: { at: '2099-12-31T23:59:00+01:00', paused: true },
  },
  triggers: { hello: [{ schedule: 'nightly', input: { kind: 'daily' } }] },
};

export function scheduleCases(start: StartControl): void {
  describe('schedules', () => {
    let control: TestControl;
    let artifact: string;
    const call: TestControl['call'] = (method, path, options) => control.call(method, `/v1/projects/shop${path}`, options);
    const deploy = (events: EventsSection) => call('POST', '/deployments', { json: { ...request(artifact), events } });
    before(async () => {
      control = await start();
      artifact = await control.upload('export const handler = () => 1');
      assert.equal((await deploy(EVENTS)).status, 201);
    });
    after(() => control[Symbol.asyncDispose]());

    test('a deploy plans them, and they are listed with when they are due', async () => {
      const { body } = await call('GET', '/schedules');
      assert.deepEqual(
        body.items.map((item: { name: string }) => item.name),
        ['nightly', 'party'],
      );
      const [nightly, party] = body.items;
      assert.deepEqual(
        { ...nightly, nextAt: null },
        {
          name: 'nightly',
          rules: EVENTS.schedules!['nightly'],
          functions: ['hello'],
          paused: false,
          nextAt: null,
          lastDueAt: null,
          lastFiredAt: null,
          missed: 0,
        },
      );
      const inMadrid = new Date(nightly.nextAt).toLocaleTimeString('en-GB', { timeZone: 'Europe/Madrid' });
      assert.equal(inMadrid, '03:00:00');
      assert.ok(Date.parse(nightly.nextAt) > Date.now());
      assert.deepEqual([party.paused, party.nextAt, party.functions], [true, null, []]);
    });

    test('the next times are told, from a time on, until there are none', async () => {
      const { body } = await call('GET', '/schedules/nightly/next?count=3&from=2026-03-28T12:00:00%2B01:00');
      assert.deepEqual(body, {
        name: 'nightly',
        times: ['2026-03-29T01:00:00.000Z', '2026-03-30T01:00:00.000Z', '2026-03-31T01:00:00.000Z'],
      });
      assert.deepEqual((await call('GET', '/schedules/party/next')).body.times, ['2099-12-31T22:59:00.000Z']);
      const refused = await call('GET', '/schedules/nightly/next?count=0&from=tomorrow');
      assert.equal(refused.status, 400);
      assert.deepEqual(
        refused.body.error.detail.map((problem: { path: string }) => problem.path),
        ['?count', '?from'],
      );
    });

    test('pause and resume hold across deploys; run sends an event to each function', async () => {
      assert.equal((await call('POST', '/schedules/nightly/pause')).body.paused, true);
      const changed = await deploy({ ...EVENTS, schedules: { ...EVENTS.schedules, other: { rate: '1h' } } });
      assert.equal(changed.status, 201);
      assert.equal((await call('GET', '/schedules/nightly')).body.paused, true);
      const run = await call('POST', '/schedules/nightly/run');
      assert.equal(run.status, 202);
      const [message] = await control.needs.bus.peek('shop/schedule/nightly/hello', { limit: 10 });
      assert.deepEqual(run.body.deliveries, [{ function: 'hello', id: message!.id }]);
      assert.deepEqual(JSON.parse(message!.body).data.input, { kind: 'daily' });
      const resumed = await call('POST', '/schedules/nightly/resume');
      assert.equal(resumed.body.paused, false);
      assert.ok(Date.parse(resumed.body.nextAt) > Date.now());
    });

    test('a dry run plans nothing, a rollback takes what it did not have away', async () => {
      const count = async (): Promise<number> => (await call('GET', '/schedules')).body.items.length;
      assert.equal(await count(), 3);
      const dry = await call('POST', '/deployments?dryRun=true', { json: { ...request(artifact), events: {} } });
      assert.equal(dry.body.changed, true);
      assert.equal(await count(), 3);
      assert.equal((await call('POST', '/rollback', { json: {} })).status, 201);
      assert.equal(await count(), 2);
    });

    test('a deploy with a schedule whose time has passed says so', async () => {
      const { status, body } = await deploy({ schedules: { past: { at: '2020-01-01T00:00:00Z' }, soon: { rate: '1h' } } });
      assert.equal(status, 201);
      assert.match(body.warning, /the schedule 'past' will never be due: its `at`, or its `end`, has passed$/);
      assert.doesNotMatch((await deploy(EVENTS)).body.warning ?? '', /never be due/);
    });

    test('a schedule or a project that is not there is told, with what was meant', async () => {
      for (const [method, path] of [
        ['GET', '/schedules/nigtly'],
        ['GET', '/schedules/nigtly/next'],
        ['POST', '/schedules/nigtly/pause'],
        ['POST', '/schedules/nigtly/resume'],
        ['POST', '/schedules/nigtly/run'],
      ] as const) {
        const { status, body } = await call(method, path);
        assert.deepEqual([status, body.error.code], [404, 'schedule_not_found'], path);
        assert.match(body.error.message, /did you mean 'nightly'/);
      }
      assert.equal((await control.call('GET', '/v1/projects/nobody/schedules')).body.error.code, 'project_not_found');
    });

    test('a deploy with a schedule that says too much, or what cannot be, is refused with the place', async () => {
      const refused = await deploy({
        schedules: {
          a: { cron: '@daily' },
          b: { cron: '0 0 30 2 *' },
          c: { rate: '1h', cron: '0 3 * * *' },
          d: { rate: '1h', catchUp: 3 },
        },
      });
      assert.equal(refused.status, 400);
      const problems = refused.body.error.detail.map((one: { path: string; message: string }) => `${one.path}: ${one.message}`);
      assert.equal(problems.length, 4);
      assert.match(problems[0], /events\.schedules\.a\.cron: .*"0 0 \* \* \*"/);
      assert.match(problems[1], /events\.schedules\.b\.cron: .*a time that exists/);
      assert.match(problems[2], /one of cron, rate and at/);
      assert.match(problems[3], /schedules\.d\.catchUp: .*`missed: all`/);
    });
  });
}
