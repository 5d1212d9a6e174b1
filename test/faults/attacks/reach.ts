// Attacks on what others have: their code, secrets, files, processes and sockets. Deployed by hostile-reach.test.ts, which tells
// each what to look for, in the query, and first makes sure that it is really there to be found on the host.
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface ReachAttack {
  tries: string;
  holds: RegExp;
  run: (target: string) => unknown;
}

const NOTHING = /^nothing$/;
const GONE = /^(ENOENT|EACCES|ENOTDIR)$/;

export const ATTACKS: Record<string, ReachAttack> = {
  'operator-token': {
    tries: 'to read the operator’s token',
    holds: GONE,
    run: (data) => fs.readFileSync(join(data, 'operator-token'), 'utf8'),
  },
  'data-folder': { tries: 'to list the data folder', holds: GONE, run: (data) => fs.readdirSync(data).join() },
  'through-process-1': {
    tries: 'the data folder by way of process 1',
    holds: GONE,
    run: (data) => fs.readdirSync(join('/proc/1/root', data)).join(),
  },
  'through-working-folder': {
    tries: 'the data folder by way of the working folder of process 1',
    holds: GONE,
    run: (data) => fs.readdirSync(join('/proc/1/cwd', '../../../..', data)).join(),
  },
  'up-from-code': {
    tries: 'to climb out of its code',
    holds: /^(?:(?:bin|code|compiled|dev|etc|opt|proc|runtime(?:-bun|-deno)?|sbin|tmp|usr|var|virga),?)+$/,
    run: () =>
      fs
        .readdirSync('/code/../../..')
        .filter((name) => !name.startsWith('lib'))
        .sort()
        .join(),
  },
  'other-artifacts': { tries: 'to find the neighbour’s code or files anywhere', holds: NOTHING, run: (secret) => filesWith(secret) },
  'code-is-its-own': {
    tries: 'to find more than its own code in /code',
    holds: /^[\w.]+(,[\w.]+)*$/,
    run: () => fs.readdirSync('/code', { recursive: true }).join(),
  },
  environments: {
    tries: 'to read the secret in another environment',
    holds: NOTHING,
    run: (secret) => processFilesWith('environ', secret),
  },
  'own-environment': {
    tries: 'to find something of the host in its environment',
    holds: NOTHING,
    run: () =>
      Object.keys(process.env)
        .filter((name) => /^(VIRGA|SHELL|USER|LOGNAME|SSH|npm|NODE_|PG)/.test(name))
        .join() || 'nothing',
  },
  'other-processes': {
    tries: 'to see more processes than its own',
    holds: /^[1-5]$/,
    run: () => fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name)).length,
  },
  'process-of-host': {
    tries: 'to look at a process of the host',
    holds: GONE,
    run: (pid) => fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8'),
  },
  'signal-host': { tries: 'to signal a process of the host', holds: /^ESRCH$/, run: (pid) => process.kill(Number(pid), 0) },
  'signal-all': {
    tries: 'to end everything that it can',
    holds: /^signalled$/,
    run: () => (spawnSync('sh', ['-c', 'trap "" TERM; kill -TERM -1; kill -KILL 1']), 'signalled'),
  },
  'open-folders': { tries: 'to find an open folder of the host among its descriptors', holds: NOTHING, run: openFolders },
  'temporary-files': { tries: 'to find a file that the host has in /tmp', holds: GONE, run: (path) => fs.readFileSync(path, 'utf8') },
  'shared-memory': { tries: 'to find a segment that the host has in /dev/shm', holds: GONE, run: (path) => fs.readFileSync(path, 'utf8') },
  'temporary-folder': {
    tries: 'to find what others left in /tmp',
    holds: NOTHING,
    // The runtime's own link to its compiled code is not somebody else's.
    run: () =>
      fs
        .readdirSync('/tmp')
        .filter((name) => name !== '.virga-compiled')
        .join() || 'nothing',
  },
  'socket-of-edge': { tries: 'to reach the edge’s own socket', holds: GONE, run: reached },
  'socket-of-launcher': { tries: 'to ask the launcher for a sandbox', holds: GONE, run: reached },
  'socket-of-channels': { tries: 'to take over the channel of another sandbox', holds: GONE, run: reached },
  'socket-of-postgres': { tries: 'to reach the database by its socket', holds: GONE, run: reached },
  'socket-of-docker': { tries: 'to reach a container engine', holds: GONE, run: () => reached('/var/run/docker.sock') },
  'socket-of-dbus': { tries: 'to reach the system’s bus', holds: GONE, run: () => reached('/run/dbus/system_bus_socket') },
  'abstract-of-host': { tries: 'to reach an abstract socket of the host', holds: /^ECONNREFUSED$/, run: (name) => reached(`\0${name}`) },
  'abstract-of-neighbour': {
    tries: 'to reach an abstract socket of another sandbox',
    holds: /^ECONNREFUSED$/,
    run: () => reached('\0virga-neighbour'),
  },
  'abstract-listed': {
    tries: 'to find sockets of others by their list',
    holds: NOTHING,
    run: () =>
      fs
        .readFileSync('/proc/net/unix', 'utf8')
        .split('\n')
        .slice(1)
        .filter((line) => /[@/]/.test(line))
        .join() || 'nothing',
  },
  'write-code': {
    tries: 'to change its code for whom comes after',
    holds: /^EROFS$/,
    run: () => fs.writeFileSync(join('/code', fs.readdirSync('/code')[0]!), 'x'),
  },
  'write-guest': { tries: 'to change the runtime for everybody', holds: /^EROFS$/, run: () => fs.writeFileSync('/virga/guest.cjs', 'x') },
  'write-node': { tries: 'to change Node for everybody', holds: /^(EROFS|ETXTBSY)$/, run: () => fs.writeFileSync('/runtime/node', 'x') },
  'write-system': {
    tries: 'to add to the system’s libraries',
    holds: /^EROFS$/,
    run: () => fs.writeFileSync('/usr/lib/virga-attack.so', 'x'),
  },
  'write-compiled': {
    tries: 'to poison the compiled code that all instances of its version take',
    holds: /^((EROFS|ENOENT|EACCES),?)+$/,
    run: () => ['/compiled', ...compiledFolders()].map((folder) => codeOf(() => fs.writeFileSync(join(folder, 'x'), 'x'))).join(),
  },
  'write-root': { tries: 'to write beside it all', holds: /^EROFS$/, run: () => fs.writeFileSync('/x', 'x') },
  'link-out': {
    tries: 'to link a file of the system into its /tmp, to change it there',
    holds: /^(EXDEV|EPERM)$/,
    run: () => fs.linkSync('/usr/bin/env', '/tmp/env'),
  },
  'link-magic': {
    tries: 'to write to its program through /proc',
    holds: /^(EROFS|ETXTBSY|EACCES)$/,
    run: () => fs.writeFileSync('/proc/self/exe', 'x'),
  },
  shadow: { tries: 'to read the passwords of the host', holds: GONE, run: () => fs.readFileSync('/etc/shadow', 'utf8') },
  homes: { tries: 'to list the homes of the host', holds: GONE, run: () => fs.readdirSync('/root').concat(fs.readdirSync('/home')).join() },
  disks: { tries: 'to read a disk as a device', holds: NOTHING, run: devices },
  'kernel-memory': {
    tries: 'to read the memory of the kernel',
    holds: /^(EACCES|ENOENT|EPERM)$/,
    run: () => fs.readFileSync('/proc/kcore').length,
  },
  'kernel-addresses': {
    tries: 'to learn where the kernel is',
    holds: NOTHING,
    run: () => (/^0*[1-9a-f][0-9a-f]* /m.exec(fs.readFileSync('/proc/kallsyms', 'latin1').slice(0, 100_000)) ?? ['nothing'])[0],
  },
  'root-user': { tries: 'to become root', holds: /^EPERM$/, run: () => process.setuid!(0) },
  'new-rights': {
    tries: 'to gain rights by a set-uid program, or by what it may have kept',
    holds: /^CapInh:\t0+ CapPrm:\t0+ CapEff:\t0+ CapBnd:\t\w+ CapAmb:\t0+ NoNewPrivs:\t1$/,
    run: () =>
      fs
        .readFileSync('/proc/self/status', 'utf8')
        .match(/^(Cap|NoNew)\w+:.*$/gm)!
        .join(' '),
  },
};

