// The edge role: gateway and engine, the only process on the hot path. Invariant: it starts serving when the read model
// has been read once; it stops by draining: no new connections, calls in flight finish within limits.drainMs.
// Callers: main.ts (a process of its own), in-process.ts (dev).
import { rm } from 'node:fs/promises';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Server } from 'node:net';
import pg from 'pg';
import type { Config } from '../config/config.ts';
import { systemClock } from '../events/deliver/clock.ts';
import { Deliveries } from '../events/deliver/deliveries.ts';
import { EventKind } from '../events/deliver/event-kind.ts';
import { QueueDeliveries } from '../events/deliver/queue-kind.ts';
import { StreamReaders } from '../events/streams/readers.ts';
import { GuestPublishing } from '../events/guest-publishing.ts';
import { Publisher } from '../events/publish.ts';
import { Engine } from '../functions/engine.ts';
import { JoinedServices } from '../functions/guest-services.ts';
import { Gateway } from '../gateway/accept.ts';
import { AskingHosts } from '../gateway/auth/certificate/asking-hosts.ts';
import { issuerFetch } from '../gateway/auth/jwt/issuer-fetch.ts';
import { KeyRing } from '../gateway/auth/key-ring.ts';
import { SecretRing } from '../gateway/auth/secret-ring.ts';
import { AccessLog } from '../gateway/access-log/access-log.ts';
import { LogFile } from '../gateway/access-log/log-file.ts';
import { CertificateRecords } from '../gateway/acme/certificate-records.ts';
import { TrustedProxies } from '../gateway/doors/trusted-proxies.ts';
import { CacheStore } from '../gateway/cache/store.ts';
import type { GatewayServices } from '../gateway/features.ts';
import { loadVersion } from '../gateway/read-model-load.ts';
import { ReadModel } from '../gateway/read-model.ts';
import { StaticFiles } from '../gateway/static/static-files.ts';
import { ClientLimit } from '../gateway/throttle/client-limit.ts';
import { Quotas } from '../gateway/throttle/quotas.ts';
import { addUsage, loadUsage } from '../observe/usage-counters.ts';
import { GuestDoor } from '../gateway/websocket/guest-door.ts';
import { Hub } from '../gateway/websocket/hub.ts';
import type { SocketLimits } from '../gateway/websocket/hub.ts';
import { blobsOf, busOf, connectionOf, recorderOf, sandboxesOf } from '../profiles/embedded.ts';
import type { EdgeStats } from '../protocol/stats.ts';
import { PostgresRecords } from '../store/records/postgres.ts';
import { loadNodeKey, Sealing } from '../store/sealing.ts';
import { AccessFeed } from './access-feed.ts';
import { Certificates } from './certificates.ts';
import { ArtifactFolders } from '../store/artifacts.ts';
import { EdgeAsync } from './edge-async.ts';
import { createEdgePrivate } from './edge-private.ts';
import { edgeWorkflows } from './edge-workflows.ts';
import { EventInvoker } from './event-invoker.ts';
import { createPlatformLog } from './platform-log.ts';
import type { PlatformLog } from './platform-log.ts';
import { ReadModelFeed } from './read-model-feed.ts';
import type { RunningRole } from './role.ts';

