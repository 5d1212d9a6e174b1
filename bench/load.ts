// The load generator: Debian's wrk where it is installed, else autocannon (one Node thread, which is slower than the
// fastest servers here: its figures understate them, and the report says which one was used). Callers: warm.ts, forms.ts,
// gateway.ts, whose requests only wrk can send.
import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';

export interface Load {
  requestsPerSecond: number;
  /** Answers in all. */
  calls: number;
  p50Us: number;
  p99Us: number;
  /** Answers that were not 2xx, and connections that failed; not among requestsPerSecond. */
  failed: number;
}

const WRK = ['/usr/bin/wrk', '/usr/local/bin/wrk'].find((path) => {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
});

export const GENERATOR = WRK === undefined ? 'autocannon' : 'wrk';

interface Loading {
  connections: number;
  seconds: number;
  /** Sent by POST with each call; 0: GET without a body. */
  bodyBytes?: number;
  /** A file as peers/wrk/send.lua reads it, instead of `bodyBytes`. */
  requestFile?: string;
}

export async function load(url: string, options: Loading): Promise<Load> {
  return WRK === undefined ? withAutocannon(url, options) : withWrk(WRK, url, options);
}

async function withWrk(wrk: string, url: string, { connections, seconds, bodyBytes = 0, requestFile }: Loading): Promise<Load> {
  const args = ['--threads=1', `--connections=${connections}`, `--duration=${seconds}s`, '--timeout=10s', '--latency'];
  const scripts = join(import.meta.dirname, 'peers', 'wrk');
  const sent =
    requestFile !== undefined
      ? ['-s', join(scripts, 'send.lua'), url, '--', requestFile]
      : bodyBytes > 0
        ? ['-s', join(scripts, 'post.lua'), url, '--', String(bodyBytes)]
        : [url];
  const text = await output(wrk, [...args, ...sent], seconds);
  const field = (pattern: RegExp): number => Number(pattern.exec(text)?.[1] ?? 0);
  const us = (share: string): number => {
    const found = new RegExp(`^\\s+${share}%\\s+([\\d.]+)(us|ms|s)`, 'm').exec(text);
    return found ? Number(found[1]) * { us: 1, ms: 1_000, s: 1_000_000 }[found[2] as 'us' | 'ms' | 's'] : Number.NaN;
  };
  const sockets = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(text);
  const broken = sockets ? sockets.slice(1).reduce((sum, count) => sum + Number(count), 0) : 0;
  const refused = field(/Non-2xx or 3xx responses: (\d+)/);
  const answers = field(/(\d+) requests in /);
  return {
    requestsPerSecond: field(/Requests\/sec:\s+([\d.]+)/) * (1 - refused / Math.max(1, answers)),
    calls: answers,
    p50Us: us('50'),
    p99Us: us('99'),
    failed: refused + broken,
  };
}

async function withAutocannon(url: string, { connections, seconds, bodyBytes = 0 }: Loading): Promise<Load> {
  const program = join(import.meta.dirname, 'node_modules/autocannon/autocannon.js');
  const text = await output(
    process.execPath,
    [program, '--json', '--no-progress', '-c', String(connections), '-d', String(seconds), ...posting(bodyBytes), url],
    seconds,
  );
  const { requests, latency, errors, non2xx } = JSON.parse(text) as {
    requests: { average: number; total: number };
    latency: { p50: number; p99: number };
    errors: number;
    non2xx: number;
  };
  return {
    requestsPerSecond: requests.average * (1 - non2xx / Math.max(1, requests.total)),
    calls: requests.total,
    p50Us: latency.p50 * 1_000,
    p99Us: latency.p99 * 1_000,
    failed: errors + non2xx,
  };
}

function posting(bytes: number): string[] {
  return bytes === 0 ? [] : ['-m', 'POST', '-H', 'content-type=application/octet-stream', '-b', 'x'.repeat(bytes)];
}

function output(command: string, args: string[], seconds: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: (seconds + 20) * 1_000 });
    let text = '';
    let complaint = '';
    child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (complaint += chunk.toString()));
    child.on('error', reject);
    child.on('close', (code) =>
      code === 0 ? resolve(text) : reject(new Error(`${command} ended with ${code}: ${complaint.slice(-500)}`)),
    );
  });
}
