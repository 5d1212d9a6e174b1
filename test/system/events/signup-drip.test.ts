// The example examples/signup-drip, deployed and used as it is.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ROOT, eventually, startVirga } from '../virga.ts';
import type { Virga } from '../virga.ts';
import { Workflows } from './workflows-client.ts';

let virga: Virga;
let workflows: Workflows;
before(async () => {
  virga = await startVirga();
  const { code, stderr } = await virga.cli(['deploy', join(ROOT, 'examples', 'signup-drip')]);
  assert.equal(code, 0, stderr);
  workflows = new Workflows(virga, 'signup-drip');
});
after(() => virga[Symbol.asyncDispose]());

async function post(path: string, body: object): Promise<{ status: number; body: unknown }> {
  const response = await virga.fetch('signup-drip', path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: await response.json() };
}

/** Subjects of all that was sent to somebody, in order. */
async function mailsTo(mail: string): Promise<string[]> {
  const { stdout } = await virga.cli(['queues', 'peek', 'mails', '--project', 'signup-drip', '--json']);
  return (JSON.parse(stdout) as { body: string }[])
    .map(({ body }) => JSON.parse(body) as { to: string; subject: string })
    .filter(({ to }) => to === mail)
    .map(({ subject }) => subject);
}

test('who confirms gets a welcome and thanks, through a kill -9 of the edge between the mails', async () => {
  assert.equal((await post('/signups', { user: 'ada' })).status, 400);
  assert.deepEqual(await post('/signups', { user: 'ada', mail: 'ada@example.com' }), { status: 202, body: { user: 'ada', started: true } });
  assert.deepEqual((await post('/signups', { user: 'ada', mail: 'ada@example.com' })).body, { user: 'ada', started: false });
  await workflows.until('drip', 'ada', ({ state }) => state === 'waiting');
  const [edge] = virga.pids()['edge']!;
  process.kill(edge!, 'SIGKILL');
  await eventually(async () => virga.pids()['edge']?.find((pid) => pid !== edge));
  await eventually(async () => ((await post('/confirmations/ada', {}).catch(() => undefined))?.status === 202 ? true : undefined));
  const { confirmed, mails } = (await workflows.succeeded('drip', 'ada')).result as { confirmed: boolean; mails: number };
  assert.ok(confirmed);
  // How many reminders there were meanwhile is the machine's matter; none was sent twice.
  const subjects = await mailsTo('ada@example.com');
  assert.equal(subjects.length, mails);
  assert.equal(new Set(subjects).size, mails);
  assert.deepEqual([subjects[0], subjects.at(-1)], ['Welcome', 'Thank you']);
});

test('who never confirms gets reminders, and a goodbye', async () => {
  await post('/signups', { user: 'bob', mail: 'bob@example.com' });
  await eventually(async () => ((await workflows.run('drip', 'bob')).state === 'succeeded' ? true : undefined), 20_000);
  assert.deepEqual(await mailsTo('bob@example.com'), ['Welcome', 'Your tea is getting cold', 'Last call', 'Goodbye']);
});
