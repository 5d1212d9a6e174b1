// A hundred reloads of the gateway's rules under load: no request fails, and each sees one deployment, never a mixture of two.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startVirga } from '../virga.ts';
import type { Virga } from '../virga.ts';

const RELOADS = 100;
const CALLERS = 8;
const ROUTES = 50;

const manifest = (generation: number): string => `
project: reload
functions:
  echo:
    source: echo.mjs
    concurrency: 20
    http:
${Array.from({ length: ROUTES }, (_, i) => `      - {path: "/${i}", cors: {origins: ["*"], expose: [g-${generation}, of-${i}]}}`).join('\n')}
`;

interface Deployment {
  functions: Record<string, { artifact: string; settings: unknown }>;
  routes: { path: string; policy: { cors: { expose: string[] } } }[];
}

let virga: Virga;
before(async () => {
  virga = await startVirga();
  const deployed = await virga.deploy({ 'virga.yaml': manifest(0), 'echo.mjs': `export default { fetch: () => new Response('ok') };` });
  assert.equal(deployed.code, 0, deployed.stderr);
});
after(() => virga[Symbol.asyncDispose]());

async function api<T>(path: string, body?: unknown): Promise<T> {
  const response = await fetch(`${virga.controlUrl}${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { authorization: `Bearer ${virga.token}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  assert.ok(response.ok, `${response.status} ${path}`);
  return (await response.json()) as T;
}

test('a hundred reloads under load fail no request', async (t) => {
  const project = await api<{ functions: ({ name: string } & Deployment['functions'][string])[]; routes: Deployment['routes'] }>(
    '/v1/projects/reload',
  );
  const functions = Object.fromEntries(project.functions.map(({ name, artifact, settings }) => [name, { artifact, settings }]));
  let current = 0;
  let done = false;
  let calls = 0;
  const failures: string[] = [];
  const callers = Array.from({ length: CALLERS }, async (_, caller) => {
    for (let i = caller; !done; i = (i + 7) % ROUTES) {
      const atFirst = current;
      try {
        const response = await fetch(`${virga.edgeUrl}/@reload/${i}`, { headers: { origin: 'https://page.example' } });
        const text = await response.text();
        const [, generation, route] = /^g-(\d+), of-(\d+)$/.exec(response.headers.get('access-control-expose-headers') ?? '') ?? [];
        calls++;
        // What was served when the call began, or one that came since; the one that is on its way counts too.
        const isSound = Number(generation) >= atFirst && Number(generation) <= current + 1 && Number(route) === i;
        if (response.status !== 200 || text !== 'ok' || !isSound)
          failures.push(`${response.status} ${text} ${generation} of ${atFirst} to ${current + 1}`);
      } catch (error) {
        failures.push(String(error));
      }
    }
  });
  for (let generation = 1; generation <= RELOADS; generation++) {
    const routes = project.routes.map((route) => {
      const [, of] = route.policy.cors.expose;
      return { ...route, policy: { cors: { ...route.policy.cors, expose: [`g-${generation}`, of] } } };
    });
    const answer = await api<{ changed: boolean }>('/v1/projects/reload/deployments', { functions, routes });
    assert.equal(answer.changed, true);
    current = generation;
  }
  done = true;
  await Promise.all(callers);
  t.diagnostic(`${calls} calls during ${RELOADS} reloads`);
  assert.deepEqual(failures.slice(0, 5), []);
  assert.ok(calls > RELOADS, `only ${calls} calls`);
});
