// For the tests of this folder: the control API on a real port, over a real Postgres and real files, with a small edge on
// edge.sock. Everything of it goes with `await using`. Not part of the product.
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import type pg from 'pg';
import { AsyncAcceptor } from '../events/async/accept.ts';
import { AsyncRecords } from '../events/async/records.ts';
import type { Bus } from '../events/bus.ts';
import { Starter } from '../events/workflows/start-run.ts';
import { Publisher } from '../events/publish.ts';
import { topologyOf } from '../events/topology.ts';
import type { DeployRequest, Route, VersionSettings } from '../protocol/settings.ts';
import type { EdgeStats } from '../protocol/stats.ts';
import { ArtifactFolders } from '../store/artifacts.ts';
import { Sealing } from '../store/sealing.ts';
import type { Blobs } from '../store/blobs/blobs.ts';
import type { Records } from '../store/records/records.ts';
import type { TestDatabase } from '../store/records/testing.ts';
import { ArtifactsInUse } from './artifacts-in-use.ts';
import type { ControlLimits } from './context.ts';
import { createControl } from './control.ts';
import type { ControlNeeds } from './control.ts';
import { EdgeSocket } from './edge-client.ts';
import { LogFollowers } from './log-followers.ts';
import { Receivers } from './receivers.ts';
import { moveSome } from './redrive-dead-letters.ts';
import { Redrives } from './redrives.ts';
import { findProject } from './project-records.ts';
import { serveControl } from './serve.ts';
import { StreamTails } from './stream-tails.ts';
import { ensureOperatorToken } from './tokens.ts';

export interface TestControl extends AsyncDisposable {
  url: string;
  token: string;
  folder: string;
  records: Records;
  needs: ControlNeeds;
  edge: TestEdge;
  /** TXT records by name, for the proofs of domains. */
  texts: Map<string, string[]>;
  log: string[];
  /** For pg, past the records port. */
  connection: pg.ClientConfig;
  /** A request with the token; `json` becomes the body. */
  call(method: string, path: string, options?: CallOptions): Promise<{ status: number; headers: Headers; body: Json }>;
  /** Uploads an artifact with this text in index.mjs; answers its sha256. */
  upload(text: string): Promise<string>;
}

/** Tests look into answers of every shape. */
// oxlint-disable-next-line typescript/no-explicit-any
export type Json = any;

export interface CallOptions {
  json?: unknown;
  body?: NonNullable<RequestInit['body']>;
  headers?: Record<string, string>;
  token?: string | null;
  signal?: AbortSignal;
}

export type StartControl = (limits?: Partial<ControlLimits>) => Promise<TestControl>;

export interface TestOptions {
  /** Goes with the control. */
  database: TestDatabase;
  /** The adapter: only a test may know one. */
  blobs: new (dataFolder: string) => Blobs;
  /** The same of the bus. */
  bus: (connection: pg.ClientConfig, holder: string) => Bus;
  limits?: Partial<ControlLimits>;
}

