// Subscriptions of topics with a URL: what is sent there, how it is signed (checked by the reference library of Standard Webhooks and read by
// the official CloudEvents SDK), what each answer leads to, and where it does not go.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { IncomingHttpHeaders, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { HTTP } from 'cloudevents';
import type { CloudEvent } from 'cloudevents';
import { Webhook } from 'standardwebhooks';
import { eventually, startVirga } from '../virga.ts';
import type { Virga } from '../virga.ts';
import { ControlClient } from './control-client.ts';

interface Request {
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
}

type Reply = { status: number; headers?: Record<string, string>; body?: string; never?: true };

/** Answers what was prepared for a path, in order; then 204. */
class Receiver {
  readonly server: Server;
  readonly #requests: Request[] = [];
  readonly #replies = new Map<string, Reply[]>();
  #waiting: (() => void) | undefined;

  constructor() {
    this.server = createServer((incoming, response) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.on('end', () => {
        const path = incoming.url!;
        this.#requests.push({ path, headers: incoming.headers, body: Buffer.concat(chunks).toString() });
        this.#waiting?.();
        const { status, headers = {}, body = '', never } = this.#replies.get(path)?.shift() ?? { status: 204 };
        if (never) return;
        response.writeHead(status, headers).end(body);
      });
    });
  }

  get url(): string {
    return `http://127.0.0.2:${(this.server.address() as AddressInfo).port}`;
  }

  prepare(path: string, replies: Reply[]): void {
    this.#replies.set(path, replies);
  }

  /** The next of a path. */
  async next(path: string): Promise<Request> {
    const timeout = AbortSignal.timeout(10_000);
    for (;;) {
      const index = this.#requests.findIndex((request) => request.path === path);
      if (index >= 0) return this.#requests.splice(index, 1)[0]!;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting = resolve;
      timeout.addEventListener('abort', () => resolve(), { once: true });
      await promise;
      assert.ok(!timeout.aborted, `nothing came to ${path} within 10 s`);
    }
  }

  count(path: string): number {
    return this.#requests.filter((request) => request.path === path).length;
  }
}

const [OLD, NEW] = ['the old secret', 'the new secret'].map((text) => `whsec_${Buffer.from(text.padEnd(32, '.')).toString('base64')}`) as [
  string,
  string,
];

