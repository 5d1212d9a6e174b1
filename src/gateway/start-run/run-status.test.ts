// Who may read the status of a run: whoever started it, and nobody who guesses.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HttpRun } from '../../events/workflows/start-run.ts';
import type { Principal } from '../../protocol/principal.ts';
import type { GatewayRequest, LocalAnswer, Refusal } from '../stage.ts';
import { principalText } from '../respond-async/status-routes.ts';
import { runStatusRoutes } from './run-status.ts';

const OWN = 'run_01m80b4xgye2vdw3yj6rh55h2d';
const ada: Principal = { kind: 'key', id: 'ada', scopes: [], claims: {} };

async function asked(run: string, principal: Principal | undefined, of: string | null): Promise<LocalAnswer | Refusal> {
  const found: HttpRun = {
    ...{ version: 1, state: 'failed', createdAt: 0, endedAt: 1, result: null, principal: of },
    error: '{"name":"Error","message":"no","stack":"at /secret"}',
  };
  const routes = runStatusRoutes(
    {
      ...{ project: 'shop', deployment: 1, gateway: {}, async: {}, workflows: { flow: true } },
      routes: [{ path: '/flow', methods: ['POST'], function: 'flow' }],
    },
    { starter: { startedOverHttp: () => Promise.resolve(found) } },
  );
  assert.deepEqual(
    routes.map(({ route }) => route.path),
    ['/.virga/runs/{workflow}/{run}'],
  );
  const request: Partial<GatewayRequest> = { project: 'shop', prefix: '', params: { workflow: 'flow', run }, principal };
  return await routes[0]!.local.answer(request as GatewayRequest, Buffer.alloc(0));
}

test('whoever started it reads it, without what only the project may see', async () => {
  for (const answer of [await asked(OWN, undefined, null), await asked('order-1', ada, principalText(ada))]) {
    assert.ok('status' in answer && answer.status === 200);
    const body = JSON.parse((answer.body as Buffer).toString()) as { state: string; error: object };
    assert.deepEqual([body.state, body.error], ['failed', { name: 'Error', message: 'no' }]);
  }
});

test('others do not, nor does anybody by an id that could be guessed', async () => {
  for (const [run, principal, of] of [
    ['order-1', undefined, null],
    [OWN, undefined, principalText(ada)],
    [OWN, ada, null],
    ['order-1', { ...ada, id: 'eve' }, principalText(ada)],
  ] as const) {
    const answer = await asked(run, principal, of);
    assert.ok('error' in answer && answer.error.code === 'run_not_found');
  }
});
