// What does it cost to publish durably, and how soon is it handled? One queue of Virga over HTTP and in a real sandbox, beside two libraries
// that keep queues in Postgres: pg-boss and graphile-worker, in the very server of that node and with its settings, each in a process of its
// own, which has no HTTP and no walls. Then what a step of a workflow costs, and how exactly a schedule fires. Caller: run.ts.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Virga } from '../test/system/virga.ts';
import { HttpClient } from './http-client.ts';
import type { BenchOptions } from './options.ts';
import { writeReport } from './report.ts';
import { digits, median, percentile, table } from './statistics.ts';
import { deploy, launchVirga, portOf } from './virga.ts';

const BATCH = 100;
const SINGLES_WIDTH = 64;
const BATCHES_WIDTH = 4;
const LATE_PER_S = 100;
const STEPS = 100;
const BODY = JSON.stringify({ order: 'o-1234567', items: ['tea', 'cup', 'spoon'], total: 42.5 });

const PROJECT = {
  'virga.yaml': `project: events
queues:
  kept: {maxMessages: 10000000}
  drained: {maxMessages: 10000000}
  timed: {}
schedules:
  ticks: {cron: "* * * * * *"}
functions:
  drain:
    source: drain.mjs
    triggers: [{queue: drained, batch: ${BATCH}}]
  timed:
    source: timed.mjs
    http: GET /late
    concurrency: 100
    instances: {max: 1}
    triggers: [{queue: timed}, {schedule: ticks}]
  steps:
    source: steps.mjs
    workflow: true
`,
  'drain.mjs': `export const handler = () => {};`,
  // When each message was sent is in its body; both clocks are that of the machine.
  'timed.mjs': `const late = { queue: [], schedule: [] };
const now = () => performance.timeOrigin + performance.now();
export default {
  fetch: () => Response.json(late),
  event({ data }) {
    if (data.schedule !== undefined) late.schedule.push(now() - data.dueAt);
    else for (const { body } of data.messages) late.queue.push(now() - Number(body));
  },
};`,
  'steps.mjs': `export async function handler({ steps }, context) {
  const begin = performance.now();
  for (let i = 0; i < steps; i++) await context.step('step', () => i);
  return (performance.now() - begin) / steps;
}`,
};

/** Of one round. */
interface PeerFigures {
  singlesPerS: number;
  batchedPerS: number;
  drainedPerS: number;
  throughPerS: number;
  lateP50Ms: number;
  lateP99Ms: number;
}

interface Figures extends PeerFigures {
  name: string;
}

export async function events({ rounds, seconds, samples, quick }: BenchOptions): Promise<void> {
  await using virga = await launchVirga();
  await deploy(virga, PROJECT);
  const measured: Figures[] = [];
  const ticksBegin = performance.now();
  for (let round = 0; round < rounds; round++) {
    measured.push({ name: 'Virga', ...(await ownFigures(virga, { seconds, samples })) });
    for (const name of ['pg-boss', 'graphile-worker'] as const) {
      measured.push({ name, ...(await peerFigures(virga, name, { seconds, samples })) });
    }
  }
  const stepMs: number[] = [];
  for (let round = 0; round < rounds; round++) stepMs.push(await costOfStep(virga));
  // What is measured of the schedule is measured when nothing else runs.
  const before = (await lateness(virga)).schedule.length;
  await sleep(Math.max(10_000, 20_000 - (performance.now() - ticksBegin)));
  const schedule = (await lateness(virga)).schedule.slice(before);

  const names = [...new Set(measured.map(({ name }) => name))];
  const of = (name: string, figure: keyof PeerFigures): number =>
    median(measured.filter((one) => one.name === name).map((one) => one[figure]));
  const rows = names.map((name) => [
    name,
    digits(of(name, 'singlesPerS')),
    digits(of(name, 'batchedPerS')),
    digits(of(name, 'drainedPerS')),
    digits(of(name, 'throughPerS')),
    digits(of(name, 'lateP50Ms')),
    digits(of(name, 'lateP99Ms')),
  ]);
  writeReport(
    {
      name: 'events',
      title: 'Events',
      body: [
        `Medians of ${rounds} rounds, interleaved. *Singles*: durable publishes a second, one message each, ${SINGLES_WIDTH} at a time. *Batches*: the same with ${BATCH} messages each, ${BATCHES_WIDTH} at a time. *Drained*: messages a second of a backlog of ${samples}, handled in batches of ${BATCH}. *Through*: the same while they are published. *Late*: from before the publish to the start of the handler, ${LATE_PER_S} messages a second. Virga is called over HTTP and runs the handler in a sandbox; of the libraries one process publishes and handles.`,
        table(['', 'singles/s', 'batches/s', 'drained/s', 'through/s', 'late p50 ms', 'late p99 ms'], rows),
        `A step of a workflow, one after the other (${STEPS} of a run): **${digits(median(stepMs))} ms** (budget: 15).`,
        `A schedule of every second, ${schedule.length} times: the function began ${digits(median(schedule))} ms after its time (p50), ${digits(percentile(schedule, 1))} ms at most (budget: 50).`,
        'Budgets: 10,000 publishes/s, 5,000 deliveries/s, late p50 10 ms and p99 50 ms.',
      ],
      measured: { measured, stepMs, schedule },
    },
    { quick },
  );
}

