// Who is measured beside Virga, and how each is started. Every one answers `GET /hello` with the 5 bytes `hello` as
// text/plain, and (but serverless-offline) a POST with the body that it brought, read whole before; from one process tree
// on loopback, on the same Node where it runs on Node. Callers: warm.ts, cold.ts, deploy.ts, generator-proof.ts.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort, listening, start } from './process.ts';
import type { Started } from './process.ts';

export interface Contender {
  name: string;
  /** What its figure includes and what not. */
  note: string;
  launch(): Promise<{ url: string; port: number; started: Started }>;
}

const HERE = import.meta.dirname;
const packages = join(HERE, 'node_modules');
const peer = (name: string) => join(HERE, 'peers', name);

export const versionOf = (name: string): string => {
  const { version } = JSON.parse(readFileSync(join(packages, name, 'package.json'), 'utf8')) as { version: string };
  return version;
};

async function launched(port: number, started: Started, path = '/hello'): ReturnType<Contender['launch']> {
  await listening(port, started);
  return { url: `http://127.0.0.1:${port}${path}`, port, started };
}

export const bareNode: Contender = {
  name: 'bare node:http',
  note: 'no gateway, no routing, no isolation, no records: the floor',
  async launch() {
    const port = await freePort();
    return launched(port, start(process.execPath, [join(peer('node-http'), 'server.mjs'), String(port)]));
  },
};

export const functionsFramework: Contender = {
  name: 'functions-framework',
  note: 'the function runs in the server process: no gateway, no isolation, no records',
  async launch() {
    const port = await freePort();
    const main = join(packages, '@google-cloud/functions-framework/build/src/main.js');
    const args = [main, '--target=hello', `--source=${peer('functions-framework')}`, '--host=127.0.0.1', `--port=${port}`];
    return launched(port, start(process.execPath, args, { env: { NODE_ENV: 'production' } }));
  },
};

export const workerd: Contender = {
  name: 'workerd',
  note: 'the function runs in an isolate of the server process: no records, no process boundary',
  async launch() {
    const port = await freePort();
    const binary = join(packages, `@cloudflare/workerd-linux-${process.arch === 'arm64' ? 'arm64' : '64'}`, 'bin/workerd');
    return launched(port, start(binary, ['serve', join(peer('workerd'), 'config.capnp'), '--socket-addr', `http=127.0.0.1:${port}`]));
  },
};

export const serverlessOffline: Contender = {
  name: 'serverless-offline',
  note: 'the function runs in a worker thread; its log goes to a pipe that is read and thrown away',
  async launch() {
    const [port, lambdaPort, websocketPort] = [await freePort(), await freePort(), await freePort()];
    const args = [join(packages, 'serverless/bin/serverless.js'), 'offline', 'start', '--host=127.0.0.1', '--noPrependStageInUrl'];
    args.push(`--httpPort=${port}`, `--lambdaPort=${lambdaPort}`, `--websocketPort=${websocketPort}`);
    const env = { SLS_TELEMETRY_DISABLED: '1', SLS_NOTIFICATIONS_MODE: 'off', CI: '1' };
    return launched(port, start(process.execPath, args, { cwd: peer('serverless-offline'), env }));
  },
};

export const PEERS = [functionsFramework, workerd, serverlessOffline];
