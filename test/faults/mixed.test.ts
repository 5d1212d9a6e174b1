// 8,000 calls, cold and warm mixed, over 200 functions of several kinds, while instances are killed at random: every answer is
// right, or an error that says what happened; nothing hangs; and afterwards nothing is left that was not there before:
// processes, cgroups, mounts, file descriptors, memory. VIRGA_MIXED_CALLS makes it longer.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { globSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { descendants, leftovers, processes, startVirga } from '../system/virga.ts';
import type { Virga } from '../system/virga.ts';

const CALLS = Number(process.env['VIRGA_MIXED_CALLS'] ?? 8_000);
const SEED = Number(process.env['VIRGA_MIXED_SEED'] ?? Date.now() % 1_000_000);
const FUNCTIONS = 200;
const WIDTH = 16;
/** So many functions are called at a time; every ROTATION calls one of them makes room for another, which has gone cold meanwhile. */
const CURRENT = 16;
const ROTATION = 50;
/** So many calls between two kills: by calls, not by time, so that a slow machine is not killed faster than it starts. */
const KILL_EVERY = 100;
/** A call that has no end by then hangs. */
const CALL_MS_MAX = 30_000;
const SETTLE_MS_MAX = 25_000;
/** What may differ in number of descriptors without being a leak: connections of the pool to the database, idle clients. */
const SLACK = 16;
/** Sandboxes that Virga may keep ready for later: their number follows demand. */
const READY_MAX = 40;
const GROWTH_MIB_MAX = 120;
/** What a call may say whose instance was killed, while it ran or before it was ready. */
const HONEST: Record<string, RegExp> = {
  '502 function_crashed': /was ended by SIGKILL during the call/,
  '502 function_load_failed': /its process was ended by SIGKILL/,
};

type Kind = 'json' | 'echo' | 'stream' | 'many' | 'python' | 'pyecho';
const KINDS: Kind[] = ['json', 'echo', 'stream', 'many', 'json', 'python', 'many', 'echo', 'pyecho', 'json'];
const kindOf = (n: number): Kind => KINDS[n % KINDS.length]!;

const SOURCES: Record<string, string> = {
  'json.mjs': `export default { fetch(request) {
  const i = Number(new URL(request.url).searchParams.get('i'));
  return Response.json({ own: process.env.OWN, double: i * 2 });
} };`,
  'echo.mjs': `import { createHash } from 'node:crypto';
export default { async fetch(request) {
  const bytes = new Uint8Array(await request.arrayBuffer());
  return Response.json({ own: process.env.OWN, bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') });
} };`,
  'stream.mjs': `export default { fetch(request) {
  const i = Number(new URL(request.url).searchParams.get('i'));
  let chunk = 0;
  return new Response(new ReadableStream({ async pull(controller) {
    if (chunk === 5) return controller.close();
    await new Promise((resolve) => setTimeout(resolve, 1));
    controller.enqueue(new TextEncoder().encode(process.env.OWN + ':' + i + ':' + chunk++ + '\\n' + 'x'.repeat(2_000) + '\\n'));
  } }));
} };`,
  'many.mjs': `export default { async fetch(request) {
  const i = Number(new URL(request.url).searchParams.get('i'));
  await new Promise((resolve) => setTimeout(resolve, 2));
  return Response.json({ own: process.env.OWN, triple: i * 3 });
} };`,
  'python.py': `import os

def handler(event, context):
    return {"own": os.environ["OWN"], "quadruple": int(event["queryStringParameters"]["i"]) * 4}
`,
  'pyecho.py': `import base64
import hashlib
import os

def handler(event, context):
    body = event["body"] or ""
    data = base64.b64decode(body) if event.get("isBase64Encoded") else body.encode()
    return {"own": os.environ["OWN"], "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
`,
};