async function ownFigures(virga: Virga, { seconds, samples }: { seconds: number; samples: number }): Promise<PeerFigures> {
  const one = JSON.stringify({ messages: [{ body: BODY }] });
  const many = JSON.stringify({ messages: Array.from({ length: BATCH }, () => ({ body: BODY })) });
  const singlesPerS = await publishing(virga, { queue: 'kept', payload: one, messages: 1, width: SINGLES_WIDTH, seconds });
  const batchedPerS = await publishing(virga, { queue: 'kept', payload: many, messages: BATCH, width: BATCHES_WIDTH, seconds });
  await purge(virga, 'kept');
  const throughPerS = await through(virga, { payload: many, samples });
  const drainedPerS = await draining(virga, { payload: many, samples });
  const late = await latenesses(virga, seconds * 2);
  return { singlesPerS, batchedPerS, drainedPerS, throughPerS, lateP50Ms: percentile(late, 0.5), lateP99Ms: percentile(late, 0.99) };
}

function requestOf(virga: Virga, { method, path, payload = '' }: { method: string; path: string; payload?: string }): string {
  return `${method} ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${virga.token}\r\ncontent-type: application/json\r\ncontent-length: ${payload.length}\r\n\r\n${payload}`;
}

function messagesOf(virga: Virga, queue: string, payload: string): string {
  return requestOf(virga, { method: 'POST', path: `/v1/projects/events/queues/${queue}/messages`, payload });
}

/** Messages a second that were acknowledged. */
async function publishing(
  virga: Virga,
  { queue, payload, messages, width, seconds }: { queue: string; payload: string; messages: number; width: number; seconds: number },
): Promise<number> {
  const client = new HttpClient(portOf(virga.controlUrl));
  const request = messagesOf(virga, queue, payload);
  const begin = performance.now();
  const until = begin + seconds * 1_000;
  let sent = 0;
  const publisher = async (): Promise<void> => {
    while (performance.now() < until) {
      const { status, body, error } = await client.send(request, 30_000);
      if (status < 200 || status > 299) throw new Error(`a publish was answered ${status}: ${error ?? body.slice(0, 300)}`);
      sent += messages;
    }
  };
  await Promise.all(Array.from({ length: width }, publisher));
  client.close();
  return (sent * 1_000) / (performance.now() - begin);
}

/** From the first publish to the last message that was done. */
async function through(virga: Virga, { payload, samples }: { payload: string; samples: number }): Promise<number> {
  const done = (await statsOf(virga, 'drained')).done;
  const begin = performance.now();
  await publishAll(virga, 'drained', { payload, samples });
  await doneOf(virga, done + samples);
  return (samples * 1_000) / (performance.now() - begin);
}

