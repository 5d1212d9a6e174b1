// Every end of an instance at a limit is explained: the caller reads the limit, the peak and the setting to raise; the
// record has what the instance said last; the command line shows both.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually, startVirga } from '../system/virga.ts';
import type { Virga } from '../system/virga.ts';

const PROJECT = {
  'virga.yaml': `
project: killed
defaults: { timeout: 20s, memory: 96 MiB }
functions:
  hungry: { source: hungry.ts }
  heap: { source: heap.ts }
  spinner: { source: spinner.ts, timeout: 600ms }
  sleeper: { source: sleeper.ts, timeout: 600ms }
  forker: { source: forker.py, pids: 16 }
  filler: { source: filler.py, tmp: 4 MiB }
  forger: { source: forger.ts }
`,
  'hungry.ts': `const kept: Buffer[] = [];
export const handler = async () => { for (let i = 1; ; i++) { kept.push(Buffer.alloc(8 << 20, 1)); console.log('holding', i * 8, 'MiB'); await null; } };`,
  'heap.ts': `export const handler = async () => { const kept = []; for (;;) kept.push({ kept: [kept.length] }); };`,
  'spinner.ts': `export const handler = async () => { console.log('spinning'); for (;;); };`,
  'sleeper.ts': `export const handler = async () => { console.log('sleeping'); await new Promise((r) => setTimeout(r, 60_000)); };`,
  'forker.py': `
import os, sys, time

def handler(event, context):
    for _ in range(50):
        try:
            if os.fork() == 0:
                time.sleep(60)
        except OSError:
            print("no more of them")
            sys.stdout.flush()
            time.sleep(0.1)
            os._exit(3)
`,
  'filler.py': `
def handler(event, context):
    with open("/tmp/big", "wb") as file:
        file.write(b"x" * 16_000_000)
`,
  'forger.ts': `import { writeSync } from 'node:fs';
export const handler = async () => { writeSync(3, Buffer.alloc(64, 255)); await new Promise((r) => setTimeout(r, 5_000)); };`,
};

interface Explained {
  message: string;
  error: string;
  cause: string;
  limit: string | null;
  setting: string | null;
  facts: string;
  lastLines: string[];
  peakMemoryBytes: number | null;
  shown: string;
}

let virga: Virga;
before(async () => {
  virga = await startVirga();
  const deployed = await virga.deploy(PROJECT);
  assert.equal(deployed.code, 0, deployed.stderr);
});
after(() => virga[Symbol.asyncDispose]());

/** Calls it, and reads what the record and the command line say of the failure. */
async function explained(name: string): Promise<Explained> {
  const { invocation, error } = (await virga.cli(['invoke', name, '--project', 'killed', '--json'])).json<{
    invocation: { id: string; explanation: (Omit<Explained, 'facts'> & { facts: string[] }) | null };
    error: { message: string };
  }>();
  assert.ok(invocation.explanation !== null, error.message);
  const shown = await eventually(async () => {
    const { code, stdout } = await virga.cli(['invocation', invocation.id, '--project', 'killed']);
    return code === 0 ? stdout : undefined;
  });
  return { ...invocation.explanation, facts: invocation.explanation.facts.join('; '), message: error.message, shown };
}

test('a kill at the memory limit names it, the peak and the setting, and shows the last lines', async () => {
  const { message, cause, limit, setting, lastLines, peakMemoryBytes, shown } = await explained('hungry');
  assert.match(
    message,
    /^function 'hungry' was killed at its 96 MiB memory limit after [\d.]+ m?s \(peak \d+ MiB\); raise `memory` in virga\.yaml$/,
  );
  assert.deepEqual([cause, limit, setting], ['memory', '96 MiB', 'memory']);
  assert.ok(peakMemoryBytes! > 80e6, String(peakMemoryBytes));
  assert.match(lastLines.at(-1)!, /^holding \d+ MiB$/);
  assert.ok(lastLines.length <= 10);
  assert.match(shown, /why: memory, limit 96 MiB[\s\S]*raise `memory` in virga\.yaml[\s\S]*holding \d+ MiB/);
});

test('a full JavaScript heap is told from the limit of the sandbox', async () => {
  const { cause, facts } = await explained('heap');
  assert.equal(cause, 'memory');
  assert.match(facts, /its JavaScript heap was full/);
});

test('a timeout tells computing from waiting', async () => {
  const spinner = await explained('spinner');
  assert.match(spinner.message, /within its timeout of 600 ms \(busy on the CPU\).*Raise `timeout`/);
  assert.deepEqual(spinner.lastLines, ['spinning']);
  const sleeper = await explained('sleeper');
  assert.match(sleeper.message, /within its timeout of 600 ms \(waiting, not computing\)/);
  assert.match(sleeper.facts, /used \d+ ms of CPU in the last \d+ ms/);
});

test('a crash for want of processes names the limit', async (t) => {
  const { edge } = (await virga.cli(['status', '--json'])).json<{ edge: { sandbox: { enforcement: { pids: string | null } } } }>();
  if (!edge.sandbox.enforcement.pids?.startsWith('cgroup')) return t.skip('no cgroup counts refused processes here');
  const { message, cause, setting, lastLines } = await explained('forker');
  assert.match(
    message,
    /exited with code 3 during the call, after it was refused \d+ more processes or threads at its limit of 16; raise `pids`/,
  );
  assert.deepEqual([cause, setting], ['pids', 'pids']);
  assert.ok(lastLines.includes('no more of them'), lastLines.join());
});

test('a full /tmp names its size', async () => {
  const { message, cause, limit, setting } = await explained('filler');
  assert.match(message, /threw an error.*holds 4 MiB; raise `tmp`/);
  assert.deepEqual([cause, limit, setting], ['tmp', '4 MiB', 'tmp']);
});

test('a broken protocol says that it was the reason', async () => {
  const { cause, setting, facts } = await explained('forger');
  assert.deepEqual([cause, setting], ['protocol', null]);
  assert.match(facts, /file descriptor 3/);
});

test('the log of the function has the explanation', async () => {
  const text = await eventually(async () => {
    const { stdout } = await virga.cli(['logs', 'hungry', '--project', 'killed']);
    return /the kernel killed it at its memory limit of 96 MiB|above its memory limit of 96 MiB/.test(stdout) ? stdout : undefined;
  });
  assert.match(text, /holding \d+ MiB/);
});