export async function startControl(options: TestOptions): Promise<TestControl> {
  const folder = await mkdtemp(join(tmpdir(), 'virga-control-'));
  const { database } = options;
  const records = database.records;
  const texts = new Map<string, string[]>();
  const lines: string[] = [];
  const log: ControlNeeds['log'] = (level, message, fields) => void lines.push(`${level} ${message} ${JSON.stringify(fields ?? {})}`);
  const edge = await startEdge(join(folder, 'edge.sock'));
  const allLimits = { ...LIMITS, ...options.limits };
  const socket = new EdgeSocket({ socketPath: join(folder, 'edge.sock'), invokeBytesMax: allLimits.invokeBytesMax });
  const blobs = new options.blobs(folder);
  const bus = options.bus(database.connection, 'control');
  const received = options.bus(database.connection, 'receivers');
  const receivers = new Receivers({ bus: received, notices: bus, max: allLimits.receiversMax });
  const tails = new StreamTails({ bus, max: allLimits.receiversMax });
  const asyncRecords = new AsyncRecords(records);
  const redrives = new Redrives({ bus, move: moveSome({ records, bus }), log, now: Date.now });
  const needs: ControlNeeds = {
    records,
    blobs,
    egressPrivate: [],
    webhooksPrivate: ['127.0.0.2/32'],
    publisher: new Publisher({
      bus,
      topologyOf: async (project) => {
        const found = await findProject(records, project);
        return found === undefined ? undefined : topologyOf(project, found.state.events, Object.keys(found.state.functions));
      },
      limits: { messageBytesMax: 10_000 },
      now: Date.now,
    }),
    refreshTopologies: () => Promise.resolve(),
    domains: { trusted: [], lookUp: (name) => Promise.resolve(texts.get(name) ?? []) },
    artifactFolders: new ArtifactFolders({
      folder: join(folder, 'artifacts'),
      compiledFolder: join(folder, 'compiled'),
      blobs,
      limits: { artifactUnpackedBytesMax: 20_000_000, artifactFilesMax: 100 },
    }),
    edge: socket,
    async: {
      records: asyncRecords,
      acceptor: new AsyncAcceptor({ bus, records: asyncRecords, requestBytesMax: allLimits.asyncRequestBytesMax, now: Date.now }),
    },
    bus,
    workflows: new Starter({ records, bus, now: Date.now, limits: { workflowBytesMax: 10_000 } }),
    receivers,
    tails,
    redrives,
    sealing: new Sealing(Buffer.alloc(32, 7)),
    limits: allLimits,
    urls: {
      control: 'http://127.0.0.1:0',
      edge: 'http://127.0.0.1:8080',
      project: (name) => `http://${name}.localhost:8080/`,
      https: false,
    },
    log,
    now: Date.now,
    identity: { node: 'test', version: '0.0.0', startedAt: Date.now() },
    artifactsInUse: new ArtifactsInUse(),
    followers: new LogFollowers({ records, limits: allLimits, log }),
  };
  const tokenFile = join(folder, 'operator-token');
  await ensureOperatorToken(records, tokenFile, log);
  const token = (await readFile(tokenFile, 'utf8')).trim();
  const onClose = (): void => {
    needs.followers.close();
    receivers.close();
    tails.close();
  };
  const served = await serveControl(createControl(needs), { host: '127.0.0.1', port: 0, drainMs: 1_000, onClose, log });
  const url = `http://127.0.0.1:${served.port}`;

  const call: TestControl['call'] = async (method, path, sent = {}) => {
    const headers: Record<string, string> = { ...sent.headers };
    if (sent.token !== null) headers['authorization'] ??= `Bearer ${sent.token ?? token}`;
    if (sent.json !== undefined) headers['content-type'] ??= 'application/json';
    const init: RequestInit & { duplex: 'half' } = { method, headers, duplex: 'half' };
    if (sent.json !== undefined) init.body = JSON.stringify(sent.json);
    if (sent.body !== undefined) init.body = sent.body;
    if (sent.signal !== undefined) init.signal = sent.signal;
    const response = await fetch(`${url}${path}`, init);
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text === '' ? undefined : JSON.parse(text) };
  };
  return {
    url,
    token,
    folder,
    records,
    connection: database.connection,
    needs,
    edge,
    texts,
    log: lines,
    call,
    async upload(text) {
      const bytes = archive({ 'index.mjs': text });
      const sha256 = sha256Of(bytes);
      const { status } = await call('PUT', `/v1/artifacts/${sha256}`, { body: bytes });
      if (status > 201) throw new Error(`upload answered ${status}`);
      return sha256;
    },
    async [Symbol.asyncDispose]() {
      await served.close();
      socket.close();
      await edge.close();
      await redrives.close();
      await bus[Symbol.asyncDispose]();
      await received[Symbol.asyncDispose]();
      await database[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

const LIMITS: ControlLimits = {
  jsonBytesMax: 1_000_000,
  artifactBytesMax: 12_000_000,
  invokeBytesMax: 1_000_000,
  sandboxMemoryMiB: 4_096,
  followersMax: 4,
  receiversMax: 4,
  followPollMs: 20,
  followHeartbeatMs: 200,
  bodyIdleMs: 2_000,
  deploymentsKept: 100,
  artifactGraceMs: 3_600_000,
  retentionHours: 24,
  apiKeysMax: 20,
  asyncRequestBytesMax: 65_536,
  asyncAnswerBytesMax: 65_536,
};

export interface TestEdge {
  /** Deployments that were asked for, in order. */
  synced: number[];
  /** Projects whose keys and secrets it was told to read anew. */
  accessed: string[];
  stats: EdgeStats;
  /** Drops every connection. */
  silent: boolean;
  /** Replaces the answer to /invoke. */
  onInvoke: (incoming: IncomingMessage, response: ServerResponse, url: URL) => void | Promise<void>;
  /** null: /sync answers 204. */
  syncFailure: { status: number; message: string } | null;
  close(): Promise<void>;
}

async function startEdge(socketPath: string): Promise<TestEdge> {
  const server = createServer((incoming, response) => {
    const asked = new URL(incoming.url!, 'http://edge');
    if (edge.silent) return void incoming.socket.destroy();
    if (asked.pathname === '/stats') return void response.end(JSON.stringify(edge.stats));
    if (asked.pathname === '/invoke') return void edge.onInvoke(incoming, response, asked);
    if (asked.pathname === '/access') {
      edge.accessed.push(asked.searchParams.get('project') ?? '');
      return void response.writeHead(204).end();
    }
    edge.synced.push(Number(asked.searchParams.get('deployment')));
    if (edge.syncFailure === null) return void response.writeHead(204).end();
    response.writeHead(edge.syncFailure.status).end(JSON.stringify({ error: { message: edge.syncFailure.message } }));
  });
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  const enforcement = {
    isolation: 'namespaces',
    memory: 'cgroup v2',
    cpus: 'cgroup v2',
    pids: 'cgroup v2',
    tmp: 'tmpfs',
    network: 'namespace',
    notes: [],
  };
  const edge: TestEdge = {
    synced: [],
    accessed: [],
    silent: false,
    syncFailure: null,
    stats: {
      pid: 1,
      uptimeS: 1,
      residentBytes: 1,
      deployment: 0,
      inFlight: 0,
      webSockets: 0,
      functions: [],
      blanks: [],
      deliveries: [],
      records: { pending: 0, pendingBytes: 0, written: 0, dropped: { invocations: 0, logLines: 0 } },
      sandbox: {
        driver: 'bubblewrap',
        runtime: null,
        lateFiles: true,
        enforcement,
        strong: null,
        strongReason: 'gVisor is not installed',
        runtimes: [],
      },
    },
    onInvoke: (_request, response) => void response.writeHead(500).end(),
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return edge;
}

export const SETTINGS: VersionSettings = {
  runtime: 'nodejs26',
  form: 'native',
  handler: 'index.mjs',
  memoryMiB: 256,
  timeoutMs: 30_000,
  concurrency: 1,
  instances: { min: 0, max: 20 },
  cpus: null,
  tmpMiB: 64,
  pids: 128,
  isolation: 'standard',
  queue: 1_000,
  idleMs: 300_000,
  env: {},
  egress: 'internet',
};

/** A project with one function of this artifact. */
export function request(
  artifact: string,
  settings: Partial<VersionSettings> = {},
  routes: Route[] = [{ path: '/', methods: null, function: 'hello' }],
): DeployRequest {
  return { functions: { hello: { artifact, settings: { ...SETTINGS, ...settings } } }, routes };
}

/** A gzip'd tar (ustar) of these files, names as they are given. */
export function archive(files: Record<string, string | Buffer>): Buffer {
  const blocks = Object.entries(files).flatMap(([name, text]) => {
    const content = Buffer.from(text);
    const header = Buffer.alloc(512);
    header.write(name, 0);
    header.write('0000644\0' + '0000000\0'.repeat(2), 100);
    header.write(content.length.toString(8).padStart(11, '0'), 124);
    header.write('00000000000\0        0', 136);
    header.write('ustar\x0000', 257);
    header.write(
      `${header
        .reduce((sum, byte) => sum + byte, 0)
        .toString(8)
        .padStart(6, '0')}\0 `,
      148,
    );
    return [header, content, Buffer.alloc((512 - (content.length % 512)) % 512)];
  });
  return gzipSync(Buffer.concat([...blocks, Buffer.alloc(1024)]), { level: 1 });
}

/** Waits, bounded, for what no event tells. */
export async function until(what: string, check: () => Promise<boolean>): Promise<void> {
  const giveUpAt = performance.now() + 10_000;
  while (!(await check())) {
    if (performance.now() > giveUpAt) throw new Error(`waited 10 s for: ${what}`);
    await setTimeout(5);
  }
}

export function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