/** The function's trigger is taken away, the backlog is made, and the trigger comes back. */
async function draining(virga: Virga, { payload, samples }: { payload: string; samples: number }): Promise<number> {
  const { done } = await statsOf(virga, 'drained');
  await deploy(virga, { ...PROJECT, 'virga.yaml': PROJECT['virga.yaml'].replace(/\n {4}triggers: \[\{queue: drained.*\]/, '') });
  await publishAll(virga, 'drained', { payload, samples });
  await deploy(virga, PROJECT);
  // It began with the deployment, whose end is only seen here: from the first that is seen to be done to the last.
  let first = await statsOf(virga, 'drained');
  while (first.done === done) first = await statsOf(virga, 'drained');
  const begin = performance.now();
  await doneOf(virga, done + samples);
  return ((done + samples - first.done) * 1_000) / (performance.now() - begin);
}

async function publishAll(virga: Virga, queue: string, { payload, samples }: { payload: string; samples: number }): Promise<void> {
  const client = new HttpClient(portOf(virga.controlUrl));
  const request = messagesOf(virga, queue, payload);
  let left = samples / BATCH;
  const publisher = async (): Promise<void> => {
    while (left-- > 0) {
      const { status, body } = await client.send(request, 30_000);
      if (status < 200 || status > 299) throw new Error(`a publish was answered ${status}: ${body.slice(0, 300)}`);
    }
  };
  await Promise.all(Array.from({ length: BATCHES_WIDTH }, publisher));
  client.close();
}

async function statsOf(virga: Virga, queue: string): Promise<{ done: number }> {
  const response = await fetch(`${virga.controlUrl}/v1/projects/events/queues/${queue}`, {
    headers: { authorization: `Bearer ${virga.token}` },
  });
  if (!response.ok) throw new Error(`the queue was answered ${response.status}: ${await response.text()}`);
  const { totals } = (await response.json()) as { totals: { done: number } };
  return totals;
}

async function doneOf(virga: Virga, count: number): Promise<void> {
  const until = performance.now() + 120_000;
  for (;;) {
    const { done } = await statsOf(virga, 'drained');
    if (done >= count) return;
    if (performance.now() > until) throw new Error(`${done} of ${count} messages were handled within two minutes`);
    await sleep(5);
  }
}

async function purge(virga: Virga, queue: string): Promise<void> {
  const client = new HttpClient(portOf(virga.controlUrl));
  const { status, body } = await client.send(
    requestOf(virga, { method: 'DELETE', path: `/v1/projects/events/queues/${queue}/messages` }),
    60_000,
  );
  client.close();
  if (status < 200 || status > 299) throw new Error(`the purge was answered ${status}: ${body.slice(0, 300)}`);
}

/** ms from before each publish to the start of the handler. */
async function latenesses(virga: Virga, seconds: number): Promise<number[]> {
  const client = new HttpClient(portOf(virga.controlUrl));
  const before = (await lateness(virga)).queue.length;
  const count = LATE_PER_S * seconds;
  const begin = performance.now();
  const sent: Promise<unknown>[] = [];
  for (let i = 0; i < count; i++) {
    const wait = begin + (i * 1_000) / LATE_PER_S - performance.now();
    if (wait > 0) await sleep(wait);
    sent.push(
      client.send(
        messagesOf(virga, 'timed', JSON.stringify({ messages: [{ body: String(performance.timeOrigin + performance.now()) }] })),
        30_000,
      ),
    );
  }
  await Promise.all(sent);
  client.close();
  for (;;) {
    const { queue } = await lateness(virga);
    if (queue.length >= before + count) return queue.slice(before);
    await sleep(20);
  }
}

async function lateness(virga: Virga): Promise<{ queue: number[]; schedule: number[] }> {
  return (await (await virga.fetch('events', '/late')).json()) as { queue: number[]; schedule: number[] };
}

async function costOfStep(virga: Virga): Promise<number> {
  const runs = `${virga.controlUrl}/v1/projects/events/workflows/steps/runs`;
  const headers = { authorization: `Bearer ${virga.token}`, 'content-type': 'application/json' };
  const { id } = await answerOf<{ id: string }>(
    await fetch(runs, { method: 'POST', headers, body: JSON.stringify({ input: { steps: STEPS } }) }),
  );
  for (;;) {
    const { state, result, error } = await answerOf<{ state: string; result?: number; error: unknown }>(
      await fetch(`${runs}/${id}`, { headers }),
    );
    if (state === 'succeeded') return result!;
    if (state === 'failed') throw new Error(`the workflow failed: ${JSON.stringify(error)}`);
    await sleep(20);
  }
}

async function answerOf<T>(response: Response): Promise<T> {
  if (!response.ok) throw new Error(`${response.url} was answered ${response.status}: ${await response.text()}`);
  return (await response.json()) as T;
}

async function peerFigures(virga: Virga, name: string, options: { seconds: number; samples: number }): Promise<PeerFigures> {
  const socketFolder = join(virga.dataFolder, 'run');
  const child = fork(join(import.meta.dirname, 'peers', 'job-queues', 'peer.mjs'), [
    JSON.stringify({
      name,
      socketFolder,
      body: BODY,
      ...options,
      batch: BATCH,
      singlesWidth: SINGLES_WIDTH,
      batchesWidth: BATCHES_WIDTH,
      latePerS: LATE_PER_S,
    }),
  ]);
  const [figures] = (await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(([code]) => Promise.reject(new Error(`${name} ended with ${code}`))),
  ])) as [PeerFigures];
  child.kill();
  return figures;
}
