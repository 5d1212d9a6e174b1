// The port of the program: which one it is told to listen on, and when it does. Invariant: only a port that was free is handed
// out, so whoever answers there is the program; the waiting is bounded, and ends at once when the program does.
// Called by web.ts, once for each instance.
import { once } from 'node:events';
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { Server, Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { LoadError } from '../../failure.ts';

const USUAL_PORT = 8080;
/** Looks are a twentieth of the time that has passed apart, within these: each takes processor time that the program would lack. */
const LOOK_SHARE = 1 / 20;
const LOOK_MS_MIN = 1;
const LOOK_MS_MAX = 25;
const CONNECT_MS_MAX = 1_000;
/** Who listens on one address alone does so on the first; the second is tried now and then. */
const [USUAL_HOST, OTHER_HOST] = ['127.0.0.1', '::1'];
const OTHER_EVERY = 4;

/**
 * `wanted` is the function's own setting. In a network of its own every port is free, and to try costs 9 ms of CPU in a Node that has
 * never listened; in that of the machine others take ports too: any free one.
 */
export async function freePort(wanted: string | undefined, networkIsOurs: boolean): Promise<number> {
  if (wanted !== undefined && !(/^\d{1,5}$/.test(wanted) && Number(wanted) >= 1 && Number(wanted) <= 65_535))
    throw new LoadError(`PORT is '${wanted}' in its environment; it must be a number from 1 to 65535, or not be set`);
  const port = wanted === undefined ? (networkIsOurs ? USUAL_PORT : 0) : Number(wanted);
  if (networkIsOurs) return port;
  const server = new Server();
  try {
    server.listen({ port, host: '0.0.0.0', exclusive: true });
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    throw new LoadError(`port ${port}, which PORT in its environment asks for, cannot be used: ${code}`);
  } finally {
    server.close();
  }
}

/** The address at which the port accepts; undefined: it did not until `untilMs` (performance.now()). Aborted when the program ends. */
export async function accepting(port: number, untilMs: number, signal: AbortSignal): Promise<string | undefined> {
  const beganMs = performance.now();
  for (let look = 1; ; look++) {
    if (await accepts(USUAL_HOST, port)) return USUAL_HOST;
    if (look % OTHER_EVERY === 0 && (await accepts(OTHER_HOST, port))) return OTHER_HOST;
    const now = performance.now();
    if (now >= untilMs || signal.aborted) return undefined;
    await sleep(Math.min(LOOK_MS_MAX, Math.max(LOOK_MS_MIN, (now - beganMs) * LOOK_SHARE)));
  }
}

function accepts(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = new Socket();
    const end = (answer: boolean): void => {
      clearTimeout(late);
      socket.destroy();
      resolve(answer);
    };
    const late = setTimeout(() => end(false), CONNECT_MS_MAX);
    socket.on('error', () => end(false));
    socket.on('connect', () => end(true));
    socket.connect({ host, port });
  });
}

/** Ports on which processes that are seen here listen: for a program that listens somewhere else. */
export function listeningPorts(): number[] {
  const sockets = new Map<string, number>();
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    for (const line of textOf(table).split('\n').slice(1)) {
      const [, local = '', , state, , , , , , inode = ''] = line.trim().split(/\s+/);
      if (state === '0A') sockets.set(`socket:[${inode}]`, Number.parseInt(local.split(':')[1] ?? '', 16));
    }
  }
  const ports = new Set<number>();
  for (const pid of namesIn('/proc').filter((name) => /^\d+$/.test(name))) {
    for (const fd of namesIn(`/proc/${pid}/fd`)) {
      const found = sockets.get(linkOf(`/proc/${pid}/fd/${fd}`));
      if (found !== undefined) ports.add(found);
    }
  }
  return [...ports].toSorted((a, b) => a - b);
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
