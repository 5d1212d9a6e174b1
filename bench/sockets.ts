// What does an idle WebSocket cost at the gateway? Ten thousand are opened against one node, after a first lot that warms it up; then
// the edge's memory (proportional set, by /proc) is what it grew by, divided. Beside it, how long a message takes to the function
// and back while they are there. Caller: run.ts.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BenchOptions } from './options.ts';
import { writeReport } from './report.ts';
import { digits, median, table } from './statistics.ts';
import { deploy, launchVirga, portOf } from './virga.ts';

const WARM_UP = 500;
const PROJECT = {
  'virga.yaml': `project: sockets
functions:
  echo:
    source: echo.mjs
    concurrency: 100
    http:
      - { path: /, websocket: { idle: 1h } }
`,
  'echo.mjs': 'export const handler = ({ data }) => data.text;',
};

export async function sockets({ seconds, samples, quick }: BenchOptions): Promise<void> {
  await using virga = await launchVirga();
  await deploy(virga, PROJECT);
  const [edge] = virga.pids()['edge']!;
  const holder = spawn(process.execPath, [join(import.meta.dirname, 'idle-sockets.ts'), String(portOf(virga.edgeUrl)), '/@sockets/'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: holder.stdout })[Symbol.asyncIterator]();
  const openMore = async (count: number): Promise<number> => {
    const beginMs = performance.now();
    holder.stdin.write(`${count}\n`);
    if ((await lines.next()).done === true) throw new Error('the connections could not be opened');
    return count / ((performance.now() - beginMs) / 1_000);
  };
  const pssKiB = (): number => Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${edge}/smaps_rollup`, 'latin1'))?.[1]);

  const talker = new WebSocket(`${virga.edgeUrl.replace('http', 'ws')}/@sockets/`);
  await once(talker, 'open');
  // It is one of them.
  await openMore(WARM_UP - 1);
  const alone = await roundTrips(talker, seconds);
  await sleep(1_000);
  const beforeKiB = pssKiB();
  const perSecond = await openMore(samples - WARM_UP);
  await sleep(1_000);
  const afterKiB = pssKiB();
  const crowded = await roundTrips(talker, seconds);
  const eachKiB = (afterKiB - beforeKiB) / (samples - WARM_UP);
  talker.close();
  holder.stdin.end();
  await once(holder, 'close');

  const row = (name: string, times: number[]) => [name, digits(median(times) * 1_000), String(times.length)];
  writeReport(
    {
      name: 'sockets',
      title: 'WebSockets',
      body: [
        `${samples} idle connections, opened at ${digits(perSecond)} a second. The edge's proportional set grew from ${digits(beforeKiB / 1_024)} MiB with ${WARM_UP} of them to ${digits(afterKiB / 1_024)} MiB: **${digits(eachKiB)} KiB each**, garbage that was not collected yet included (budget: 15).`,
        `A message to the function and back, one after the other:\n\n${table(['idle connections', 'p50 µs', 'messages'], [row(String(WARM_UP), alone), row(String(samples), crowded)])}`,
      ],
      measured: { samples, perSecond, beforeKiB, afterKiB, eachKiB, aloneMs: median(alone), crowdedMs: median(crowded) },
    },
    { quick },
  );
}

/** Times of messages to the function and back, ms. */
async function roundTrips(socket: WebSocket, seconds: number): Promise<number[]> {
  const times: number[] = [];
  const until = performance.now() + seconds * 1_000;
  while (performance.now() < until) {
    const beginMs = performance.now();
    socket.send('hello');
    await once(socket, 'message');
    times.push(performance.now() - beginMs);
  }
  return times;
}
