// An ACME server for a test: Debian's pebble, which checks challenges by connecting to the ports that it is given, with a DNS
// server that leads every name to this machine. Invariant: both end with `await using`. Used by acme.test.ts.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { get } from 'node:https';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { freePort } from '../virga.ts';
import type { Authority } from './certificates.ts';

export interface AcmeServer extends AsyncDisposable {
  directory: string;
  /** Root of what it issues, PEM. */
  root: string;
  /** From now on this name leads to another address. */
  leadElsewhere(name: string): Promise<void>;
  /** What it printed: each request, validation and certificate. */
  log(): string;
  stop(): Promise<void>;
}

export async function startAcmeServer(options: {
  folder: string;
  authority: Authority;
  /** Where it looks for http-01 and tls-alpn-01. */
  httpPort: number;
  tlsPort: number;
  /** Of its certificates. */
  lifeS: number;
}): Promise<AcmeServer> {
  const { folder, authority } = options;
  const own = join(folder, 'acme-server');
  authority.certify(own, ['localhost']);
  const [port, managementPort, dnsPort, dnsManagementPort] = [await freePort(), await freePort(), await freePort(), await freePort()];
  const config = {
    listenAddress: `127.0.0.1:${port}`,
    managementListenAddress: `127.0.0.1:${managementPort}`,
    certificate: `${own}.crt`,
    privateKey: `${own}.key`,
    httpPort: options.httpPort,
    tlsPort: options.tlsPort,
    certificateValidityPeriod: options.lifeS,
  };
  const file = join(folder, 'pebble.json');
  await writeFile(file, JSON.stringify({ pebble: config }));
  const names = ['-dns01', `127.0.0.1:${dnsPort}`, '-management', `127.0.0.1:${dnsManagementPort}`, '-defaultIPv6', ''];
  const dns = start('pebble-challtestsrv', [...names, '-http01', '', '-https01', '', '-tlsalpn01', '']);
  // Every fifth nonce is refused: a client has to live with that.
  const pebble = start('pebble', ['-config', file, '-dnsserver', `127.0.0.1:${dnsPort}`], {
    PEBBLE_VA_NOSLEEP: '1',
    PEBBLE_WFE_NONCEREJECT: '20',
    PEBBLE_AUTHZREUSE: '0',
  });
  const stop = async (): Promise<void> => {
    await Promise.all([end(pebble.child), end(dns.child)]);
  };
  try {
    await Promise.all([pebble.says(/Listening on: 127\.0\.0\.1:\d+\s[\s\S]*ACME directory/), dns.says(/Starting management server/i)]);
    const root = await fetchFirst(`https://localhost:${managementPort}/roots/0`, authority.pem);
    const leadElsewhere = async (name: string): Promise<void> => {
      const body = JSON.stringify({ host: `${name}.`, addresses: ['127.0.0.2'] });
      const { status } = await fetch(`http://127.0.0.1:${dnsManagementPort}/add-a`, { method: 'POST', body });
      if (status !== 200) throw new Error(`the DNS server answered ${status}`);
    };
    return { directory: `https://localhost:${port}/dir`, root, leadElsewhere, log: pebble.log, stop, [Symbol.asyncDispose]: stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function start(program: string, args: string[], env: Record<string, string> = {}) {
  const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  const listeners = new Set<() => void>();
  const onText = (chunk: Buffer): void => {
    text += chunk.toString();
    for (const listener of listeners) listener();
  };
  child.stdout.on('data', onText);
  child.stderr.on('data', onText);
  return {
    child,
    log: () => text,
    says: async (pattern: RegExp): Promise<void> => {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const look = (): void => {
        if (pattern.test(text)) resolve();
      };
      listeners.add(look);
      child.once('error', reject);
      child.once('exit', () => reject(new Error(`${program} ended:\n${text}`)));
      look();
      await promise;
      listeners.delete(look);
    },
  };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

/** It says that it listens a moment before it does. */
async function fetchFirst(url: string, ca: string): Promise<string> {
  for (;;) {
    try {
      return await fetchText(url, ca);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ECONNREFUSED') throw error;
    }
  }
}

async function fetchText(url: string, ca: string): Promise<string> {
  const [response] = (await once(get(url, { ca, agent: false }), 'response')) as [IncomingMessage];
  return Buffer.concat(await response.toArray()).toString();
}
