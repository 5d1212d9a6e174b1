// That the system call filter lets work what functions are made of: both Nodes, Python, a shell, and what these do with threads,
// processes, sockets, files and native code. One sandbox for each program; it prints `ok NAME` or `NAME: what went wrong`.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { newId } from '../../lib/ids.ts';
import type { Launch } from '../driver.ts';
import { BubblewrapDriver } from '../bubblewrap/bubblewrap.ts';

const NODE_FEATURES = `
import assert from 'node:assert/strict';
import { spawn, spawnSync, execFileSync } from 'node:child_process';
import { createHash, pbkdf2Sync, generateKeyPairSync, randomUUID, webcrypto } from 'node:crypto';
import dgram from 'node:dgram';
import { promises as dns } from 'node:dns';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import { PerformanceObserver, monitorEventLoopDelay } from 'node:perf_hooks';
import { Worker } from 'node:worker_threads';
import zlib from 'node:zlib';

const features = {
  async threads() {
    const worker = new Worker('require("node:worker_threads").parentPort.postMessage(6 * 7)', { eval: true });
    const [answer] = await once(worker, 'message');
    assert.equal(answer, 42);
    await worker.terminate();
  },
  async spawn() {
    const child = spawn('sh', ['-c', 'echo from sh; exit 3'], { stdio: ['ignore', 'pipe', 'inherit'] });
    let said = '';
    child.stdout.on('data', (chunk) => (said += chunk));
    const [code] = await once(child, 'close');
    assert.deepEqual([code, said], [3, 'from sh\\n']);
    assert.equal(execFileSync('ls', ['-l', '/code']).toString().length > 0, true);
    assert.equal(spawnSync('sh', ['-c', 'kill -TERM $$']).signal, 'SIGTERM');
  },
  async fork() {
    fs.writeFileSync('/tmp/child.cjs', 'process.on("message", (m) => { process.send(m + 1); process.disconnect(); })');
    const { fork } = await import('node:child_process');
    const child = fork('/tmp/child.cjs');
    child.send(1);
    assert.equal((await once(child, 'message'))[0], 2);
  },
  async fetchFromServer() {
    const server = http.createServer((request, response) => request.pipe(response)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const body = 'x'.repeat(1_000_000);
    const answer = await fetch('http://localhost:' + server.address().port, { method: 'POST', body });
    assert.equal(await answer.text(), body);
    server.closeAllConnections();
    server.close();
  },
  async unixAndDatagrams() {
    const server = net.createServer((socket) => socket.end('hello')).listen('/tmp/own.sock');
    await once(server, 'listening');
    assert.equal((await once(net.connect('/tmp/own.sock'), 'data'))[0].toString(), 'hello');
    server.close();
    const udp = dgram.createSocket('udp6').bind(0, '::1');
    await once(udp, 'listening');
    udp.send('ping', udp.address().port, '::1');
    assert.equal((await once(udp, 'message'))[0].toString(), 'ping');
    udp.close();
  },
  async names() {
    assert.equal((await dns.lookup('localhost')).address.length > 2, true);
    await assert.rejects(dns.resolve4('virga.example'), /ECONNREFUSED|ETIMEOUT|ENOTFOUND/);
    assert.equal(Object.keys(os.networkInterfaces()).includes('lo'), true);
  },
  crypto() {
    assert.equal(createHash('sha256').update('a').digest('hex').length, 64);
    pbkdf2Sync('a', 'b', 1000, 32, 'sha512');
    generateKeyPairSync('ec', { namedCurve: 'P-256' });
    assert.equal(randomUUID().length, 36);
  },
  async cryptoPool() {
    const key = await webcrypto.subtle.generateKey({ name: 'AES-GCM', length: 256 }, true, ['encrypt']);
    await webcrypto.subtle.encrypt({ name: 'AES-GCM', iv: new Uint8Array(12) }, key, new Uint8Array(1_000_000));
  },
  compression() {
    const bytes = Buffer.alloc(1_000_000, 'virga');
    for (const [pack, unpack] of [['gzipSync', 'gunzipSync'], ['brotliCompressSync', 'brotliDecompressSync'], ['zstdCompressSync', 'zstdDecompressSync']]) {
      assert.equal(zlib[unpack](zlib[pack](bytes)).length, bytes.length);
    }
  },
  async watching() {
    fs.mkdirSync('/tmp/watched');
    const watcher = fs.watch('/tmp/watched');
    const seen = once(watcher, 'change');
    fs.writeFileSync('/tmp/watched/a', 'a');
    await seen;
    watcher.close();
  },
  async files() {
    fs.mkdirSync('/tmp/tree/deep', { recursive: true });
    fs.writeFileSync('/tmp/tree/deep/a', 'text', { flush: true });
    fs.cpSync('/tmp/tree', '/tmp/copy', { recursive: true });
    fs.copyFileSync('/tmp/tree/deep/a', '/tmp/a', fs.constants.COPYFILE_FICLONE);
    fs.chmodSync('/tmp/a', 0o600);
    fs.utimesSync('/tmp/a', 1, 1);
    fs.linkSync('/tmp/a', '/tmp/b');
    fs.symlinkSync('/tmp/a', '/tmp/c');
    fs.truncateSync('/tmp/a', 2);
    fs.renameSync('/tmp/b', '/tmp/d');
    assert.equal(fs.readFileSync('/tmp/c', 'utf8'), 'te');
    assert.equal(fs.realpathSync('/tmp/c'), '/tmp/a');
    fs.accessSync('/tmp/a');
    fs.statfsSync('/tmp');
    const stream = fs.createReadStream('/code/features.mjs');
    for await (const chunk of stream) assert.ok(chunk.length > 0);
    assert.equal((await fs.promises.readdir('/tmp/copy', { recursive: true })).length, 2);
    fs.rmSync('/tmp/tree', { recursive: true });
  },
  async sqlite() {
    const { DatabaseSync } = await import('node:sqlite');
    const database = new DatabaseSync('/tmp/rows.db');
    database.exec('pragma journal_mode = wal; create table t (n); insert into t values (1), (2)');
    assert.equal(database.prepare('select sum(n) as sum from t').get().sum, 3);
    database.close();
  },
  machine() {
    os.cpus();
    os.loadavg();
    os.setPriority(5);
    assert.equal(os.userInfo().username, 'sandbox');
    process.title = 'named';
    process.resourceUsage();
    process.memoryUsage();
    assert.throws(() => process.setuid(0), /EPERM|EINVAL/);
  },
  async wasmAndTimers() {
    const module = await WebAssembly.compile(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0));
    await WebAssembly.instantiate(module);
    monitorEventLoopDelay().enable();
    new PerformanceObserver(() => {}).observe({ entryTypes: ['gc'] });
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    await new Promise((resolve) => setTimeout(resolve, 5));
  },
  tools() {
    const said = spawnSync('sh', ['-c', 'umask 022; mkfifo /tmp/pipe; (echo through > /tmp/pipe &); cat /tmp/pipe; sort /code/features.mjs | head -n 1 | wc -l; tar -C /code -cf - . | tar -tf - | wc -l; cp -a /code /tmp/kept; find /tmp/kept -type f | xargs -n 1 -P 2 sha256sum | wc -l; date +%Y; nice id -un; timeout 1 sleep 0; command -v curl >/dev/null && curl -sS http://127.0.0.1:1/ 2>&1 | grep -c refused']);
    assert.match(said.stdout.toString(), /^through\\n1\\n\\d+\\n\\d+\\n\\d{4}\\nsandbox\\n/, said.stderr.toString());
    assert.doesNotMatch(said.stderr.toString(), /not permitted|not implemented|Bad system call/);
  },
};
for (const [name, feature] of Object.entries(features)) {
  try { await feature(); console.log('ok ' + name); } catch (error) { console.log(name + ': ' + error.stack); }
}
process.exit(0);
`;

