// The program that compiles an artifact's JavaScript ahead of its first call, in a sandbox of its own: what it parses may
// be hostile. It fills Node's own compile cache and sends the cache's files to the host over fd 3.
// Invariant: no code of the artifact runs; what cannot be compiled is left out, since a guest compiles it itself.
// Started as `node <flags of a guest> compile.cjs <most bytes to send>` in the artifact's folder, and bundled like guest.ts.
//
//   FILE name ─▶ BODY … BODY+END   for each file, on a stream of its own; then exit 0. Any other end: nothing of it counts.
//
// How a file is compiled without being run:
// · an ES module: by importing it beside a module that lacks an export which is asked for. The graph is loaded and
//   compiled, then linking fails, and evaluation would come after it.
// · CommonJS: as compile-only.ts says.
import { readFileSync, readdirSync } from 'node:fs';
import { Module, enableCompileCache, flushCompileCache, getCompileCacheDir } from 'node:module';
import { Socket } from 'node:net';
import { constants, setPriority } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { FrameType, Flag, encodeFrame } from '../../protocol/frames.ts';
import { compileOnly } from './compile-only.ts';
import { importUrl } from './load.ts';

const CHANNEL_FD = 3;
const CACHE = '/tmp/compiled';
/** Beyond these an artifact is compiled in part: what lies higher up in its folders comes first. */
const FILES_MAX = 2_000;
const SOURCE_BYTES_MAX = 64 * 1024 * 1024;
const COMPILE_MS_MAX = 10_000;
const PIECE_BYTES = 512 * 1024;

type Kind = 'module' | 'commonjs' | 'unknown';

interface SourceFile {
  path: string;
  kind: Kind;
}

async function main(): Promise<void> {
  setPriority(constants.priority.PRIORITY_LOW);
  const channel = new Socket({ fd: CHANNEL_FD, readable: true, writable: true });
  // The host is gone: nobody wants it any more.
  channel.on('error', () => process.exit(1));
  channel.on('end', () => process.exit(1));
  channel.resume();
  enableCompileCache(CACHE);
  await compileAll(process.cwd());
  flushCompileCache();
  await sendAll(channel, getCompileCacheDir()!, Number(process.argv[2]));
  channel.end(() => process.exit(0));
}

async function compileAll(folder: string): Promise<void> {
  const until = performance.now() + COMPILE_MS_MAX;
  let bytes = 0;
  for (const { path, kind } of sourceFiles(folder)) {
    if (performance.now() > until) return;
    const source = readFileSync(path, 'utf8');
    bytes += source.length;
    if (bytes > SOURCE_BYTES_MAX) return;
    if (kind !== 'module' && compileOnly(new Module(path), path, source)) continue;
    if (kind !== 'commonjs') await compileModule(path);
  }
}

/** Files that Node would load as JavaScript, those of upper folders first. */
function sourceFiles(folder: string): SourceFile[] {
  const found: SourceFile[] = [];
  const folders: { path: string; kind: Kind }[] = [{ path: folder, kind: 'unknown' }];
  for (let next = folders.shift(); next !== undefined; next = folders.shift()) {
    const entries = readdirSync(next.path, { withFileTypes: true }).toSorted((a, b) => (a.name < b.name ? -1 : 1));
    const kind = entries.some((entry) => entry.name === 'package.json') ? kindOfPackage(next.path) : next.kind;
    for (const entry of entries) {
      const path = join(next.path, entry.name);
      if (entry.isDirectory()) folders.push({ path, kind: entry.name === 'node_modules' ? 'unknown' : kind });
      else if (!entry.isFile()) continue;
      else if (entry.name.endsWith('.mjs')) found.push({ path, kind: 'module' });
      else if (entry.name.endsWith('.cjs')) found.push({ path, kind: 'commonjs' });
      else if (entry.name.endsWith('.js')) found.push({ path, kind });
      if (found.length >= FILES_MAX) return found;
    }
  }
  return found;
}

function kindOfPackage(folder: string): Kind {
  try {
    const { type } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { type?: unknown };
    return type === 'module' || type === 'commonjs' ? type : 'unknown';
  } catch {
    return 'unknown';
  }
}

async function compileModule(path: string): Promise<void> {
  const source = `import * as x from ${JSON.stringify(pathToFileURL(path).href)}; import { absent } from 'data:text/javascript,'`;
  await importUrl(`data:text/javascript,${encodeURIComponent(source)}`).catch(() => {});
}

async function sendAll(channel: Socket, folder: string, bytesMax: number): Promise<void> {
  let stream = 0;
  let bytes = 0;
  for (const name of readdirSync(folder)) {
    const content = readFileSync(join(folder, name));
    bytes += content.length;
    if (bytes > bytesMax) return;
    stream++;
    channel.write(encodeFrame(FrameType.FILE, { stream, payload: Buffer.from(name) }));
    for (let at = 0; at < content.length; at += PIECE_BYTES) {
      const piece = content.subarray(at, at + PIECE_BYTES);
      const flags = at + piece.length === content.length ? Flag.END : 0;
      const frame = encodeFrame(FrameType.BODY, { stream, flags, payload: piece });
      if (!channel.write(frame)) await new Promise((resolve) => channel.once('drain', resolve));
    }
  }
}

main().catch((error: unknown) => {
  process.stderr.write(`${String(error)}\n`);
  process.exit(1);
});
