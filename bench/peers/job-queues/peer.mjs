// A library that keeps queues in Postgres, measured as events.ts measures Virga; a process of its own, so that its JavaScript takes nothing
// from others. Each is set up for speed as its documentation says: batches, notification, no polling in between. Caller: events.ts.
import { setTimeout as sleep } from 'node:timers/promises';
import { Logger, makeWorkerUtils, run, runMigrations } from 'graphile-worker';
import pg from 'pg';
import { PgBoss } from 'pg-boss';
import { percentile } from '../../statistics.ts';

const CONNECTIONS = 10;
/** Of graphile-worker, which handles jobs one by one. */
const WORKERS = 24;
const options = JSON.parse(process.argv[2]);
const DATABASE = `bench_${options.name.replace('-', '_')}`;
const connection = { host: options.socketFolder, user: 'virga', database: DATABASE, max: CONNECTIONS };

async function makeDatabase() {
  const client = new pg.Client({ ...connection, database: 'virga' });
  await client.connect();
  const { rowCount } = await client.query('select 1 from pg_database where datname = $1', [DATABASE]);
  if (rowCount === 0) await client.query(`create database ${DATABASE}`);
  await client.end();
}

async function pgBoss() {
  const boss = new PgBoss({ ...connection, useListenNotify: true });
  boss.on('error', (error) => console.error(error));
  await boss.start();
  for (const queue of ['kept', 'drained', 'timed']) await boss.createQueue(queue, { notify: true });
  return {
    publish: (queue, data) => boss.send(queue, data),
    publishMany: (queue, data) =>
      boss.insert(
        queue,
        data.map((one) => ({ data: one })),
      ),
    handle: async (queue, batch, onJob) => {
      const handler = async (jobs) => {
        for (const { data } of jobs) onJob(data);
      };
      await boss.work(
        queue,
        { batchSize: batch, localConcurrency: 4, pollingIntervalSeconds: 0.5, notifyPollingIntervalSeconds: 0.5, burstWhenBatchFull: true },
        handler,
      );
      return () => boss.offWork(queue);
    },
    empty: () => boss.deleteAllJobs(),
    close: () => boss.stop({ graceful: false }),
  };
}

async function graphileWorker() {
  const pool = new pg.Pool({ ...connection, max: WORKERS + 4 });
  pool.on('error', () => {});
  const logger = new Logger(() => () => {});
  await runMigrations({ pgPool: pool, logger });
  const utils = await makeWorkerUtils({ pgPool: pool, logger });
  return {
    publish: (queue, data) => utils.addJob(queue, data),
    publishMany: (queue, data) => utils.addJobs(data.map((payload) => ({ identifier: queue, payload }))),
    handle: async (queue, batch, onJob) => {
      const runner = await run({
        pgPool: pool,
        logger,
        noHandleSignals: true,
        taskList: { [queue]: (payload) => onJob(payload) },
        preset: {
          worker: {
            concurrentJobs: Math.min(WORKERS, batch),
            pollInterval: 2_000,
            localQueue: { size: 500 },
            completeJobBatchDelay: 0,
            failJobBatchDelay: 0,
          },
        },
      });
      return () => runner.stop();
    },
    empty: async () => void (await pool.query('truncate graphile_worker._private_jobs')),
    close: async () => {
      await utils.release();
      await pool.end();
    },
  };
}

async function publishing(width, messages, publish) {
  const begin = performance.now();
  const until = begin + options.seconds * 1_000;
  let sent = 0;
  const publisher = async () => {
    while (performance.now() < until) {
      await publish();
      sent += messages;
    }
  };
  await Promise.all(Array.from({ length: width }, publisher));
  return (sent * 1_000) / (performance.now() - begin);
}

async function publishAll(peer, many) {
  let left = options.samples / many.length;
  const publisher = async () => {
    while (left-- > 0) await peer.publishMany('drained', many);
  };
  await Promise.all(Array.from({ length: options.batchesWidth }, publisher));
}

/** Messages a second until all were handled. */
async function handling(peer, publish, { before }) {
  if (before) await publish();
  const all = Promise.withResolvers();
  let handled = 0;
  const begin = performance.now();
  const end = await peer.handle('drained', options.batch, () => {
    if (++handled === options.samples) all.resolve();
  });
  if (!before) await publish();
  await all.promise;
  const perS = (options.samples * 1_000) / (performance.now() - begin);
  await end();
  return perS;
}

async function latenesses(peer) {
  const now = () => performance.timeOrigin + performance.now();
  const count = options.latePerS * options.seconds * 2;
  const late = [];
  const all = Promise.withResolvers();
  const end = await peer.handle('timed', 10, (data) => {
    if (late.push(now() - data.at) === count) all.resolve();
  });
  await sleep(500);
  const begin = performance.now();
  for (let i = 0; i < count; i++) {
    const wait = begin + (i * 1_000) / options.latePerS - performance.now();
    if (wait > 0) await sleep(wait);
    void peer.publish('timed', { at: now() });
  }
  await all.promise;
  await end();
  return late;
}

await makeDatabase();
const peer = await (options.name === 'pg-boss' ? pgBoss() : graphileWorker());
const one = JSON.parse(options.body);
const many = Array.from({ length: options.batch }, () => one);
const singlesPerS = await publishing(options.singlesWidth, 1, () => peer.publish('kept', one));
const batchedPerS = await publishing(options.batchesWidth, options.batch, () => peer.publishMany('kept', many));
await peer.empty();
const throughPerS = await handling(peer, () => publishAll(peer, many), { before: false });
const drainedPerS = await handling(peer, () => publishAll(peer, many), { before: true });
const late = await latenesses(peer);
await peer.empty();
const figures = {
  singlesPerS,
  batchedPerS,
  drainedPerS,
  throughPerS,
  lateP50Ms: percentile(late, 0.5),
  lateP99Ms: percentile(late, 0.99),
};
await new Promise((resolve) => process.send(figures, resolve));
await peer.close();
process.disconnect?.();
