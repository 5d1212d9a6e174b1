// Code compiled ahead, with the real runtimes in real sandboxes: it is made without running anything, guests take it,
// and whatever is wrong with it they load without.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  realpathSync,
  rmSync,
  truncateSync,
  writeFileSync,
  chmodSync,
} from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Config } from '../config/config.ts';
import { newId } from '../lib/ids.ts';
import { Flag, FrameReader, FrameType, decodeMeta, encodeFrame, encodeJsonFrame, encodeMetaFrame } from '../protocol/frames.ts';
import type { Frame, InitPayload, ResponseMeta } from '../protocol/frames.ts';
import type { RuntimeName } from '../protocol/settings.ts';
import { CODE, COMPILED, RuntimeCatalog } from '../runtimes/catalog.ts';
import { BubblewrapDriver } from '../sandbox/bubblewrap/bubblewrap.ts';
import type { SandboxExit } from '../sandbox/sandbox.ts';
import { ArtifactFolders } from '../store/artifacts.ts';
import { DiskBlobs } from '../store/blobs/disk.ts';
import { CompiledCode } from './compiled-code.ts';

const LIMITS = { artifactUnpackedBytesMax: 1e7, artifactFilesMax: 100, compiledBytesMax: 4e6 };
const folder = realpathSync(mkdtempSync(join(tmpdir(), 'virga-compiled-code-')));
const scope = createHash('sha256').update(folder).digest('hex').slice(0, 12);
let catalog: RuntimeCatalog;
let driver: BubblewrapDriver;
let compiled: CompiledCode;
let channels: Server;

before(async () => {
  chmodSync(folder, 0o755);
  for (const name of ['artifacts', 'compiled', 'runtimes', 'run']) mkdirSync(join(folder, name), { mode: 0o755 });
  catalog = await RuntimeCatalog.open(join(folder, 'runtimes'));
  const folders = [join(folder, 'artifacts'), join(folder, 'compiled'), ...catalog.folders];
  driver = await BubblewrapDriver.open({ scope, folders, runFolder: join(folder, 'run'), networking: null });
  const parts = {
    folder: join(folder, 'artifacts'),
    compiledFolder: join(folder, 'compiled'),
    blobs: new DiskBlobs(folder),
    limits: LIMITS,
  };
  const config = { runFolder: join(folder, 'run'), limits: LIMITS } as Config;
  compiled = new CompiledCode({
    config,
    driver,
    catalog,
    artifacts: new ArtifactFolders(parts),
    folder: join(folder, 'compiled'),
    log: () => {},
  });
  channels = createServer({ pauseOnConnect: true }).listen(join(folder, 'run', 'channel.sock'));
  await once(channels, 'listening');
});

after(async () => {
  await compiled.close();
  await driver.close();
  channels.close();
  rmSync(folder, { recursive: true });
});

