// What does each thing that the gateway does for a route cost? One function behind a route for each case; the same load on one
// after the other, round after round in changing order; a case's ratio is to the bare route of the same method in the same round.
// And what many routes cost: the same function in a project of ten routes and in one of `samples`. Caller: run.ts.
import { createSign, generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startVirga } from '../test/system/virga.ts';
import type { Virga } from '../test/system/virga.ts';
import { GENERATOR, load } from './load.ts';
import type { Load } from './load.ts';
import type { BenchOptions } from './options.ts';
import { writeReport } from './report.ts';
import { digits, median, table } from './statistics.ts';
import { deploy } from './virga.ts';

const CONNECTIONS = 32;
const FEW_ROUTES = 10;
/** In a round, in alternating order: the difference that is looked for is smaller than what one second scatters. */
const PAIRS = 3;
/** More tokens than the edge is told to remember, so that each is new to it. */
const TOKENS = 1_000;
const REMEMBERED = 100;

const FUNCTION = `export default {
  async fetch(request) {
    if (request.method === 'POST') await request.arrayBuffer();
    return new Response('hello', { headers: { 'content-type': 'text/plain', 'cache-control': 'max-age=60' } });
  },
};
`;

const NOTE =
  '{"title":"A note for the benchmark","tags":["first","second","third"],"stars":4,"author":{"name":"Ada","mail":"ada@example.com"}}';
const BODY = `{type: object, required: [title, author], additionalProperties: false, properties: {title: {type: string, maxLength: 200}, tags: {type: array, maxItems: 10, items: {type: string, pattern: "^[a-z-]+$"}}, stars: {type: integer, minimum: 0, maximum: 5}, author: {type: object, required: [name], properties: {name: {type: string}, mail: {type: string, format: email}}}}}`;
const THROTTLE = '{rate: 1000000/s, burst: 1000000}';
const CORS = '{origins: [https://app.example.com], credentials: true}';

interface Case {
  name: string;
  /** Rules of its route, in virga.yaml. */
  rules: string;
  headers?: Record<string, string>;
  posts?: boolean;
  /** Bearer tokens in turn. */
  tokens?: boolean;
  /** Of the bare route's requests/s, at least. */
  budget?: number;
}

function cases(key: string, token: string): Case[] {
  const origin = { origin: 'https://app.example.com' };
  const bearer = { authorization: `Bearer ${token}` };
  return [
    { name: 'bare GET', rules: '' },
    { name: 'cors', rules: `cors: ${CORS}`, headers: origin },
    { name: 'securityHeaders', rules: 'securityHeaders: true' },
    { name: 'ip list', rules: 'ip: {allow: [127.0.0.0/8, "::1"], deny: [192.0.2.0/24]}' },
    { name: 'API key', rules: 'auth: partners', headers: { 'x-api-key': key } },
    { name: 'JWT, the same again', rules: 'auth: users', headers: bearer },
    { name: 'JWT, each one new (RS256)', rules: 'auth: users', tokens: true },
    { name: 'throttle by address', rules: `throttle: ${THROTTLE}` },
    { name: 'plan with a quota', rules: 'plan: free' },
    { name: 'concurrency', rules: 'concurrency: 1000' },
    { name: 'rewrite', rules: 'rewrite: {path: /other, setHeaders: {x-from: gateway}}' },
    { name: 'cache, a hit', rules: 'cache: {ttl: 60s}' },
    { name: 'bare POST, 130 bytes of JSON', rules: '', posts: true },
    { name: 'validate, the same body', rules: `validate: {body: ${BODY}}`, posts: true },
    {
      name: 'JWT and key, throttle, CORS, validate',
      rules: `auth: {all: [users, partners]}, throttle: ${THROTTLE}, cors: ${CORS}, validate: {body: ${BODY}}`,
      headers: { ...origin, ...bearer, 'x-api-key': key },
      posts: true,
      budget: 0.6,
    },
  ];
}