function manifest(): string {
  const functions = Array.from({ length: FUNCTIONS }, (_, n) => {
    const kind = kindOf(n);
    const file = `${kind}.${kind.startsWith('py') ? 'py' : 'mjs'}`;
    const concurrency = kind === 'many' ? 8 : 1;
    return `  f${n}: { source: ${file}, memory: 64 MiB, idle: 1s, instances: { max: 2 }, concurrency: ${concurrency}, env: { OWN: f${n} }, http: /f${n} }`;
  });
  return `project: mixed\nfunctions:\n${functions.join('\n')}\n`;
}

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

/** What function `n` has to answer to call `i`, and how it is called. */
function plan(n: number, i: number): { init: RequestInit; wanted: string } {
  const own = `f${n}`;
  const kind = kindOf(n);
  if (kind === 'echo' || kind === 'pyecho') {
    // Now and then one that does not fit into the first frame.
    const body = Buffer.alloc(i % 10 === 0 ? 100_000 + (i % 977) : (i * 7) % 3_000, (i % 26) + 97);
    const init = { method: 'POST', body, headers: { 'content-type': 'application/octet-stream' } };
    return { init, wanted: JSON.stringify({ own, bytes: body.length, sha256: sha256(body) }) };
  }
  if (kind === 'stream') {
    const chunks = Array.from({ length: 5 }, (_, chunk) => `${own}:${i}:${chunk}\n${'x'.repeat(2_000)}\n`);
    return { init: {}, wanted: chunks.join('') };
  }
  const answers = { json: { double: i * 2 }, many: { triple: i * 3 }, python: { quadruple: i * 4 } };
  return { init: {}, wanted: JSON.stringify({ own, ...answers[kind] }) };
}

/** mulberry32: the same calls and the same kills for the same seed, as far as the machine's timing allows. */
function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface Tally {
  right: number;
  cold: number;
  kills: number;
  /** Streams whose instance was killed when part of the answer had left: the connection is broken off. */
  brokenOff: number;
  /** By code. */
  errors: Record<string, number>;
  wrong: string[];
}

const sameJson = (a: string, b: string): boolean => {
  try {
    assert.deepEqual(JSON.parse(a), JSON.parse(b));
    return true;
  } catch {
    return false;
  }
};

async function callOnce(virga: Virga, n: number, i: number, tally: Tally): Promise<void> {
  const { init, wanted } = plan(n, i);
  let status = 0;
  try {
    const response = await virga.fetch('mixed', `/f${n}?i=${i}`, { ...init, signal: AbortSignal.timeout(CALL_MS_MAX) });
    status = response.status;
    const text = await response.text();
    if (status === 200 && (text === wanted || (text[0] === '{' && sameJson(text, wanted)))) {
      tally.right++;
      if (/cold/.test(response.headers.get('server-timing') ?? '')) tally.cold++;
      return;
    }
    const code = `${status} ${/"code":"(\w+)"/.exec(text)?.[1]}`;
    if (HONEST[code]?.test(text)) tally.errors[code] = (tally.errors[code] ?? 0) + 1;
    else tally.wrong.push(`f${n} (${kindOf(n)}) call ${i}: ${status} ${text.slice(0, 300)}`);
  } catch (error) {
    // Only an answer that had begun may break off.
    if (status === 200 && kindOf(n) === 'stream' && (error as Error).name !== 'TimeoutError') tally.brokenOff++;
    else
      tally.wrong.push(`f${n} (${kindOf(n)}) call ${i}: ${String(error)} ${((error as Error).cause as Error | undefined)?.message ?? ''}`);
  }
}

/** Guest programs of this Virga: the processes that run functions. */
const guestsOf = (virga: Virga): number[] =>
  descendants(virga.process.pid!)
    .filter(({ command }) => /guest\.(cjs|py)/.test(command) && !/^(bwrap|crun|runc|runsc)/.test(command))
    .map(({ pid }) => pid);

/** What this Virga holds of the machine. */
interface Footing {
  edgeDescriptors: number;
  launcherDescriptors: number;
  edgeMiB: number;
  guests: number;
  processes: number;
  mounts: number;
  /** Cgroups of sandboxes that hold no process. */
  emptyCgroups: string[];
}

