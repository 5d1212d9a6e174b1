// The gateway over real HTTP, with scripted guests behind the engine, for the tests of this folder.
// Invariant: what is set up goes with `await using`.
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Publisher } from '../events/publish.ts';
import { topologyOf } from '../events/topology.ts';
import { Engine } from '../functions/engine.ts';
import { MemoryRecorder, ScriptedSandboxes, TEST_LIMITS, testVersion } from '../functions/testing.ts';
import type { GuestScript } from '../functions/testing.ts';
import type { DeployedVersion } from '../functions/version.ts';
import type { GatewaySection } from '../protocol/policies/policy.ts';
import type { Route, VersionSettings } from '../protocol/settings.ts';
import { Gateway } from './accept.ts';
import type { GatewayOptions } from './accept.ts';
import { compileStages } from './features.ts';
import { ReadModel } from './read-model.ts';
import { RouteTable } from './route-table.ts';
import { withFolderRoots } from './folder-roots.ts';
import { StaticFiles } from './static/static-files.ts';
import type { Feature, RouteVersions } from './stage.ts';
import { compileLocalTarget } from './targets.ts';
import { GuestDoor } from './websocket/guest-door.ts';
import { Hub } from './websocket/hub.ts';
import type { SocketLimits } from './websocket/hub.ts';
import { WebSocketFeature } from './websocket/websocket.ts';

const SOCKET_LIMITS: SocketLimits = {
  connectionsMax: 20_000,
  projectConnectionsMax: 20_000,
  bufferBytesMax: 1 << 20,
  heldBytesMax: 1 << 26,
};

const NO_BUS = { send: () => Promise.reject(new Error('no bus')), append: () => Promise.reject(new Error('no bus')) };

export async function setUp(
  script: GuestScript,
  options: {
    settings?: Partial<VersionSettings>;
    routes?: Route[];
    requestBytesMax?: number;
    keepAliveMs?: number;
    front?: Partial<GatewayOptions>;
    features?: Feature[] | ((engine: Engine) => Feature[]);
    sockets?: Partial<SocketLimits>;
    /** Of the function `f`, given its version 1. */
    versions?: (live: DeployedVersion) => RouteVersions;
    /** Names of hosts to projects. */
    domains?: Record<string, string>;
    gateway?: GatewaySection;
    /** Folder → where its unpacked artifact is. */
    folders?: Record<string, string>;
    filesBytesMax?: number;
  } = {},
) {
  const sandboxes = new ScriptedSandboxes(script);
  const recorder = new MemoryRecorder();
  const model = new ReadModel();
  const hub = new Hub({ model, limits: { ...SOCKET_LIMITS, ...options.sockets }, invoke: (request) => engine.invoke(request) });
  const engine = new Engine({ sandboxes, recorder, limits: TEST_LIMITS, services: new GuestDoor(hub) });
  const version = testVersion({ concurrency: 10, ...options.settings });
  const given = typeof options.features === 'function' ? options.features(engine) : (options.features ?? []);
  const features = [...given, new WebSocketFeature(hub)];
  const written = options.routes ?? [{ path: '/{all+}', methods: null, function: 'f' }];
  const { folders = {}, filesBytesMax = 1_000_000 } = options;
  const files = new StaticFiles({ folderOf: (place) => Promise.resolve(place), bytesMax: filesBytesMax });
  const publisher = new Publisher({ bus: NO_BUS, topologyOf: () => undefined, limits: { messageBytesMax: 1_000 }, now: Date.now });
  const publishing = { publisher, limits: { messageBytesMax: 1_000 }, now: Date.now };
  const routes = written.map((route) => {
    const versions = options.versions?.(version);
    const source = { project: 'p', route, policy: route.policy ?? {}, gateway: options.gateway ?? {}, version, versions, routes: written };
    const local = compileLocalTarget(route, { files, folders, publishing });
    return { route, to: local === undefined ? { version } : { local }, stages: compileStages(features, source) };
  });
  const table = new RouteTable(withFolderRoots(routes));
  const topology = topologyOf('p', {}, ['f']);
  const functions = new Map([['f', version]]);
  const project = { name: 'p', deployment: 1, functions, canaries: new Map(), versions: [version], routes: table, topology };
  model.replaceAll({ projects: [project], domains: options.domains ?? {}, deployment: 1 });
  for (const feature of features) feature.compiled?.({ all: new Set(['p']), anew: new Set(['p']) });
  const { requestBytesMax = 10_000_000, keepAliveMs } = options;
  const gateway = new Gateway({
    engine,
    model,
    requestBytesMax,
    ...options.front,
    limits: { ...options.front?.limits, ...(keepAliveMs === undefined ? {} : { keepAliveMs }) },
  });
  gateway.server.listen(0, '127.0.0.1');
  await once(gateway.server, 'listening');
  const { port } = gateway.server.address() as AddressInfo;
  return {
    port,
    recorder,
    sandboxes,
    gateway,
    hub,
    model,
    features,
    files,
    get: (path: string, init: Parameters<typeof call>[2] = {}) => call(port, path, init),
    [Symbol.asyncDispose]: async () => {
      gateway.drain();
      gateway.close();
      hub.close();
      await engine.close();
    },
  };
}

export async function call(
  port: number,
  path: string,
  init: { method?: string; headers?: Record<string, string | string[]>; body?: Buffer | string } = {},
) {
  const request = httpRequest({
    port,
    host: '127.0.0.1',
    path,
    method: init.method ?? 'GET',
    headers: { host: 'p.localhost', ...init.headers },
    agent: false,
  });
  request.end(init.body);
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return { status: response.statusCode, headers: response.headers, rawHeaders: response.rawHeaders, body: Buffer.concat(chunks) };
}
