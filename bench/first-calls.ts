// Functions whose first calls are measured: light handlers and bundles of 1 MiB, in Node and in Python, and what one such
// call is. Invariant: every sample is the first call of a version of its own, and its receipt says so: an answer that is not
// `cold` is an error of the measurement and ends it. Callers: cold.ts, cold-rate.ts, burst.ts.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Virga } from '../test/system/virga.ts';
import { receiptOf } from './http-client.ts';
import type { Answer } from './http-client.ts';
import { deploy, heavyHandler, heavyPython, HELLO, HELLO_PYTHON } from './virga.ts';

const HEAVY_KIB = 1024;
/** A sandbox that was there already is handed over in less. */
const HIT_SANDBOX_MS = 2;
/** After a deploy: blanks are there again, and what the deploy left to do is done. */
const SETTLE_MS = 1_500;

export interface Kind {
  name: string;
  file: string;
  source: string;
  yardstick: 'node' | 'python';
  memory: string;
}

export const LIGHT: Kind = { name: 'Node, light handler', file: 'light.mjs', source: HELLO, yardstick: 'node', memory: '64 MiB' };
export const HEAVY: Kind = {
  name: 'Node, 1 MiB bundle',
  file: 'heavy.mjs',
  source: heavyHandler(HEAVY_KIB),
  yardstick: 'node',
  memory: '64 MiB',
};
export const PYTHON: Kind = {
  name: 'Python, light handler',
  file: 'light.py',
  source: HELLO_PYTHON,
  yardstick: 'python',
  memory: '64 MiB',
};
export const PYTHON_HEAVY: Kind = {
  name: 'Python, 1 MiB module',
  file: 'heavy.py',
  source: heavyPython(HEAVY_KIB),
  yardstick: 'python',
  // Compiling so much source takes Python 100 MiB.
  memory: '256 MiB',
};

export interface FirstCall {
  ms: number;
  /** By the receipt. */
  phases: Record<string, number>;
  /** Whether a sandbox was ready for it. */
  hit: boolean;
}

let state = 0;

/** Deploys `count` functions of a kind, each in a version that was never called; their paths. */
export async function freshFunctions(virga: Virga, kind: Kind, options: { count: number; project: string }): Promise<string[]> {
  const { count, project } = options;
  state++;
  const functions = Array.from(
    { length: count },
    (_, n) => `  f${n}: { source: ${kind.file}, memory: ${kind.memory}, idle: 1s, env: { STATE: ${state} }, http: GET /f${n} }`,
  );
  await deploy(virga, { 'virga.yaml': `project: ${project}\nfunctions:\n${functions.join('\n')}\n`, [kind.file]: kind.source });
  await sleep(SETTLE_MS);
  return Array.from({ length: count }, (_, n) => `/@${project}/f${n}`);
}

/** What a good answer says; undefined when the call failed. */
export function firstCall(answer: Answer & { ms: number }): FirstCall | undefined {
  if (answer.status !== 200) return undefined;
  const { cold, phases } = receiptOf(answer.head);
  if (!answer.body.startsWith('hello')) throw new Error(`a first call answers ${answer.body.slice(0, 200)}`);
  if (!cold) throw new Error(`a call that should have been cold was not: ${answer.head}`);
  return { ms: answer.ms, phases, hit: phases['sandbox']! < HIT_SANDBOX_MS };
}