const PYTHON_FEATURES = `
import asyncio, ctypes, hashlib, http.server, mmap, multiprocessing, os, select, shutil, signal, socket, sqlite3, ssl
import subprocess, tempfile, threading, time, traceback, urllib.request, concurrent.futures, fcntl, resource

def square(n):
    return n * n

def threads():
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert list(pool.map(square, range(4))) == [0, 1, 4, 9]

def processes():
    for method in ('fork', 'spawn', 'forkserver'):
        with multiprocessing.get_context(method).Pool(2) as pool:
            assert pool.map(square, range(4)) == [0, 1, 4, 9], method
    queue = multiprocessing.Queue()
    queue.put(1)
    assert queue.get(timeout=5) == 1

def shared_memory():
    from multiprocessing import shared_memory as memory
    block = memory.SharedMemory(create=True, size=4096)
    block.buf[0] = 7
    block.close()
    block.unlink()

def subprocesses():
    assert subprocess.run(['sh', '-c', 'echo hi'], capture_output=True, text=True).stdout == 'hi\\n'
    assert subprocess.run(['true'], start_new_session=True).returncode == 0

def loop():
    async def main():
        async def answer(reader, writer):
            writer.write(await reader.readline())
            writer.close()
        server = await asyncio.start_server(answer, '127.0.0.1', 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b'line\\n')
        assert await reader.readline() == b'line\\n'
        child = await asyncio.create_subprocess_exec('echo', 'child', stdout=asyncio.subprocess.PIPE)
        assert (await child.communicate())[0] == b'child\\n'
    asyncio.run(main())

class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass

def web():
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    assert urllib.request.urlopen('http://127.0.0.1:%d/features.py' % server.server_port).status == 200
    server.shutdown()

def names():
    assert socket.getaddrinfo('localhost', 80)
    assert socket.if_nameindex()
    ssl.create_default_context()

def database():
    connection = sqlite3.connect('/tmp/rows.db')
    connection.execute('pragma journal_mode = wal')
    connection.execute('create table t (n)')
    connection.execute('insert into t values (1)')
    connection.commit()

def files():
    with tempfile.NamedTemporaryFile() as file:
        file.write(b'x' * 5000)
        file.flush()
        os.fsync(file.fileno())
        fcntl.flock(file, fcntl.LOCK_EX)
        mmap.mmap(file.fileno(), 4096).close()
        os.posix_fallocate(file.fileno(), 0, 10000)
        shutil.copy2(file.name, '/tmp/copy')
    os.mkfifo('/tmp/pipe')
    shutil.copytree('/code', '/tmp/tree')
    shutil.rmtree('/tmp/tree')

def signals():
    seen = []
    signal.signal(signal.SIGALRM, lambda *_: seen.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    signal.sigtimedwait([signal.SIGUSR1], 0.05)
    assert seen
    poll = select.epoll()
    poll.close()
    resource.getrlimit(resource.RLIMIT_NOFILE)
    os.sched_getaffinity(0)

def native():
    assert ctypes.CDLL(None).getpid() == os.getpid()
    assert len(hashlib.scrypt(b'a', salt=b'b', n=1024, r=8, p=1)) == 64
    os.memfd_create('memory')
    os.getrandom(8)

if __name__ == '__main__':
    for feature in (threads, processes, shared_memory, subprocesses, loop, web, names, database, files, signals, native):
        try:
            feature()
            print('ok', feature.__name__, flush=True)
        except BaseException:
            print(feature.__name__ + ':', traceback.format_exc(), flush=True)
`;

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'virga-programs-')));
const code = join(folder, 'code');
let driver: BubblewrapDriver;