/** Unpacked as the platform unpacks it. */
function artifactOf(files: Record<string, string>): string {
  const sha256 = createHash('sha256').update(JSON.stringify(files)).digest('hex');
  for (const [name, content] of Object.entries(files)) {
    const path = join(folder, 'artifacts', sha256, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
  }
  return sha256;
}

/** Its folder, or the reason for there being none. */
async function compile(artifact: string, runtime: RuntimeName): Promise<string> {
  const made = await compiled.ensure(artifact, runtime);
  return made ?? readFileSync(join(folder, 'compiled', artifact, `${runtime}-${catalog.build(runtime)}.none`), 'utf8');
}

interface Loaded {
  /** FAILED's message, or what the handler answers. */
  answer: string;
  exit: SandboxExit;
  output: string;
}

/** Boots a guest, loads the code, calls it once, stops it. */
async function load(artifact: string, runtime: RuntimeName, handler: string, made: string | null): Promise<Loaded> {
  const near = connect(join(folder, 'run', 'channel.sock'));
  near.pause();
  const [[channel]] = (await Promise.all([once(channels, 'connection'), once(near, 'connect')])) as [[Socket], unknown];
  const boot = catalog.boot(runtime, { memoryMiB: 256 })!;
  const mounts = [...boot.mounts, { source: join(folder, 'artifacts', artifact), target: CODE }];
  if (made !== null) mounts.push({ source: made, target: COMPILED });
  const env = { ...boot.env, NODE_DEBUG_NATIVE: 'COMPILE_CACHE' };
  let output = '';
  const sandbox = await driver.start(
    {
      id: newId('sbx'),
      argv: boot.argv,
      env,
      mounts,
      lateTargets: [],
      network: null,
      cwd: CODE,
      background: false,
      memoryMiB: 256,
      cpus: null,
      tmpMiB: 8,
      pids: 64,
      isolation: 'standard',
    },
    near,
    { write: (text) => (output += text) !== '', onceWelcome: (resume) => resume() },
  );
  near.destroy();
  let answer = '';
  const init: InitPayload = {
    project: 'p',
    function: 'f',
    version: 1,
    codeFolder: CODE,
    ...(made === null ? {} : { compiledFolder: COMPILED }),
    handler,
    runtime,
    env: {},
    memoryMiB: 256,
    timeoutMs: 5_000,
    concurrency: 1,
    logBytesPerSecond: 100_000,
  };
  const request = { kind: 'event', id: 'inv_1', trace: '', trigger: 'invoke', contentType: 'application/json' } as const;
  const reader = new FrameReader((frame: Frame) => {
    if (frame.type === FrameType.READY) {
      channel.write(encodeMetaFrame(FrameType.REQUEST, request, Buffer.from('{}'), { flags: Flag.END, stream: 1, arg: 5_000 }));
    } else if (frame.type === FrameType.RESPONSE) {
      answer = decodeMeta<ResponseMeta>(frame.payload).body.toString();
      channel.write(encodeFrame(FrameType.STOP, {}));
    } else if (frame.type === FrameType.FAILED || frame.type === FrameType.ERROR) answer = frame.payload.toString();
  });
  channel.on('data', (chunk: Buffer) => reader.push(chunk));
  channel.on('error', () => {});
  channel.resume();
  channel.write(encodeJsonFrame(FrameType.INIT, init));
  const exit = await sandbox.exited;
  channel.destroy();
  return { answer, exit, output };
}

/** Enough code to be worth keeping. */
const FILLER = Array.from({ length: 200 }, (_, n) => `function part${n}(a) { return a + ${n}; }\npart${n}.next = ${n};`).join('\n');
/** Were it run, the compiling program would end with this and say so. */
const DEADLY = `${FILLER}\nprocess.exit(77);\nthrow new Error('run');\n`;

for (const runtime of ['nodejs26', 'nodejs24'] as const) {
  describe(runtime, () => {
    test('a bundle is compiled without being run, with what it imports, and a guest takes all of it', async () => {
      const artifact = artifactOf({
        'index.mjs': `import { b } from './part.mjs'; import c from './old.cjs';\n${FILLER}\nexport const handler = () => [typeof part1, b, c];`,
        'part.mjs': `${FILLER}\nexport const b = 'b';`,
        'old.cjs': `${FILLER}\nmodule.exports = 'c';`,
      });
      const made = await compile(artifact, runtime);
      const { answer, output, exit } = await load(artifact, runtime, 'index.mjs', made);
      assert.equal(answer, '["function","b","c"]');
      const accepted = [...output.matchAll(/code cache for (\w+) (\S+) was accepted/g)].map(([, kind, file]) => `${kind} ${file}`);
      assert.deepEqual(accepted.toSorted(), ['CommonJS /code/old.cjs', 'ESM file:///code/index.mjs', 'ESM file:///code/part.mjs']);
      assert.equal(exit.code, 0);
    });

    test('nothing of the artifact runs: not an ES module, not CommonJS, not a file that could be either', async () => {
      const files = {
        'index.mjs': `import './old.cjs'; import './lib/either.js'; await 1;\n${DEADLY}`,
        'old.cjs': DEADLY,
        'lib/either.js': DEADLY,
        'lib/module.js': `export default 1;\n${DEADLY}`,
        'typed/package.json': '{"type":"module"}',
        'typed/module.js': `export default 1;\n${DEADLY}`,
        'node_modules/x/package.json': '{"main":"main.js"}',
        'node_modules/x/main.js': `require('./next.js');\n${DEADLY}`,
        'node_modules/x/next.js': DEADLY,
      };
      const made = await compile(artifactOf(files), runtime);
      assert.ok(existsSync(made), made);
      // Each once, and what asks for an export that is absent.
      const large = readdirSync(made).filter((name) => readFileSync(join(made, name)).length > 4_000);
      assert.ok(large.length >= 7, `${large.length} files`);
    });

    test('what does not parse or resolve is left out, and says so when it is loaded, as ever', async () => {
      const artifact = artifactOf({
        'index.mjs': 'export const = 1;',
        'lost.mjs': "import 'nowhere';",
        'good.mjs': `${FILLER}\nexport {};`,
      });
      const made = await compile(artifact, runtime);
      assert.match((await load(artifact, runtime, 'index.mjs', made)).answer, /index\.mjs:1/);
    });

    test('a program that parses for too long or sends too much leaves nothing but the reason', async () => {
      const artifact = artifactOf({ 'index.mjs': 'function f() { return [1,2,3]; }\nf();\n'.repeat(60_000) });
      const path = await compile(artifact, runtime);
      assert.ok(existsSync(path) || /many|more|worth/.test(path), path);
    });

    test('garbage, truncation and the code of another build are not taken: the source is', async () => {
      const artifact = artifactOf({ 'index.mjs': `${FILLER}\nexport const handler = () => 'from ${runtime}';` });
      const made = await compile(artifact, runtime);
      const spoilt = join(folder, 'compiled', 'spoilt');
      for (const spoil of [
        (file: string): void => writeFileSync(file, 'garbage'),
        (file: string): void => writeFileSync(file, ''),
        (file: string): void => truncateSync(file, 1_000),
        (file: string): void => writeFileSync(file, readFileSync(file).fill(1, 300)),
      ]) {
        rmSync(spoilt, { recursive: true, force: true });
        mkdirSync(spoilt, { mode: 0o755 });
        for (const name of readdirSync(made)) {
          writeFileSync(join(spoilt, name), readFileSync(join(made, name)));
          spoil(join(spoilt, name));
        }
        const { answer, output } = await load(artifact, runtime, 'index.mjs', spoilt);
        assert.equal(answer, `"from ${runtime}"`);
        assert.doesNotMatch(output, /was accepted/);
      }
    });

    test('a function can neither change it nor is kept from using Node’s compile cache itself', async () => {
      const source = `
import { writeFileSync, readdirSync, unlinkSync, mkdirSync } from 'node:fs';
import { enableCompileCache, flushCompileCache } from 'node:module';
${FILLER}
const attempt = (act) => { try { act(); return 'done'; } catch (error) { return error.code; } };
export const handler = () => {
  const [name] = readdirSync('/compiled');
  flushCompileCache();
  return [
    attempt(() => writeFileSync('/compiled/' + name, 'x')), attempt(() => unlinkSync('/compiled/' + name)), attempt(() => mkdirSync('/compiled/x')),
    attempt(() => enableCompileCache('/tmp/own')),
  ];
};`;
      const artifact = artifactOf({ 'index.mjs': source });
      const made = await compile(artifact, runtime);
      const untouched = readdirSync(made).map((name) => readFileSync(join(made, name)).toString('base64'));
      assert.equal((await load(artifact, runtime, 'index.mjs', made)).answer, '["EROFS","EROFS","EROFS","done"]');
      assert.deepEqual(
        readdirSync(made).map((name) => readFileSync(join(made, name)).toString('base64')),
        untouched,
      );
    });
  });
}

describe('python3', () => {
  const PYTHON_FILLER = Array.from({ length: 100 }, (_, n) => `def part${n}(a):\n    return a + ${n}\n`).join('');

  /** What the real compiler makes of `source`, in place of what the platform made. */
  function plant(file: string, source: string): void {
    const script =
      'import sys, marshal; from importlib.util import MAGIC_NUMBER as m; f = open(sys.argv[1], "wb"); f.write(m + b"\\1" + bytes(11) + marshal.dumps(compile(sys.argv[2], "main.py", "exec")))';
    rmSync(file);
    execFileSync('/usr/bin/python3', ['-c', script, file, source]);
  }

  test('modules are compiled without being run, and a guest takes them: the source is not looked at', async () => {
    const deadly = `${PYTHON_FILLER}\nimport os\nos._exit(77)\n`;
    const artifact = artifactOf({
      'main.py': `from lib.part import b\n${PYTHON_FILLER}\ndef handler(event, context):\n    return "source" + b\n`,
      'lib/part.py': `${PYTHON_FILLER}\nb = " and b"\n`,
      '.packages/deadly.py': deadly,
      'broken.py': 'def',
    });
    const made = await compile(artifact, 'python3');
    assert.deepEqual(readdirSync(made, { recursive: true, encoding: 'utf8' }).toSorted(), [
      '.packages',
      '.packages/deadly.pyc',
      'lib',
      'lib/part.pyc',
      'main.pyc',
    ]);
    assert.equal((await load(artifact, 'python3', 'main.py', made)).answer, '"source and b"');
    plant(join(made, 'lib/part.pyc'), 'b = " and planted"');
    assert.equal((await load(artifact, 'python3', 'main.py', made)).answer, '"source and planted"');
    plant(join(made, 'main.pyc'), 'from lib.part import b\ndef handler(event, context):\n    return "planted" + b');
    assert.equal((await load(artifact, 'python3', 'main.py', made)).answer, '"planted and planted"');
    assert.equal((await load(artifact, 'python3', 'main.py', null)).answer, '"source and b"');
  });

  test('garbage, truncation and the code of another Python are not taken: the source is', async () => {
    const artifact = artifactOf({ 'main.py': `${PYTHON_FILLER}\ndef handler(event, context):\n    return "source"\n` });
    const made = await compile(artifact, 'python3');
    const file = join(made, 'main.pyc');
    const good = readFileSync(file);
    for (const bytes of [
      Buffer.from('garbage'),
      Buffer.alloc(0),
      good.subarray(0, 200),
      Buffer.concat([Buffer.alloc(4), good.subarray(4)]),
    ]) {
      rmSync(file);
      writeFileSync(file, bytes);
      assert.equal((await load(artifact, 'python3', 'main.py', made)).answer, '"source"');
    }
  });

  test('tracebacks and inspect still find the source', async () => {
    const artifact = artifactOf({
      'main.py': `import inspect, traceback\n${PYTHON_FILLER}\ndef handler(event, context):\n    try:\n        1 / 0 # here\n    except ZeroDivisionError:\n        return ["# here" in traceback.format_exc(), "part1" in inspect.getsource(part1), __file__]\n`,
    });
    assert.equal((await load(artifact, 'python3', 'main.py', await compile(artifact, 'python3'))).answer, '[true,true,"/code/main.py"]');
  });
});
