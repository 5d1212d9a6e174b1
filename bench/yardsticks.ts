// What the machine can do with nothing of Virga around it: how long `node empty.js` and `python3 -c 0` take from spawn to
// exit, and how many boots a second all cores manage, bare and in bubblewrap. Callers: cold.ts, cold-rate.ts, burst.ts.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/** The machine's own, as Virga takes it: not a wrapper that PATH may name first, which costs ten times as much. */
export const PYTHON_PATH = ['/usr/bin/python3', '/usr/local/bin/python3'].find(existsSync) ?? 'python3';

/** From spawn to exit. */
export async function processMs(command: string, args: string[]): Promise<number> {
  const beginMs = performance.now();
  const [code] = (await once(spawn(command, args, { stdio: 'ignore' }), 'exit')) as [number];
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}`);
  return performance.now() - beginMs;
}

/** The same in namespaces of its own; bubblewrap as Virga's default driver would find it. */
export const inBubblewrap = (command: string, args: string[]): [string, string[]] => [
  'bwrap',
  ['--ro-bind', '/', '/', '--dev', '/dev', '--proc', '/proc', '--unshare-all', '--die-with-parent', command, ...args],
];

/** How many a second, with one in work per core. */
export async function bootsPerSecond(command: string, args: string[], seconds: number): Promise<number> {
  const beginMs = performance.now();
  const untilMs = beginMs + seconds * 1_000;
  let boots = 0;
  await Promise.all(
    Array.from({ length: availableParallelism() }, async () => {
      while (performance.now() < untilMs) {
        await processMs(command, args);
        boots++;
      }
    }),
  );
  return (boots * 1_000) / (performance.now() - beginMs);
}