export async function gateway({ rounds, seconds, samples, quick }: BenchOptions): Promise<void> {
  if (GENERATOR !== 'wrk') throw new Error('this benchmark sends its requests with wrk: apt-get install wrk');
  const folder = mkdtempSync(join(tmpdir(), 'virga-bench-'));
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  await using virga = await startVirga({ env: { VIRGA_LIMIT_CALLERS_REMEMBERED: String(REMEMBERED) } });
  // The project is there before its key, and the key before the routes that ask for it.
  await deploy(virga, { 'virga.yaml': 'project: bench\nfunctions:\n  hello: {source: hello.mjs}\n', 'hello.mjs': FUNCTION });
  const made = await virga.cli(['keys', 'create', '--project', 'bench', '--name', 'bench', '--json']);
  const { key } = made.json<{ key: string }>();
  const tokens = Array.from({ length: TOKENS }, (_, i) => signed({ sub: `user-${i}` }, privateKey));
  const measured = cases(key, tokens[0]!);
  await deploy(virga, {
    'virga.yaml': manifest(measured, publicKey.export({ type: 'spki', format: 'pem' })),
    'hello.mjs': FUNCTION,
  });
  const tokensFile = join(folder, 'tokens');
  writeFileSync(tokensFile, tokens.join('\n'));
  const subjects = measured.map((one, i) => {
    const requestFile = join(folder, `case-${i}`);
    const headers = Object.entries({ ...one.headers, ...(one.posts === true ? { 'content-type': 'application/json' } : {}) });
    const lines = [...headers, ...(one.tokens === true ? [['tokens', tokensFile]] : [])].map(([name, value]) => `${name}: ${value}`);
    writeFileSync(requestFile, [...lines, ...(one.posts === true ? ['===', NOTE] : [])].join('\n'));
    return { ...one, path: `/@bench/${i}`, requestFile };
  });
  await manyRoutes(virga, 'few', FEW_ROUTES);
  await manyRoutes(virga, 'many', samples);
  const inProjects = [`/@few/area-7/${FEW_ROUTES - 1}/part`, `/@many/area-7/${samples - 1}/part`].map((path, i) => {
    const requestFile = join(folder, `routes-${i}`);
    writeFileSync(requestFile, '');
    return { name: `${i === 0 ? FEW_ROUTES : samples} routes`, path, requestFile, posts: false, budget: i === 0 ? undefined : 0.95 };
  });

  const all = [...subjects, ...inProjects];
  const runs = new Map<string, Load[]>(all.map(({ name }) => [name, []]));
  for (const { path, requestFile } of all) await load(`${virga.edgeUrl}${path}`, { connections: CONNECTIONS, seconds: 1, requestFile });
  const measure = async ({ name, path, requestFile }: (typeof all)[number], round: number): Promise<void> => {
    const run = await load(`${virga.edgeUrl}${path}`, { connections: CONNECTIONS, seconds, requestFile });
    if (run.failed > run.calls / 100) throw new Error(`${name}: ${run.failed} of ${run.calls} calls were refused`);
    runs.get(name)!.push(run);
    console.error(`round ${round + 1}/${rounds} ${name}: ${Math.round(run.requestsPerSecond)}/s p50 ${run.p50Us} µs, ${run.failed} failed`);
  };
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < subjects.length; turn++) await measure(subjects[(turn + round * 4) % subjects.length]!, round);
    for (let pair = 0; pair < PAIRS; pair++)
      for (const one of (pair + round) % 2 === 0 ? inProjects : inProjects.toReversed()) await measure(one, round);
  }
  rmSync(folder, { recursive: true });

  const rowsOf = (names: string[], base: string) =>
    names.map((name) => {
      const [own, bare] = [runs.get(name)!, runs.get(base)!];
      const of = (one: (run: Load, at: number) => number) => digits(median(own.map(one)));
      const budget = all.find((one) => one.name === name)!.budget;
      return [
        name,
        of((run) => run.requestsPerSecond),
        of((run, at) => run.requestsPerSecond / bare[at]!.requestsPerSecond),
        budget === undefined ? '' : String(budget),
        of((run) => run.p50Us),
        of((run) => run.p99Us),
      ];
    });
  const head = ['', 'requests/s', 'of bare', 'budget', 'p50 µs', 'p99 µs'];
  const gets = subjects.filter((one) => one.posts !== true).map(({ name }) => name);
  const posted = subjects.filter((one) => one.posts === true).map(({ name }) => name);
  writeReport(
    {
      name: 'gateway',
      title: 'What the gateway does for a route',
      body: [
        `A function of one line behind a route for each case, ${CONNECTIONS} connections, medians of ${rounds} rounds of ${seconds} s, interleaved; load by ${GENERATOR} on the same two cores. Ratios are to the bare route of the same method in the same round.`,
        table(head, rowsOf(gets, gets[0]!)),
        table(head, rowsOf(posted, posted[0]!)),
        `The same function in a project of few routes and in one of many, ${PAIRS} pairs in each round:\n\n${table(
          head,
          rowsOf(
            inProjects.map(({ name }) => name),
            inProjects[0]!.name,
          ),
        )}`,
        `"Each one new": ${TOKENS} tokens in turn where the edge remembers ${REMEMBERED}, so that each signature is verified. Idle WebSockets are in sockets.md.`,
      ],
      measured: { rounds, seconds, runs: Object.fromEntries(runs) },
    },
    { quick },
  );
}

function manifest(all: Case[], pem: string | Buffer): string {
  const routes = all.map(
    ({ rules, posts }, i) => `      - {path: /${i}, methods: [${posts === true ? 'POST' : 'GET'}]${rules === '' ? '' : `, ${rules}`}}`,
  );
  return `project: bench
gateway:
  auth:
    partners: {keys: {}}
    users: {jwt: {issuer: "https://login.example.com", audience: bench, keys: [${JSON.stringify(pem.toString())}]}}
  plans:
    free: {quota: {limit: 1000000000, per: day}}
functions:
  hello:
    source: hello.mjs
    concurrency: 64
    http:
${routes.join('\n')}
`;
}

/** Paths that differ in the middle, with a parameter and a literal behind it. */
async function manyRoutes(virga: Virga, project: string, count: number): Promise<void> {
  const routes = Array.from({ length: count }, (_, i) => `      - {path: "/{area}/${i}/part", methods: [GET]}`);
  const text = `project: ${project}\nfunctions:\n  hello:\n    source: hello.mjs\n    concurrency: 64\n    http:\n${routes.join('\n')}\n`;
  await deploy(virga, { 'virga.yaml': text, 'hello.mjs': FUNCTION });
}

function signed(claims: object, key: Parameters<ReturnType<typeof createSign>['sign']>[0]): string {
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const exp = Math.floor(Date.now() / 1_000) + 3_600;
  const text = `${encode({ alg: 'RS256', typ: 'JWT' })}.${encode({ iss: 'https://login.example.com', aud: 'bench', exp, ...claims })}`;
  return `${text}.${createSign('sha256').update(text).sign(key).toString('base64url')}`;
}