function footing(virga: Virga): Footing {
  const [edge, launcher] = [virga.pids()['edge']![0]!, virga.pids()['launcher']![0]!];
  const descriptors = (pid: number) => readdirSync(`/proc/${pid}/fd`).length;
  return {
    edgeDescriptors: descriptors(edge),
    launcherDescriptors: descriptors(launcher),
    edgeMiB: Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${edge}/status`, 'utf8'))![1]) / 1024,
    guests: guestsOf(virga).length,
    processes: descendants(virga.process.pid!).length,
    mounts: mountsOf('self', virga.dataFolder) + mountsOf(String(launcher), virga.dataFolder),
    emptyCgroups: cgroupsOf(scope).filter((folder) => isEmpty(folder)),
  };
}

/** False of one that went away while it was looked at: sandboxes end at any moment. */
function isEmpty(cgroup: string): boolean {
  try {
    return readFileSync(join(cgroup, 'cgroup.procs'), 'utf8').trim() === '';
  } catch (error) {
    // v1 tells of a cgroup removed between open and read with ENODEV.
    if (['ENOENT', 'ENODEV'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
    throw error;
  }
}

const mountsOf = (pid: string, folder: string): number =>
  readFileSync(`/proc/${pid}/mountinfo`, 'utf8')
    .split('\n')
    .filter((line) => line.includes(folder)).length;

/** `<scope>` of the mark that every sandbox of this Virga carries; its cgroups are named by it. */
function scopeOf(virga: Virga): string {
  for (const { pid } of descendants(virga.process.pid!)) {
    const found = /(?:^|\0)VIRGA_SANDBOX_MARK=([^/\0]+)\//.exec(environmentOf(pid));
    if (found !== null) return found[1]!;
  }
  throw new Error('no process carries the mark of a sandbox');
}

/** The cgroups of its sandboxes, in all hierarchies. */
function cgroupsOf(ofScope: string): string[] {
  return readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .filter((line) => /^\S+ \S+ cgroup2? /.test(line))
    .flatMap((line) => globSync(`virga-${ofScope}/*/`, { cwd: line.split(' ')[1]! }).map((name) => join(line.split(' ')[1]!, name)));
}

/** Waits until every function is scaled to zero and what is kept ready is there again; what Virga holds then. */
async function settled(virga: Virga, isGood: (now: Footing) => boolean): Promise<Footing> {
  const untilMs = performance.now() + SETTLE_MS_MAX;
  for (let last = -1; ;) {
    await sleep(1_000);
    const { edge } = (await virga.cli(['status', '--json'])).json<{
      edge: { functions: { starting: number; idle: number; busy: number; draining: number }[] };
    }>();
    const alive = edge.functions.reduce((sum, f) => sum + f.starting + f.idle + f.busy + f.draining, 0);
    const now = footing(virga);
    if ((alive === 0 && now.guests === last && isGood(now)) || performance.now() > untilMs) return now;
    last = now.guests;
  }
}

const random = randomOf(SEED);
const tally: Tally = { right: 0, cold: 0, kills: 0, brokenOff: 0, errors: {}, wrong: [] };
let virga: Virga;
let scope: string;
let atFirst: Footing;

before(async () => {
  virga = await startVirga();
  const deployed = await virga.deploy({ 'virga.yaml': manifest(), ...SOURCES });
  assert.equal(deployed.code, 0, deployed.stderr);
  // What is made once and kept (connections, compiled code, the first growth of the heap) is there before we count.
  const ahead: Tally = { right: 0, cold: 0, kills: 0, brokenOff: 0, errors: {}, wrong: [] };
  await spread(1_000, (i) => callOnce(virga, i % 20, i, ahead));
  assert.deepEqual([ahead.right, ahead.errors, ahead.wrong], [1_000, {}, []]);
  scope = scopeOf(virga);
  atFirst = await settled(virga, () => true);
});
after(() => virga[Symbol.asyncDispose]());

/** Calls `one` for 0..count-1, WIDTH at a time. */
async function spread(count: number, one: (i: number) => Promise<void>): Promise<void> {
  let next = 0;
  await Promise.all(
    Array.from({ length: WIDTH }, async () => {
      while (next < count) await one(next++);
    }),
  );
}

/** kill -9 of an instance, whichever it is: busy, idle, starting or one that is kept ready. */
function killOne(): void {
  const guests = guestsOf(virga);
  const victim = guests[Math.floor(random() * guests.length)];
  if (victim === undefined) return;
  try {
    process.kill(victim, 'SIGKILL');
    tally.kills++;
  } catch {
    // It ended by itself.
  }
}

test(`${CALLS} cold and warm calls over ${FUNCTIONS} functions, with instances killed at random, end right or with an honest error`, async (t) => {
  t.diagnostic(`seed ${SEED}`);
  const current = Array.from({ length: CURRENT }, (_, n) => n * Math.floor(FUNCTIONS / CURRENT));
  const beginMs = performance.now();
  await spread(CALLS, async (i) => {
    if (i % ROTATION === 0) current[Math.floor(random() * CURRENT)] = Math.floor(random() * FUNCTIONS);
    if (i % KILL_EVERY === KILL_EVERY / 2) killOne();
    await callOnce(virga, current[Math.floor(random() * CURRENT)]!, i, tally);
  });
  const { wrong, errors, right, cold, kills, brokenOff } = tally;
  const seconds = ((performance.now() - beginMs) / 1_000).toFixed(1);
  t.diagnostic(
    `${right} right, ${cold} of them cold, ${kills} kills, ${brokenOff} broken off, errors ${JSON.stringify(errors)}, ${seconds} s`,
  );
  assert.deepEqual(wrong.slice(0, 10), [], `${wrong.length} answers are wrong`);
  const failed = Object.values(errors).reduce((sum, count) => sum + count, brokenOff);
  assert.equal(right + failed, CALLS);
  // A kill costs at most the calls that its instance had, or that waited for it.
  assert.ok(failed <= kills * WIDTH, `${failed} calls failed, by ${kills} kills`);
  assert.ok(kills > 0 && cold > FUNCTIONS / 2, `${kills} kills, ${cold} cold calls: that mixed nothing`);
});

test('afterwards every function answers, and nothing is held that was not before', async (t) => {
  const again: Tally = { right: 0, cold: 0, kills: 0, brokenOff: 0, errors: {}, wrong: [] };
  await spread(FUNCTIONS, (i) => callOnce(virga, i, i, again));
  assert.deepEqual([again.right, again.errors, again.wrong], [FUNCTIONS, {}, []]);
  const now = await settled(virga, (seen) => excess(seen).length === 0);
  t.diagnostic(`before ${JSON.stringify(atFirst)}`);
  t.diagnostic(`after  ${JSON.stringify(now)}`);
  assert.deepEqual(excess(now), []);
});

test('and when it has stopped nothing of it is left', async () => {
  await virga.stop();
  assert.deepEqual(leftovers(virga.dataFolder), []);
  assert.deepEqual(cgroupsOf(scope), []);
  const marked = processes().filter(({ pid }) => environmentOf(pid).includes(`VIRGA_SANDBOX_MARK=${scope}/`));
  assert.deepEqual(marked, []);
});

function environmentOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1');
  } catch {
    return ''; // It ended.
  }
}

/** What is held beyond what was at first, allowing for sandboxes that are kept ready. */
function excess(now: Footing): string[] {
  const more = Math.max(0, now.guests - atFirst.guests);
  const beyond = (what: 'edgeDescriptors' | 'launcherDescriptors' | 'processes' | 'mounts' | 'edgeMiB' | 'guests', allowed: number) =>
    now[what] > atFirst[what] + allowed ? [`${what}: ${atFirst[what]} before, ${now[what]} after, ${allowed} more allowed`] : [];
  return [
    ...beyond('guests', READY_MAX),
    ...beyond('processes', 3 * more + 4),
    ...beyond('edgeDescriptors', 2 * more + SLACK),
    ...beyond('launcherDescriptors', 6 * more + SLACK),
    ...beyond('mounts', 4 * more),
    ...beyond('edgeMiB', GROWTH_MIB_MAX),
    ...now.emptyCgroups.map((folder) => `empty cgroup ${folder}`),
  ];
}
