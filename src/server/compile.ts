// Compiles one artifact ahead: runs the compiling program of its runtime (runtimes/node/compile.ts, runtimes/python/compile.py)
// in a sandbox of its own, where the artifact is shown as guests will see it, and takes what it sends.
// Invariant: the sandbox has no network, ends within COMPILE_MS, and what it sends is bounded; files count only when it has
// ended well, and throws are never the artifact's doing. What is in the files is judged by store/compiled.ts. Caller: server/launcher.ts, one at a time.
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { newId } from '../lib/ids.ts';
import { Flag, FrameReader, FrameType } from '../protocol/frames.ts';
import type { Frame } from '../protocol/frames.ts';
import { CODE } from '../runtimes/catalog.ts';
import type { RuntimeBoot } from '../runtimes/catalog.ts';
import type { OutputSink, SandboxDriver } from '../sandbox/driver.ts';
import type { CompiledFile } from '../store/compiled.ts';

/** Memory of the compiling sandbox: a parser's tree is up to a hundred times as large as its source. */
export const COMPILE_MEMORY_MIB = 512;
const COMPILE_MS = 30_000;
const NAME_BYTES_MAX = 4 * 1024;
const FILES_MAX = 20_000;
const TMP_MIB_OVER = 16;

export interface CompileOptions {
  driver: SandboxDriver;
  boot: RuntimeBoot;
  /** The unpacked artifact. */
  code: string;
  /** A path for a socket that nobody else uses. */
  socketPath: string;
  bytesMax: number;
  signal: AbortSignal;
}

export async function compileInSandbox({
  driver,
  boot,
  code,
  socketPath,
  bytesMax,
  signal,
}: CompileOptions): Promise<CompiledFile[] | { problem: string }> {
  signal.throwIfAborted();
  const { near, far } = await socketPair(socketPath);
  let sent: Promise<CompiledFile[]>;
  let sandbox;
  try {
    sent = receive(near, bytesMax);
    // Judged below, once the sandbox has ended.
    sent.catch(() => {});
    sandbox = await driver.start(
      {
        id: newId('sbx'),
        argv: boot.argv,
        env: boot.env,
        mounts: [...boot.mounts, { source: code, target: CODE }],
        lateTargets: [],
        network: null,
        cwd: CODE,
        background: true,
        memoryMiB: COMPILE_MEMORY_MIB,
        cpus: null,
        tmpMiB: Math.ceil(bytesMax / (1024 * 1024)) + TMP_MIB_OVER,
        pids: 64,
        isolation: 'standard',
      },
      far,
      NOWHERE,
    );
  } catch (error) {
    near.destroy();
    throw error;
  } finally {
    far.destroy();
  }
  const kill = (): void => void sandbox.kill();
  const timer = setTimeout(kill, COMPILE_MS);
  signal.addEventListener('abort', kill);
  if (signal.aborted) kill();
  try {
    const files = await sent.catch((error: unknown) => {
      kill();
      return { problem: String(error) };
    });
    const exit = await sandbox.exited;
    signal.throwIfAborted();
    if ('problem' in files || exit.code === 0) return files;
    return { problem: `the compiling program ended with ${exit.signal ?? exit.code}: ${exit.stderrTail.trim().slice(-500)}` };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', kill);
    near.destroy();
  }
}

const NOWHERE: OutputSink = { write: () => true, onceWelcome: (resume) => resume() };

/** Resolves at the end of the connection. Rejects on anything that is not a row of bounded files. */
function receive(channel: Socket, bytesMax: number): Promise<CompiledFile[]> {
  const files: CompiledFile[] = [];
  let bytes = 0;
  let open: { stream: number; name: string; pieces: Buffer[] } | undefined;
  const onFrame = (frame: Frame): void => {
    if (frame.type === FrameType.FILE && open === undefined && frame.payload.length <= NAME_BYTES_MAX && files.length < FILES_MAX) {
      open = { stream: frame.stream, name: frame.payload.toString('utf8'), pieces: [] };
    } else if (frame.type === FrameType.BODY && open?.stream === frame.stream) {
      bytes += frame.payload.length;
      if (bytes > bytesMax) throw new RangeError(`the compiling program sends more than ${bytesMax} bytes`);
      open.pieces.push(frame.payload);
      if ((frame.flags & Flag.END) === 0) return;
      files.push({ name: open.name, content: Buffer.concat(open.pieces) });
      open = undefined;
    } else throw new Error(`the compiling program sends a frame of type ${frame.type} that is out of place`);
  };
  const reader = new FrameReader(onFrame);
  return new Promise((resolve, reject) => {
    channel.on('data', (chunk: Buffer) => {
      try {
        reader.push(chunk);
      } catch (error) {
        channel.destroy();
        reject(error instanceof Error ? error : new Error(String(error)));
      }
    });
    // A process that is killed resets its connection; its exit says why.
    channel.on('error', () => {});
    channel.on('close', () => (open === undefined ? resolve(files) : reject(new Error('the compiling program ended within a file'))));
  });
}

/** `far` is for the sandbox: nothing is read from it here. Both are connected. */
async function socketPair(path: string): Promise<{ near: Socket; far: Socket }> {
  await rm(path, { force: true });
  const server = createServer({ pauseOnConnect: false });
  try {
    server.listen(path);
    await once(server, 'listening');
    const far = connect(path);
    far.pause();
    far.on('error', () => {});
    const [[near]] = (await Promise.all([once(server, 'connection'), once(far, 'connect')])) as [[Socket], unknown];
    return { near, far };
  } finally {
    server.close();
    await rm(path, { force: true });
  }
}
