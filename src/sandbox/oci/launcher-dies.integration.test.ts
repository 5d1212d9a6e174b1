// Containers do not outlive who started them: a process that opened the driver and is killed with -9, whatever the runtime.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { sweepCgroups } from '../cgroup/hierarchies.ts';
import { markedProcesses } from '../process-tree.ts';
import { OciDriver } from './oci.ts';
import { RUNTIME_NAMES } from './runtimes.ts';

const GONE_WITHIN_MS = 5_000;

for (const runtime of RUNTIME_NAMES) {
  test(`a container of ${runtime} dies with its launcher, and the next one removes its files`, { timeout: 30_000 }, async (t) => {
    const runFolder = mkdtempSync(join(tmpdir(), 'virga-sandbox-'));
    const scope = Math.random().toString(16).slice(2, 14).padEnd(12, '0');
    const options = { scope, folders: [], runFolder, runtime, networking: null };
    const program = join(import.meta.dirname, 'launcher-under-test.ts');
    const launcher = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', program, JSON.stringify(options)], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    try {
      let said = '';
      launcher.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
      const ended = once(launcher, 'exit');
      const first = await Promise.race([once(launcher.stdout, 'data'), ended.then(() => null)]);
      if (first === null) return t.skip(`${runtime} does not work here: ${said.slice(0, 500)}`);
      assert.ok(markedProcesses(`${scope}/`).length > 0);
      launcher.kill('SIGKILL');
      await ended;
      const until = performance.now() + GONE_WITHIN_MS;
      while (markedProcesses(`${scope}/`).length > 0) {
        assert.ok(performance.now() < until, 'a process is left');
        await sleep(10);
      }
      assert.deepEqual(readdirSync(join(runFolder, runtime)).toSorted(), ['dev', 'root', 'sbx_1']);
      const next = await OciDriver.open(options);
      assert.equal(existsSync(join(runFolder, runtime, 'sbx_1')), false);
      await next.close();
      assert.deepEqual(readdirSync(runFolder), []);
    } finally {
      launcher.kill('SIGKILL');
      await sweepCgroups(scope);
      rmSync(runFolder, { recursive: true, force: true });
    }
  });
}