export async function runEdge(config: Config): Promise<RunningRole> {
  const log = createPlatformLog('edge', config.log);
  const sandboxes = sandboxesOf(config);
  const recorder = recorderOf(config, log);
  const model = new ReadModel();
  const sockets = new Hub({ model, limits: socketLimits(config), invoke: (request) => engine.invoke(request) });
  const bus = busOf(config, 'edge', log);
  const async = new EdgeAsync({ config, bus, model, log });
  const topologyOf = (project: string) => model.project(project)?.topology;
  const publisher = new Publisher({ bus, topologyOf, limits: config.limits, now: Date.now, recorder: async.recorder });
  const publishing = new GuestPublishing({ publisher, now: Date.now });
  const connection = connectionOf(config);
  const records = new PostgresRecords(connection, { connectionsMax: 4 });
  const workflows = edgeWorkflows({ records, bus, invoke: (call) => invoker.invoke(call), model, limits: config.limits, log });
  const guestServices = new JoinedServices({
    connections: new GuestDoor(sockets),
    ...workflows.services,
    events: publishing,
    queues: publishing,
    topics: publishing,
    streams: publishing,
  });
  const engine = new Engine({ sandboxes, recorder, limits: config.limits, services: guestServices });
  const keys = new KeyRing();
  const secrets = new SecretRing();
  const sealing = new Sealing(await loadNodeKey(config.dataFolder, config.secretKey));
  const access = new AccessFeed({ keys, secrets, sealing, keysMax: config.limits.apiKeysMax, log });
  const asking = new AskingHosts(model);
  const callers = {
    asking,
    keys,
    secrets,
    engine,
    versionOf: (project: string, fn: string) => model.project(project)?.functions.get(fn),
    fetchIssuer: issuerFetch([...config.issuersPrivate, ...config.egressPrivate]),
    now: Date.now,
    remembered: config.limits.callersRemembered,
  };
  const lookups = new pg.Pool({ ...connection, max: 2 });
  lookups.on('error', () => {});
  const { clientRequestsPerSMax, throttleBucketsMax, requestBytesMax } = config.limits;
  const quotas = new Quotas({
    store: { load: (periods, countersMax) => loadUsage(lookups, periods, countersMax), add: (counters) => addUsage(lookups, counters) },
    countersMax: throttleBucketsMax,
    log,
  });
  const artifacts = new ArtifactFolders({
    folder: join(config.dataFolder, 'artifacts'),
    compiledFolder: join(config.dataFolder, 'compiled'),
    blobs: blobsOf(config),
    limits: config.limits,
  });
  const files = new StaticFiles({ folderOf: (sha256) => artifacts.ensure(sha256), bytesMax: config.limits.filesBytesMax });
  const cache = new CacheStore(config.limits);
  const services: GatewayServices = {
    engine,
    quotas,
    callers,
    cache,
    files,
    limits: config.limits,
    validate: validation(config, log),
    log,
    httpsPort: config.httpsPort ?? 443,
    sockets,
    publishing: { publisher, limits: config.limits, now: Date.now },
    async,
    runs: { starter: workflows.starter, bytesMax: config.limits.workflowBytesMax },
    recordings: async.recordings,
  };
  const invoker = new EventInvoker({
    engine,
    model,
    version: (name) => loadVersion(lookups, name),
    answerBytesMax: config.limits.invokeBytesMax,
  });
  const events = workflows.starting(new EventKind(invoker));
  const deliveries = new Deliveries({
    bus,
    kinds: {
      queue: async.recorder.around(workflows.starting(new QueueDeliveries({ invoker, now: Date.now })), topologyOf),
      topic: async.recorder.around(events, topologyOf),
      event: events,
      schedule: events,
      stream: events,
      async: async.delivery(invoker),
      workflow: workflows.kind,
      wait: workflows.waits,
    },
    invoker,
    limits: config.limits,
    clock: systemClock,
    random: Math.random,
    log,
  });
  const streams = new StreamReaders({
    bus,
    invoker,
    clock: systemClock,
    random: Math.random,
    places: { take: (of, signal) => deliveries.visit(of, signal) },
    log,
  });
  const setConsumers = (): void =>
    deliveries.setConsumers([...[...model.projects()].flatMap(({ topology }) => topology.consumers), ...workflows.leftConsumers()]);
  const onProjects = async (): Promise<void> => {
    setConsumers();
    void workflows.lookForLeft().then(setConsumers);
    await streams.update([...model.projects()].map(({ topology }) => topology));
  };
  const feed = new ReadModelFeed({ connection, model, engine, services, access, onProjects, log });
  const certificates = new Certificates({
    folder: config.httpsPort === null ? null : config.tlsCertificates,
    awaited: config.acmeDomains.length > 0,
    records: new CertificateRecords(lookups, sealing),
    log,
  });
  const byAcme = config.acmeDomains.length > 0;
  const logFile = new LogFile({
    path: config.accessLogFile ?? join(config.dataFolder, 'access.log'),
    bytesMax: config.limits.accessLogBytesMax,
    onTrouble: (message, fields) => log('warn', message, fields),
  });
  const gateway = new Gateway({
    engine,
    model,
    requestBytesMax,
    ...(clientRequestsPerSMax === 0
      ? {}
      : { clientLimit: new ClientLimit({ requestsPerS: clientRequestsPerSMax, bucketsMax: throttleBucketsMax }) }),
    limits: config.limits,
    proxies: new TrustedProxies(config.trustedProxies),
    proxyProtocol: config.proxyProtocol,
    ...(config.accessLog === 'off' ? {} : { accessLog: new AccessLog(config.accessLog, (line) => logFile.add(line)) }),
    ...(config.httpsRedirect ? { redirectToPort: config.httpsPort ?? 443 } : {}),
    ...(byAcme ? { httpChallenge: (token) => certificates.httpChallenge(token) } : {}),
    ...(config.httpsPort === null
      ? {}
      : {
          tls: {
            identities: certificates.identities,
            asking,
            ...(byAcme ? { challenge: (name: string) => certificates.tlsChallenge(name) } : {}),
          },
        }),
  });
  const privateServer = createEdgePrivate({
    engine,
    invoker,
    model,
    sockets,
    invokeBytesMax: config.limits.invokeBytesMax,
    cache,
    refresh: () => feed.refresh(),
    refreshAccess: (project) => feed.refreshAccess(project),
    version: (name) => loadVersion(lookups, name),
    certificates,
    stats: (): EdgeStats => ({
      pid: process.pid,
      uptimeS: process.uptime(),
      residentBytes: process.memoryUsage.rss(),
      deployment: model.deployment,
      inFlight: engine.inFlight,
      webSockets: sockets.size,
      functions: engine.stats(),
      blanks: engine.blanks.stats(),
      deliveries: deliveries.stats(),
      records: recorder.status(),
      sandbox: sandboxes.status() ?? null,
    }),
  });
  await feed.start();
  access.start(lookups);
  if (config.httpsPort !== null) await certificates.start();
  // Without what was used before, a restart would give every plan its whole quota again.
  await quotas.load();
  // What an edge that was killed held is due again at once.
  await bus.recover().catch((error: unknown) => log('warn', 'what was held comes again when its leases end', { reason: String(error) }));
  await workflows.recover().catch((error: unknown) => log('warn', 'runs that were awake are found later', { reason: String(error) }));
  deliveries.start();
  await streams.start();
  const socket = join(config.runFolder, 'edge.sock');
  await rm(socket, { force: true });
  await listening(privateServer, () => privateServer.listen(socket));
  await listening(gateway.server, () => gateway.server.listen(config.edgePort, config.edgeHost));
  const { secure } = gateway;
  if (secure !== undefined) await listening(secure, () => secure.listen(config.httpsPort!, config.edgeHost));
  return {
    close: async () => {
      gateway.drain();
      sockets.drain();
      await Promise.all([
        engine.drain(config.limits.drainMs),
        deliveries.close(config.limits.drainMs),
        streams.close(config.limits.drainMs),
      ]);
      // Answers that are complete for the engine may still be on their way to the client's socket.
      await gateway.flushed(1_000);
      // Of WebSockets that were closed: their functions are still told.
      await engine.drain(1_000);
      gateway.close();
      certificates.close();
      await logFile.close();
      sockets.close();
      privateServer.close();
      privateServer.closeAllConnections();
      await quotas.close(2_000);
      await feed.close();
      await async.close();
      await bus[Symbol.asyncDispose]();
      await records[Symbol.asyncDispose]();
      await access.close();
      await engine.close();
      await recorder.close({ timeoutMs: 2_000 });
      await sandboxes.close();
      await lookups.end();
    },
  };
}

function validation({ checkedResponses, limits }: Config, log: PlatformLog): GatewayServices['validate'] {
  const { validatedBytesMax, validationStepsMax } = limits;
  return { checkResponses: checkedResponses === 'all', bodyBytesMax: validatedBytesMax, stepsMax: validationStepsMax, log };
}

function socketLimits({ limits }: Config): SocketLimits {
  return {
    connectionsMax: limits.webSocketsMax,
    projectConnectionsMax: limits.projectWebSocketsMax,
    bufferBytesMax: limits.webSocketBufferBytesMax,
    heldBytesMax: limits.webSocketsHeldBytesMax,
  };
}

async function listening(server: Server, listen: () => void): Promise<void> {
  const ready = once(server, 'listening');
  listen();
  await ready;
}
