// What every sandbox driver must do, as a suite that runs over each of them (drivers.integration.test.ts). A driver declares what it
// is no wall against; it cannot leave out the rest. Guests here are small scripts of /bin/sh and Node.
// Invariant: after each test no process, cgroup or file of it is left; the suite itself checks for that.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, connect, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { newId } from '../lib/ids.ts';
import type { Launch, LaunchedSandbox, SandboxDriver } from './driver.ts';
import { descendants, markedProcesses } from './process-tree.ts';
import type { SandboxExit } from './sandbox.ts';

export interface ConformanceOptions {
  name: string;
  /** `folders`: what launches will mount from. `scope`: unique to the suite. */
  open(options: { scope: string; folders: string[]; runFolder: string }): Promise<SandboxDriver>;
  /** false: the tests of walls are skipped, as the driver's status declares. */
  isolates: boolean;
  /** Sandboxes have a kernel of their own: it tells less of itself, and may allow inside what reaches nothing outside. */
  ownKernel?: boolean;
  /** Why the whole suite is skipped on this machine. */
  skip?: string | undefined;
}

interface Guest {
  sandbox: LaunchedSandbox;
  /** The host's end of fd 3. */
  channel: Socket;
  output: () => string;
}

export function sandboxDriverConformance(options: ConformanceOptions): void {
  describe(`${options.name} driver`, { skip: options.skip ?? false }, () => {
    const scope = Math.random().toString(16).slice(2, 14).padEnd(12, '0');
    const folder = realpathSync(mkdtempSync(join(tmpdir(), 'virga-sandbox-')));
    const code = join(folder, 'artifacts', 'a');
    const wall = { skip: !options.isolates };
    let driver: SandboxDriver;
    let server: Server;

    before(async () => {
      mkdirSync(code, { recursive: true, mode: 0o755 });
      writeFileSync(join(code, 'greeting.txt'), 'hello from the artifact');
      server = createServer({ pauseOnConnect: true }).listen(join(folder, 'channel.sock'));
      await once(server, 'listening');
      driver = await options.open({ scope, folders: [join(folder, 'artifacts'), dirname(process.execPath)], runFolder: folder });
    });

    after(async () => {
      await driver.close();
      server.close();
      rmSync(folder, { recursive: true, force: true });
      assert.deepEqual(markedProcesses(`${scope}/`), [], 'a process is left');
      assert.deepEqual(cgroupsOf(scope), [], 'a cgroup is left');
      assert.ok(!readFileSync('/proc/self/mountinfo', 'utf8').includes(folder), 'a mount is left');
    });

    async function start(argv: string[], changes: Partial<Launch> = {}): Promise<Guest> {
      const near = connect(join(folder, 'channel.sock'));
      near.pause();
      const [[channel]] = (await Promise.all([once(server, 'connection'), once(near, 'connect')])) as [[Socket], unknown];
      let text = '';
      const sink = { write: (more: string) => (text += more).length > 0, onceWelcome: (resume: () => void) => resume() };
      const launch: Launch = {
        id: newId('sbx'),
        argv,
        env: { PATH: '/usr/bin:/bin', GIVEN: 'yes' },
        mounts: [
          { source: code, target: '/code' },
          { source: dirname(process.execPath), target: '/runtime' },
        ],
        lateTargets: [],
        cwd: '/code',
        network: null,
        background: false,
        isolation: 'standard',
        memoryMiB: 128,
        cpus: null,
        tmpMiB: 8,
        pids: 64,
        ...changes,
      };
      const sandbox = await driver.start(launch, near, sink);
      near.destroy();
      channel.on('error', () => {});
      return { sandbox, channel, output: () => text };
    }
    const shell = (script: string, changes: Partial<Launch> = {}): Promise<Guest> => start(['/bin/sh', '-c', script], changes);
    const node = (script: string, changes: Partial<Launch> = {}): Promise<Guest> => start(['/runtime/node', '-e', script], changes);
    async function end(guest: Guest): Promise<SandboxExit & { output: string }> {
      const exit = await guest.sandbox.exited;
      guest.channel.destroy();
      return { ...exit, output: guest.output() };
    }

    test('fd 3 carries bytes both ways, and ends when the guest ends', async () => {
      const guest = await node(`
        const channel = new (require('net').Socket)({ fd: 3 });
        channel.once('data', (data) => channel.end('pong:' + data));`);
      guest.channel.write('ping');
      let received = '';
      guest.channel.on('data', (data: Buffer) => (received += data.toString()));
      guest.channel.resume();
      await once(guest.channel, 'end');
      assert.equal(received, 'pong:ping');
      assert.equal((await end(guest)).code, 0);
    });

    test('a sandbox that runs is shown files, read-only, and of no other sandbox', async (t) => {
      if (!driver.status.lateFiles) return t.skip('this driver cannot');
      const late: Partial<Launch> = {
        lateTargets: ['/code'],
        background: true,
        mounts: [{ source: dirname(process.execPath), target: '/runtime' }],
      };
      const tell = `
        const fs = require('fs'), channel = new (require('net').Socket)({ fd: 3 });
        const attempt = (act) => { try { return act(); } catch (error) { return error.code; } };
        channel.once('data', (folder) => channel.end(JSON.stringify({
          read: attempt(() => fs.readFileSync(folder + '/greeting.txt', 'utf8')),
          write: attempt(() => fs.writeFileSync(folder + '/mine.txt', 'x')) ?? 'written',
        })));`;
      const ask = async ({ sandbox, channel }: Guest): Promise<unknown> => {
        channel.write(sandbox.inside('/code'));
        const [data] = (await once(channel.resume(), 'data')) as [Buffer];
        return JSON.parse(data.toString());
      };
      const [first, second] = [await node(tell, late), await node(tell, late)];
      await first.sandbox.show([{ source: code, target: '/code' }]);
      first.sandbox.promote();
      assert.deepEqual(await ask(first), { read: 'hello from the artifact', write: options.isolates ? 'EROFS' : 'written' });
      if (options.isolates) assert.deepEqual(await ask(second), { read: 'ENOENT', write: 'EROFS' });
      await second.sandbox.kill();
      await Promise.all([end(first), end(second)]);
    });

    test('bytes sent before the guest runs wait for it', async () => {
      const guest = await shell('sleep 0.05; dd bs=5 count=1 <&3 2>/dev/null >&3');
      guest.channel.write('early');
      const [data] = (await once(guest.channel.resume(), 'data')) as [Buffer];
      assert.equal(data.toString(), 'early');
      await end(guest);
    });

    test('the guest sees its code in its working folder', async () => {
      const { output } = await end(await shell('cat greeting.txt; pwd'));
      assert.match(output, /^hello from the artifact/);
    });

    test('the exit code is the guest’s, and stdout and stderr come out', async () => {
      const exit = await end(await shell('echo out; echo err >&2; exit 7'));
      const { usage, output, ...rest } = exit;
      assert.deepEqual(rest, { code: 7, signal: null, outOfMemory: false, stderrTail: 'err\n' });
      assert.deepEqual(output.split('\n').toSorted(), ['', 'err', 'out']);
      assert.equal(usage.memoryLimitOf, null);
    });

    test('a guest that a signal ends is reported with it', async () => {
      const exit = await end(await shell('kill -SEGV $$'));
      assert.deepEqual([exit.code, exit.signal], [null, 'SIGSEGV']);
    });

    test('the last 4 KiB of stderr are kept', async () => {
      const { stderrTail } = await end(
        await shell('i=0; while [ $i -lt 2000 ]; do echo "line $i" >&2; i=$((i+1)); done; echo the end >&2; exit 1'),
      );
      assert.equal(Buffer.byteLength(stderrTail), 4096);
      assert.match(stderrTail, /the end\n$/);
    });

    test('raw output is forwarded at a bounded rate, and the writer waits', async () => {
      const guest = await shell('exec yes virga');
      await new Promise((resolve) => setTimeout(resolve, 600));
      assert.ok(guest.output().length < 64 * 1024 * 4, `${guest.output().length} bytes in 0.6 s`);
      await guest.sandbox.kill();
      await end(guest);
    });

    test('kill() ends a tree of processes that loop and leave their session', async () => {
      const guest = await shell('echo up >&3; for i in 1 2 3; do setsid sh -c "while :; do :; done" & done; while :; do :; done');
      await once(guest.channel.resume(), 'data');
      await guest.sandbox.kill();
      await guest.sandbox.kill();
      const exit = await end(guest);
      assert.equal(exit.signal, 'SIGKILL');
      assert.equal(exit.outOfMemory, false);
      assert.deepEqual(markedProcesses(`${scope}/`), []);
    });

    test('children that outlive the guest are ended with it', async () => {
      await end(await shell('setsid sleep 1000 >/dev/null 2>&1 & exit 0'));
      assert.deepEqual(markedProcesses(`${scope}/`), []);
    });

    test('children that hold the output open do not hold up the end', async () => {
      const exit = await end(await shell('setsid sleep 1000 & exit 3'));
      assert.equal(exit.code, 3);
    });

    test('a guest above its memory limit is killed and reported as out of memory', async () => {
      // Outside of V8's heap, a page at a time, slower than the watcher of drivers without cgroups looks.
      const exit = await end(await node('const kept = []; setInterval(() => kept.push(Buffer.alloc(8 << 20, 1)), 20)', { memoryMiB: 96 }));
      assert.equal(exit.outOfMemory, true, JSON.stringify(exit));
      assert.match(exit.usage.memoryLimitOf!, /kernel|watcher/);
      assert.ok(exit.usage.peakMemoryBytes! > 80 << 20 && exit.usage.peakMemoryBytes! < 160 << 20, JSON.stringify(exit.usage));
    });

    test('a guest that reaches V8’s heap limit is reported as out of memory', async () => {
      const exit = await end(await start(['/runtime/node', '--max-old-space-size=20', '-e', 'const a = []; for (;;) a.push({})']));
      assert.equal(exit.outOfMemory, true, JSON.stringify(exit));
      assert.match(exit.stderrTail, /heap/);
      assert.equal(exit.usage.memoryLimitOf, 'heap');
    });

    test('a crash is not reported as out of memory', async () => {
      const exit = await end(await node('process.abort()'));
      assert.deepEqual([exit.outOfMemory, exit.signal], [false, 'SIGABRT']);
    });

    test('nothing of the host’s environment comes in', async () => {
      process.env['VIRGA_TEST_SECRET'] = 'secret';
      const { output } = await end(await shell('env'));
      delete process.env['VIRGA_TEST_SECRET'];
      assert.match(output, /GIVEN=yes/);
      assert.doesNotMatch(output, /secret/);
    });

    test('a program that is not there ends the sandbox with a clear word', async () => {
      const failure = await start(['/runtime/absent']).then(end, (error: Error) => ({ stderrTail: error.message }));
      assert.match(failure.stderrTail, /absent.*(no such file|not found)|ENOENT/i);
    });

    test('a fork bomb stays within its number of processes and dies', wall, async () => {
      const guest = await shell('echo up >&3; bomb() { bomb | bomb & }; bomb; sleep 1000', { pids: 32 });
      await once(guest.channel.resume(), 'data');
      await new Promise((resolve) => setTimeout(resolve, 200));
      const inside = descendants(guest.sandbox.pid).length;
      if (driver.status.enforcement.pids !== null) assert.ok(inside <= 40, `${inside} processes`);
      await guest.sandbox.kill();
      await end(guest);
    });

    test('/tmp is empty, writable, and full at its limit', wall, async () => {
      const { output } = await end(
        await shell('cd /tmp; echo *; dd if=/dev/zero of=/tmp/fill bs=1M count=50 2>&1 | grep -o "No space left"; wc -c < /tmp/fill'),
      );
      assert.equal(output, `*\nNo space left\n${8 << 20}\n`);
    });

    test('files in /tmp count as memory', { skip: !options.isolates || process.getuid?.() !== 0 }, async () => {
      const exit = await end(await shell('dd if=/dev/zero of=/tmp/fill bs=1M count=50 2>/dev/null', { tmpMiB: 64, memoryMiB: 32 }));
      assert.equal(exit.outOfMemory, true, JSON.stringify(exit));
    });

    test('everything but /tmp is read-only', wall, async () => {
      const { output } = await end(
        await shell(
          'for f in / /code /usr /etc /dev /runtime /usr/bin/env; do (: > $f/x || : > $f) 2>/dev/null && echo "wrote $f"; done; echo done',
        ),
      );
      assert.equal(output, 'done\n');
    });

    test('the host’s files do not exist inside', wall, async () => {
      const { output } = await end(
        await shell(
          `for f in /home /root /var/[!t]* /var/tmp /srv /boot ${options.ownKernel === true ? '' : '/sys'} /run /etc/shadow /etc/ssh /etc/hostname; do [ ! -e $f ] || echo $f; done; cd /etc; printf "%s\\n" *; cd /proc; echo [0-9]* | wc -w`,
        ),
      );
      assert.match(output, /^(alternatives|hosts|ld\.so\.cache|localtime|nsswitch\.conf|passwd|pki|resolv\.conf|ssl|\n)+\d\n$/);
    });

    test('a guest is nobody: no host root, no capabilities, no groups, no new privileges', wall, async () => {
      const guest = await shell('cat /proc/self/status; id -un; echo up >&3; sleep 1000');
      await once(guest.channel.resume(), 'data');
      const inside = deepest(guest.sandbox.pid);
      const seen = readFileSync(`/proc/${inside}/status`, 'utf8');
      if (process.getuid?.() === 0) assert.ok(Number(/^Uid:\s+(\d+)/m.exec(seen)?.[1]) > 65_535, seen);
      await guest.sandbox.kill();
      const { output } = await end(guest);
      for (const caps of ['CapInh', 'CapPrm', 'CapEff']) assert.match(output, new RegExp(`${caps}:\\s+0{16}`));
      if (options.ownKernel !== true) assert.match(output, /CapAmb:\s+0{16}\n[^]*NoNewPrivs:\s+1\nSeccomp:\s+2/);
      // An unprivileged user cannot drop groups; the ones that have no name inside show as 65534.
      if (process.getuid?.() === 0) assert.match(output, /Groups:\s*(65534)?\s*\n/);
      assert.match(output, /\nsandbox\n/);
    });

    test('a guest can make no namespaces, mounts or keyrings, and trace nothing', wall, async () => {
      const { output } = await end(await shell('unshare -m true 2>&1; mount -t tmpfs x /tmp 2>&1; unshare -U true 2>&1; echo done'));
      const refused = output.match(/not permitted|denied|No space|must be superuser/g)?.length;
      assert.equal(refused, options.ownKernel === true ? 2 : 3, output);
    });

    test('a guest leaves no core dump, and cannot ask for one', { skip: !options.isolates || options.ownKernel === true }, async () => {
      const { output } = await end(await shell('grep "Max core" /proc/self/limits; ulimit -S -c 0 2>/dev/null || echo refused'));
      assert.match(output, /^Max core file size +1 +1 +bytes *\nrefused\n$/);
    });

    test('only stdio and the channel are open', wall, async () => {
      const { output } = await end(await shell('cd /proc/self/fd; echo *'));
      assert.equal(output, '0 1 2 3 4\n'); // 4 is the folder that the shell reads.
    });

    test('there is no network', wall, async () => {
      const { output } = await end(await shell('cat /proc/net/dev | grep -c :'));
      assert.equal(output, '1\n');
    });

    test('a CPU quota holds', { skip: !options.isolates || process.getuid?.() !== 0 }, async () => {
      // Counted from outside: gVisor tells a guest its time on the clock.
      const guest = await node(
        `
        const fs = require('fs'), until = Date.now() + 600;
        fs.writeSync(3, 'begin'); while (Date.now() < until); fs.writeSync(3, 'end'); setTimeout(() => {}, 10_000);`,
        { cpus: 0.25 },
      );
      await once(guest.channel.resume(), 'data');
      const atFirstMs = cpuMs(guest.sandbox.pid);
      await once(guest.channel, 'data');
      const usedMs = cpuMs(guest.sandbox.pid) - atFirstMs;
      await guest.sandbox.kill();
      await end(guest);
      assert.ok(usedMs < 300, `${usedMs} ms of CPU in 600 ms at a quarter of a CPU`);
    });
  });
}

function cgroupsOf(scope: string): string[] {
  const found: string[] = [];
  for (const line of readFileSync('/proc/self/mounts', 'latin1').split('\n')) {
    const [, path, type] = line.split(' ');
    if (path !== undefined && type?.startsWith('cgroup')) found.push(...readdirSync(path).filter((name) => name.includes(scope)));
  }
  return found;
}

/** Of a process and what descends from it, to the clock tick of 10 ms. */
function cpuMs(pid: number): number {
  return descendants(pid).reduce((sum, one) => {
    const [, user = 0, system = 0] = readFileSync(`/proc/${one}/stat`, 'latin1')
      .match(/\) .(?: -?\d+){10} (\d+) (\d+)/)!
      .map(Number);
    return sum + (user + system) * 10;
  }, 0);
}

function deepest(pid: number): number {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim().split(' ').filter(Boolean).map(Number);
  return children.length === 0 ? pid : deepest(children[0]!);
}
