// What every hostile function is tried beside: a Virga with a project `neighbour`, whose function `victim` has a secret in its
// environment and in its code, and must go on answering rightly whatever is done in project `hostile`.
// Used by the hostile-*.test.ts beside it.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { leftovers, startVirga } from '../system/virga.ts';
import type { StartOptions, Virga } from '../system/virga.ts';

export const SECRET = 'the neighbour has 4711 in the vault';
const VICTIM_WITHIN_MS = 5_000;
const VICTIM_EVERY_MS = 10;

const NEIGHBOUR = {
  'virga.yaml': `
project: neighbour
functions:
  victim: { source: victim.ts, env: { SECRET: '${SECRET}' }, http: [{ path: /victim }] }
`,
  'victim.ts': `
import { writeFileSync } from 'node:fs';
import { createServer, connect } from 'node:net';
import { userInfo } from 'node:os';
export const kept = '${SECRET}';
let served = 0;
writeFileSync('/tmp/kept', kept);
const door = createServer((socket) => socket.end(kept)).listen('\\0virga-neighbour');
const own = await new Promise<string>((resolve) => connect('\\0virga-neighbour').on('data', (bytes) => resolve(String(bytes))));
export default { fetch(request: Request) {
  const n = new URL(request.url).searchParams.get('n');
  if (n === 'door') return new Response(own === kept && door.listening ? 'open to itself' : 'closed');
  return new Response(\`victim \${n} \${process.env['SECRET'] === kept} \${typeof userInfo().uid} \${++served > 0}\`);
} };`,
};

export interface Neighbourhood extends AsyncDisposable {
  readonly virga: Virga;
  /** Calls the hostile project while the victim is called all the time; fails when that one does not answer rightly. */
  attack(path: string, init?: RequestInit): Promise<{ status: number; text: string; headers: Headers }>;
  /** The same around anything else. */
  beside<T>(work: () => Promise<T>): Promise<T>;
  deploy(files: Record<string, string>): Promise<void>;
}

/** `hostile`: the files of project `hostile`. */
export async function startNeighbourhood(hostile: Record<string, string>, options: StartOptions = {}): Promise<Neighbourhood> {
  // The suite holds for every driver that isolates: VIRGA_SANDBOX chooses another one.
  const { VIRGA_SANDBOX } = process.env;
  const virga = await startVirga({ ...options, env: { ...(VIRGA_SANDBOX === undefined ? {} : { VIRGA_SANDBOX }), ...options.env } });
  let asked = 0;
  const victimAnswers = async (): Promise<void> => {
    const n = ++asked;
    const response = await virga.fetch('neighbour', `/victim?n=${n}`, { signal: AbortSignal.timeout(VICTIM_WITHIN_MS) });
    assert.equal(await response.text(), `victim ${n} true number true`);
  };
  const neighbourhood: Neighbourhood = {
    virga,
    async beside(work) {
      let over = false;
      const watching = (async () => {
        do {
          await victimAnswers();
          await sleep(VICTIM_EVERY_MS);
        } while (!over);
        await victimAnswers();
      })();
      try {
        return await Promise.race([work(), watching.then(() => assert.fail('the victim was not called until the end'))]);
      } finally {
        over = true;
        await watching;
      }
    },
    attack: (path, init) =>
      neighbourhood.beside(async () => {
        const response = await virga.fetch('hostile', path, { signal: AbortSignal.timeout(30_000), ...init });
        return { status: response.status, text: await response.text(), headers: response.headers };
      }),
    async deploy(files) {
      const deployed = await virga.deploy(files);
      assert.equal(deployed.code, 0, deployed.stderr);
    },
    async [Symbol.asyncDispose]() {
      await virga[Symbol.asyncDispose]();
      assert.deepEqual(leftovers(virga.dataFolder), []);
    },
  };
  try {
    await neighbourhood.deploy(NEIGHBOUR);
    await neighbourhood.deploy(hostile);
    await victimAnswers();
  } catch (error) {
    await virga[Symbol.asyncDispose]();
    throw error;
  }
  return neighbourhood;
}

/** Files of attacks/, to be deployed. */
export function attackFiles(...names: string[]): Record<string, string> {
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(import.meta.dirname, 'attacks', name), 'utf8')]));
}

/** The error of an answer, or an empty one. */
export function errorOf(text: string): { code: string; message: string } {
  try {
    return (JSON.parse(text) as { error?: { code: string; message: string } }).error ?? { code: '', message: '' };
  } catch {
    return { code: '', message: '' };
  }
}