describe('webhooks', () => {
  const receiver = new Receiver();
  let virga: Virga;
  let shop: ControlClient;

  before(async () => {
    await new Promise<void>((resolve) => receiver.server.listen(0, '127.0.0.2', resolve));
    virga = await startVirga({ env: { VIRGA_WEBHOOKS_PRIVATE: '127.0.0.2' } });
    for (const [name, value] of [
      ['OLD', OLD],
      ['NEW', NEW],
    ] as const)
      assert.equal((await virga.cli(['secrets', 'set', name, '--project', 'shop'], { input: value })).code, 0);
    const retry = '{attempts: 2, delay: 50ms}';
    const { code, stderr } = await virga.deploy({
      'virga.yaml': `
project: shop
queues: {failed: {}}
topics:
  signed:
    subscriptions:
      - {url: "${receiver.url}/signed", secret: [OLD, NEW], headers: {x-tenant: tea}, filter: {body: {total: [{numeric: [">=", 10]}]}}}
  binary:
    subscriptions: [{url: "${receiver.url}/binary", mode: binary, secret: NEW}]
  answers:
    subscriptions: [{url: "${receiver.url}/answers", retry: {attempts: 9, delay: 50ms}, timeout: 500ms, deadLetters: failed}]
  gone:
    subscriptions: [{url: "${receiver.url}/gone", retry: {attempts: 9}, deadLetters: failed}]
  hopeless:
    subscriptions: [{url: "${receiver.url}/hopeless", retry: ${retry}, deadLetters: failed}]
  moved:
    subscriptions: [{url: "${receiver.url}/moved", retry: ${retry}, deadLetters: failed}]
  busy:
    subscriptions: [{url: "${receiver.url}/busy", name: erp}]
  inside:
    subscriptions:
      - {url: "http://localhost:${new URL(virga.controlUrl).port}/v1/projects", retry: ${retry}, deadLetters: failed, name: by-name}
functions: {idle: {source: idle.js}}
`,
      'idle.js': 'export const handler = () => 1;',
    });
    assert.equal(code, 0, stderr);
    shop = new ControlClient(virga, 'shop');
  });
  after(async () => {
    await virga[Symbol.asyncDispose]();
    receiver.server.closeAllConnections();
    await new Promise((resolve) => receiver.server.close(resolve));
  });

  const publish = async (topic: string, message: object): Promise<{ id: string; deliveries: number }> => {
    const { status, body } = await shop.post<{ published: { id: string; deliveries: number }[] }>(`/topics/${topic}/messages`, message);
    assert.equal(status, 202, JSON.stringify(body));
    return body.published[0]!;
  };

  test('a message that passes the filter is sent as a CloudEvent, signed with each of the secrets', async () => {
    assert.equal((await publish('signed', { body: { total: 9 } })).deliveries, 0);
    const { id } = await publish('signed', { body: { total: 10 }, attributes: { region: 'eu' }, subject: 'ü' });
    const { headers, body } = await receiver.next('/signed');
    assert.equal(headers['content-type'], 'application/cloudevents+json; charset=utf-8');
    assert.equal(headers['x-tenant'], 'tea');
    for (const secret of [OLD, NEW]) new Webhook(secret).verify(body, headers as Record<string, string>);
    assert.throws(() => new Webhook(`whsec_${Buffer.from('another').toString('base64')}`).verify(body, headers as Record<string, string>));
    assert.throws(() => new Webhook(OLD).verify(`${body} `, headers as Record<string, string>));
    const event = HTTP.toEvent<{ id: string; body: string }>({ headers, body }) as CloudEvent<{
      id: string;
      body: string;
      subject: string;
    }>;
    assert.equal(event.type, 'virga.topic.message');
    assert.equal(event.id, headers['webhook-id']);
    assert.deepEqual(
      { ...event.data, sentAt: 0 },
      { topic: 'signed', id, subject: 'ü', body: '{"total":10}', attributes: { region: 'eu' }, sentAt: 0 },
    );
  });

  test('binary mode has the attributes in headers', async () => {
    const { id } = await publish('binary', { body: 'text' });
    const { headers, body } = await receiver.next('/binary');
    new Webhook(NEW).verify(body, headers as Record<string, string>);
    const event = HTTP.toEvent({ headers, body }) as CloudEvent<{ id: string }>;
    assert.equal(headers['ce-type'], 'virga.topic.message');
    assert.deepEqual([event.type, event.subject, event.data!.id], ['virga.topic.message', 'binary', id]);
  });

  test('an attempt that fails is repeated with the same id, also when no answer comes; Retry-After is waited for', async () => {
    receiver.prepare('/answers', [
      { status: 500, body: 'x'.repeat(200_000) },
      { status: 200, never: true },
      { status: 503, headers: { 'retry-after': '1' } },
      { status: 201, body: 'ok' },
    ]);
    await publish('answers', { body: 'x' });
    const times: number[] = [];
    const ids = new Set<string>();
    for (let attempt = 0; attempt < 4; attempt++) {
      const { headers } = await receiver.next('/answers');
      times.push(Date.now());
      ids.add(headers['webhook-id'] as string);
    }
    assert.equal(ids.size, 1);
    assert.ok(times[2]! - times[1]! >= 450, `it waited ${times[2]! - times[1]!} ms for an answer`);
    assert.ok(times[3]! - times[2]! >= 950, `it waited ${times[3]! - times[2]!} ms after 503`);
    await shop.empty('failed');
  });

  test('a receiver that asks for time gets nothing else meanwhile, and `virga deliveries` says why', async () => {
    receiver.prepare('/busy', [{ status: 503, headers: { 'retry-after': '600' } }]);
    await publish('busy', { body: 'first' });
    const { headers } = await receiver.next('/busy');
    const first = headers['webhook-id'] as string;
    const deliveries = async () => {
      const { stdout } = await virga.cli(['deliveries', '--source', 'webhook/busy/erp', '--project', 'shop', '--json']);
      return JSON.parse(stdout) as { id: string; state: string; attempt: number; lastError: string | null }[];
    };
    await eventually(async () => ((await deliveries())[0]?.state === 'delayed' ? true : undefined));
    await publish('busy', { body: 'second' });
    const [one, two] = await deliveries();
    assert.deepEqual([one!.id, one!.state, one!.attempt, one!.lastError], [first, 'delayed', 1, 'the receiver answered 503']);
    assert.deepEqual([two!.state, two!.attempt], ['pending', 0]);
    const { stdout } = await virga.cli(['deliveries', 'show', first, '--project', 'shop']);
    assert.match(stdout, /^to +webhook busy\/erp$/m);
    assert.equal(receiver.count('/busy'), 0);
  });

  for (const { topic, reply, attempts, reason } of [
    { topic: 'gone', reply: { status: 410 }, attempts: 1, reason: /410/ },
    { topic: 'hopeless', reply: { status: 400, body: 'secret words' }, attempts: 2, reason: /^the receiver answered 400$/ },
    { topic: 'moved', reply: { status: 308, headers: { location: '/elsewhere' } }, attempts: 2, reason: /308.*no redirects/ },
  ]) {
    test(`${topic}: after ${attempts} attempt(s) with ${reply.status} it is a dead letter`, async () => {
      receiver.prepare(
        `/${topic}`,
        Array.from({ length: 9 }, () => reply),
      );
      await publish(topic, { body: topic });
      for (let attempt = 0; attempt < attempts; attempt++) await receiver.next(`/${topic}`);
      const [dead] = await shop.dead('failed', 1);
      assert.match(dead!.lastError!, reason);
      assert.match(dead!.body, new RegExp(`"body":"${topic}"`));
      assert.equal(receiver.count(`/${topic}`) + receiver.count('/elsewhere'), 0);
    });
  }

  test('addresses of this machine that the operator did not open are not reached', async () => {
    await publish('inside', { body: 'x' });
    const [dead] = await shop.dead('failed', 1);
    assert.match(dead!.lastError!, /^localhost has the address .*loopback.*VIRGA_WEBHOOKS_PRIVATE/);
    const refused: [url: string, problem: RegExp][] = [
      ['http://127.0.0.1/x', /loopback.*VIRGA_WEBHOOKS_PRIVATE/],
      ['https://169.254.169.254/latest', /link-local.*VIRGA_WEBHOOKS_PRIVATE/],
      ['https://[::ffff:10.0.0.1]/', /private.*VIRGA_WEBHOOKS_PRIVATE/],
      ['https://2130706433/', /loopback/],
      ['http://192.0.2.1/', /plain http/],
    ];
    const subscriptions = refused.map(([url]) => `{url: "${url}"}`).join(', ');
    const { code, stderr } = await virga.deploy({
      'virga.yaml': `{project: bad, topics: {t: {subscriptions: [${subscriptions}]}}, functions: {idle: {source: idle.js}}}`,
      'idle.js': 'export const handler = () => 1;',
    });
    assert.equal(code, 1);
    const { detail } = (JSON.parse(stderr) as { error: { detail: { path: string; message: string }[] } }).error;
    for (const [index, [url, problem]] of refused.entries()) {
      const found = detail.find(({ path }) => path === `events.topics.t.subscriptions.${index}.url`);
      assert.match(found?.message ?? '', problem, url);
    }
  });

  test('a secret that was changed signs at once, and one that is named cannot be removed', async () => {
    const later = `whsec_${Buffer.from('a secret of later on, long enough').toString('base64')}`;
    assert.equal((await virga.cli(['secrets', 'set', 'NEW', '--project', 'shop'], { input: later })).code, 0);
    await eventually(async () => {
      await publish('binary', { body: 'x' });
      const { headers, body } = await receiver.next('/binary');
      try {
        return new Webhook(later).verify(body, headers as Record<string, string>) ?? true;
      } catch {
        return undefined;
      }
    });
    const removed = await virga.cli(['secrets', 'rm', 'OLD', '--project', 'shop']);
    assert.match(removed.stderr, /events\.topics\.signed\.subscriptions\.0\.secret/);
  });
});