/** Everywhere but in what the system brings along. */
function filesWith(text: string): string {
  const found = spawnSync('sh', [
    '-c',
    'for f in /*; do case $f in /proc|/usr|/bin|/sbin|/lib*|/runtime|/dev) ;; *) grep -rlsF -- "$0" "$f";; esac; done',
    text,
  ]);
  return found.stdout.toString().trim() || 'nothing';
}

function processFilesWith(file: string, text: string): string {
  const found = fs.readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      return fs.readFileSync(`/proc/${pid}/${file}`, 'utf8').includes(text);
    } catch {
      return false;
    }
  });
  return found.join() || 'nothing';
}

/** Where Node looks for the code of this process, past the links in /tmp. */
function compiledFolders(): string[] {
  const links = '/tmp/.virga-compiled';
  return fs.existsSync(links) ? fs.readdirSync(links).map((name) => fs.realpathSync(join(links, name))) : [];
}

function codeOf(work: () => void): string {
  try {
    work();
    return 'done';
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code);
  }
}

function openFolders(): string {
  const found = fs.readdirSync('/proc/self/fd').filter((fd) => {
    const target = fs.statSync(`/proc/self/fd/${fd}`, { throwIfNoEntry: false });
    return target?.isDirectory() === true && !fs.readlinkSync(`/proc/self/fd/${fd}`).startsWith('/proc/');
  });
  return found.join() || 'nothing';
}

function devices(): string {
  const harmless = new Set(['null', 'zero', 'full', 'random', 'urandom']);
  const found = fs.readdirSync('/dev').filter((name) => {
    const stat = fs.lstatSync(`/dev/${name}`);
    return (stat.isBlockDevice() || stat.isCharacterDevice()) && !harmless.has(name);
  });
  return found.join() || 'nothing';
}

function reached(path: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.on('connect', () => resolve('connected'));
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(String(error.code)));
    void sleep(2_000).then(() => resolve('no answer'));
  });
}

export default {
  async fetch(request: Request, context: { params: { name: string } }): Promise<Response> {
    const target = new URL(request.url).searchParams.get('target') ?? '';
    try {
      return new Response(String(await ATTACKS[context.params.name]!.run(target)));
    } catch (error) {
      return new Response(String((error as NodeJS.ErrnoException).code ?? error));
    }
  },
};
