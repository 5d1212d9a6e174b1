// The Virga that the abuse tests are against: a project whose function remembers what reached it, and what of the edge must not
// grow. Invariant: `seen` empties what was remembered, so that each case sees its own.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { eventually, startVirga } from '../../virga.ts';
import type { Virga } from '../../virga.ts';

const ECHO = `let seen = [];
export default { async fetch(request, context) {
  const url = new URL(request.url);
  if (url.pathname === '/seen') { const all = seen; seen = []; return Response.json(all); }
  const body = await request.text();
  seen.push({ method: request.method, target: request.url.replace(/^https?:\\/\\/[^/]*/, ''), host: url.host, params: context.params, body, headers: Object.fromEntries(request.headers) });
  if (url.pathname === '/hang') await new Promise(() => {});
  return new Response('ok ' + request.method + ' ' + url.pathname);
} };`;

export const PROJECT = {
  'virga.yaml': `
project: target
functions:
  echo:
    source: echo.mjs
    concurrency: 100
    timeout: 5s
    instances: {min: 1, max: 1}
    http:
      - /
      - /echo
      - /seen
      - /hang
      - /smuggled
      - /one/{name}
      - /rest/{path+}
  raw:
    source: raw.mjs
    form: lambda
    handler: handler
    http: POST /raw
gateway:
  routes:
    - path: /away/{name}
      redirect: {to: "https://example.com/{name}"}
`,
  'echo.mjs': ECHO,
  // Answers with whatever headers it is asked for.
  'raw.mjs': 'export const handler = async (event) => ({ statusCode: 200, ...JSON.parse(event.body) });',
};

export interface Seen {
  method: string;
  target: string;
  host: string;
  params: Record<string, string>;
  body: string;
  headers: Record<string, string>;
}

export interface Target extends AsyncDisposable {
  virga: Virga;
  port: number;
  /** Requests that reached the function since it was asked last. */
  seen(): Promise<Seen[]>;
  /** A plain request is answered as ever. */
  works(): Promise<void>;
  /** The edge: the same process as in the beginning, with nothing under way and hardly more descriptors. */
  clean(): Promise<void>;
}

export async function startTarget(files: Record<string, string> = PROJECT): Promise<Target> {
  const virga = await startVirga();
  const deployed = await virga.deploy(files);
  assert.equal(deployed.code, 0, deployed.stderr);
  const [edge] = virga.pids()['edge']!;
  const get = async (path: string) => await virga.fetch('target', path);
  const works = async () => {
    const answer = await get('/echo');
    assert.deepEqual([answer.status, await answer.text()], [200, 'ok GET /echo']);
  };
  await works();
  const before = descriptors(edge!);
  return {
    virga,
    port: Number(new URL(virga.edgeUrl).port),
    seen: async () => (await (await get('/seen')).json()) as Seen[],
    works,
    clean: async () => {
      assert.deepEqual(virga.pids()['edge'], [edge], 'the edge was restarted');
      await eventually(async () => {
        const { edge: stats } = (await (
          await fetch(`${virga.controlUrl}/v1/status`, { headers: { authorization: `Bearer ${virga.token}` } })
        ).json()) as {
          edge: { inFlight: number } | null;
        };
        // A few are the keep-alive connections of this very process.
        return stats?.inFlight === 0 && descriptors(edge!) <= before + 8 ? true : undefined;
      });
    },
    [Symbol.asyncDispose]: () => virga[Symbol.asyncDispose](),
  };
}

function descriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** MiB. */
export function memoryOf(pid: number): number {
  const [, kib] = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))!;
  return Number(kib) / 1_024;
}