before(async () => {
  mkdirSync(code, { mode: 0o755 });
  writeFileSync(join(code, 'features.mjs'), NODE_FEATURES);
  writeFileSync(join(code, 'features.py'), PYTHON_FEATURES);
  const scope = Math.random().toString(16).slice(2, 14).padEnd(12, '0');
  driver = await BubblewrapDriver.open({
    scope,
    folders: [code, ...nodes().map(({ binaries }) => binaries)],
    runFolder: folder,
    networking: null,
  });
});

after(async () => {
  await driver.close();
  rmSync(folder, { recursive: true, force: true });
});

function nodes(): { name: string; binaries: string }[] {
  const found = [{ name: 'Node 26', binaries: dirname(process.execPath) }];
  const older = createRequire(import.meta.url).resolve(`node24-linux-${process.arch}/package.json`);
  return [...found, { name: 'Node 24', binaries: join(dirname(older), 'bin') }];
}

async function run(argv: string[], mounts: Launch['mounts'] = []): Promise<string> {
  let text = '';
  const launch: Launch = {
    id: newId('sbx'),
    argv,
    env: { PATH: '/runtime:/usr/bin:/bin', HOME: '/tmp', TMPDIR: '/tmp' },
    mounts: [{ source: code, target: '/code' }, ...mounts],
    lateTargets: [],
    background: false,
    network: null,
    cwd: '/code',
    isolation: 'standard',
    memoryMiB: 512,
    cpus: null,
    tmpMiB: 32,
    pids: 128,
  };
  const sink = { write: (more: string) => (text += more).length > 0, onceWelcome: (resume: () => void) => resume() };
  const sandbox = await driver.start(launch, 'ignore', sink);
  const late = setTimeout(() => void sandbox.kill(), 20_000);
  const exit = await sandbox.exited;
  clearTimeout(late);
  return exit.code === 0 ? text : `${text}\nended: ${JSON.stringify(exit)}`;
}

function complaints(text: string): string {
  return text.replace(/^ok \w+\n/gm, '').trim();
}

for (const { name, binaries } of nodes()) {
  test(`${name} and the programs that it starts work behind the filter`, async () => {
    const text = await run(
      ['/runtime/node', '--disable-warning=ExperimentalWarning', '/code/features.mjs'],
      [{ source: binaries, target: '/runtime' }],
    );
    assert.equal(complaints(text), '');
    assert.equal(text.match(/^ok /gm)?.length, 15);
  });
}

test('Python works behind the filter', { skip: !existsSync('/usr/bin/python3') }, async () => {
  const text = await run(['/usr/bin/python3', '/code/features.py']);
  assert.equal(complaints(text), '');
  assert.equal(text.match(/^ok /gm)?.length, 11);
});
