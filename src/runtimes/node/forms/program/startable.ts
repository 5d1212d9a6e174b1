// Why a file cannot be started as a program, in words that name the remedy: the kernel says the same "no such file" for a script
// whose interpreter is missing, and "exec format error" for a dozen reasons. Invariant: nothing is run here, and at most
// HEAD_BYTES of the file are read. Used by the forms that start a program, before they do.
import { accessSync, closeSync, constants, existsSync, openSync, readSync, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';

const HEAD_BYTES = 4096;
const ELF = 0x7f454c46;
/** e_machine of the processors that Virga runs on, as Node calls them. */
const MACHINES: Record<number, string> = { 62: 'x64', 183: 'arm64', 3: 'ia32', 40: 'arm', 243: 'riscv64' };
const PT_INTERP = 3;

/** Undefined: as far as can be seen, it starts. `name` is what the author calls it; `searched` the PATH that it will have. */
export function startProblem(path: string, name: string, searched: string): string | undefined {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return `there is no file '${name}'`;
  if (!stat.isFile()) return `'${name}' is ${stat.isDirectory() ? 'a folder' : 'no file'}; it must be a program`;
  try {
    accessSync(path, constants.X_OK);
  } catch {
    return `'${name}' is not executable; run chmod +x ${name} before it is deployed (an archive must be made where files have such modes)`;
  }
  const head = headOf(path);
  if (head.length >= 20 && head.readUInt32BE(0) === ELF) return binaryProblem(head, name);
  if (head.toString('latin1', 0, 2) === '#!') return scriptProblem(head, name, searched);
  return `'${name}' is neither a program for Linux nor a script: it begins with ${shown(head)}; a script begins with #! and its interpreter, such as #!/bin/sh`;
}

function headOf(path: string): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  const fd = openSync(path, 'r');
  try {
    return head.subarray(0, readSync(fd, head, 0, HEAD_BYTES, 0));
  } finally {
    closeSync(fd);
  }
}

function scriptProblem(head: Buffer, name: string, searched: string): string | undefined {
  const end = head.indexOf('\n');
  const line = head.toString('utf8', 2, end === -1 ? head.length : end);
  if (line.endsWith('\r')) return `the first line of '${name}' ends as lines do on Windows; save it with LF line ends`;
  const [interpreter = '', ...args] = line.trim().split(/[ \t]+/);
  if (interpreter === '') return `the first line of '${name}' names no interpreter after #!`;
  if (!existsSync(interpreter)) return `the interpreter of '${name}', ${interpreter}, is not there`;
  if (!/(?:^|\/)env$/.test(interpreter)) return undefined;
  const program = args.find((arg) => !arg.startsWith('-') && !arg.includes('='));
  if (program === undefined || program.includes('/')) return undefined;
  const folders = searched.split(delimiter).filter((folder) => folder !== '');
  if (folders.some((folder) => existsSync(join(folder, program)))) return undefined;
  return `the interpreter of '${name}', ${program}, is in none of the folders of PATH (${folders.join(', ')})`;
}

function binaryProblem(head: Buffer, name: string): string | undefined {
  const machine = MACHINES[head.readUInt16LE(18)] ?? `processor ${head.readUInt16LE(18)}`;
  if (machine !== process.arch) return `'${name}' is a program for ${machine}, and this machine is ${process.arch}; build it for that`;
  const loader = loaderOf(head);
  if (loader === undefined || existsSync(loader)) return undefined;
  const musl = loader.includes('musl') ? ' (it was built with musl, as on Alpine)' : '';
  return `'${name}' needs the loader ${loader}, which is not there${musl}; link it statically, or build it for glibc`;
}

/** What PT_INTERP of a 64-bit ELF file names; undefined for a static one, or when it lies beyond the head. */
function loaderOf(head: Buffer): string | undefined {
  if (head.length < 64 || head[4] !== 2) return undefined;
  const [at, size, count] = [Number(head.readBigUInt64LE(32)), head.readUInt16LE(54), head.readUInt16LE(56)];
  for (let entry = at; entry < at + size * count && entry + 40 <= head.length; entry += size) {
    if (size < 40 || head.readUInt32LE(entry) !== PT_INTERP) continue;
    const from = Number(head.readBigUInt64LE(entry + 8));
    const to = from + Number(head.readBigUInt64LE(entry + 32)) - 1;
    return to <= head.length ? head.toString('latin1', from, to) : undefined;
  }
  return undefined;
}

function shown(head: Buffer): string {
  return head.length === 0 ? 'nothing: it is empty' : JSON.stringify(head.toString('latin1', 0, 8));
}
