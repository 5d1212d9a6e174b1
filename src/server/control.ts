// The control role: the control API on its port, and housekeeping. Not on the hot path. Invariant: it serves when the
// operator token exists; it stops by closing followers, giving requests in flight limits.drainMs, then the pool.
// Callers: main.ts (a process of its own), in-process.ts (dev).
import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Config } from '../config/config.ts';
import { ArtifactsInUse } from '../control/artifacts-in-use.ts';
import type { ControlLimits, ControlUrls, PlatformLog } from '../control/context.ts';
import { createControl } from '../control/control.ts';
import type { ControlNeeds } from '../control/control.ts';
import { provenDomains } from '../control/domains.ts';
import { EdgeSocket } from '../control/edge-client.ts';
import { sweep } from '../control/housekeeping.ts';
import { LogFollowers } from '../control/log-followers.ts';
import { Receivers } from '../control/receivers.ts';
import { moveSome } from '../control/redrive-dead-letters.ts';
import { Redrives } from '../control/redrives.ts';
import { serveControl } from '../control/serve.ts';
import { StreamTails } from '../control/stream-tails.ts';
import { ensureOperatorToken } from '../control/tokens.ts';
import type { Bus } from '../events/bus.ts';
import { WebhookClient } from '../events/webhooks/webhook-client.ts';
import { WebhookKind } from '../events/webhooks/webhook-kind.ts';
import type { WebhookParts } from '../events/webhooks/webhook-kind.ts';
import { CertificateRecords } from '../gateway/acme/certificate-records.ts';
import { TrustedProxies } from '../gateway/doors/trusted-proxies.ts';
import { Renewals } from '../gateway/acme/renewals.ts';
import { systemClock } from '../events/deliver/clock.ts';
import { Deliveries } from '../events/deliver/deliveries.ts';
import { Publisher } from '../events/publish.ts';
import { Starter } from '../events/workflows/start-run.ts';
import { blobsOf, busOf, connectionOf } from '../profiles/embedded.ts';
import { ArtifactFolders } from '../store/artifacts.ts';
import { PostgresRecords } from '../store/records/postgres.ts';
import { loadNodeKey, Sealing } from '../store/sealing.ts';
import { ControlAsync } from './control-async.ts';
import { ControlWorkflows } from './control-workflows.ts';
import { createPlatformLog } from './platform-log.ts';
import type { RunningRole } from './role.ts';
import { ProjectSecrets } from './project-secrets.ts';
import { PlatformNews } from './platform-news.ts';
import { startSchedules } from './schedules.ts';
import { StartError } from './start-error.ts';
import { TopologyFeed } from './topology-feed.ts';
import { txtLookup } from './txt-lookup.ts';

const CONNECTIONS_MAX = 16;
/** A list that walks too far is stopped; the answer says how to narrow it down. */
const STATEMENT_MS = 15_000;
const FIRST_SWEEP_MS = 60_000;
const SWEEP_MS = 600_000;
const BUS_UPKEEP_MS = 60_000;

export async function runControl(config: Config): Promise<RunningRole> {
  const log = createPlatformLog('control', config.log);
  const sealing = new Sealing(await loadNodeKey(config.dataFolder, config.secretKey));
  const records = new PostgresRecords({ ...connectionOf(config), statement_timeout: STATEMENT_MS }, { connectionsMax: CONNECTIONS_MAX });
  const edge = new EdgeSocket({ socketPath: join(config.runFolder, 'edge.sock'), invokeBytesMax: config.limits.invokeBytesMax });
  const bus = busOf(config, 'control', log);
  const received = busOf(config, 'receivers', log);
  const closeBuses = async (): Promise<void> => {
    await Promise.all([bus[Symbol.asyncDispose](), received[Symbol.asyncDispose]()]);
  };
  const webhooks = webhooksOf(config, { bus, records, sealing, log, topologyOf: (project) => topologies.topologyOf(project) });
  const topologies = new TopologyFeed({
    connection: connectionOf(config),
    onRead: (all) => webhooks.deliveries.setConsumers(all.flatMap(({ consumers }) => consumers)),
    log,
    now: Date.now,
  });
  try {
    await topologies.start();
    await ensureOperatorToken(records, join(config.dataFolder, 'operator-token'), log);
    const blobs = blobsOf(config);
    const limits = limitsOf(config);
    const topologyOf = (project: string) => topologies.topologyOf(project);
    const workflows = new Starter({ records, bus, now: Date.now, limits: config.limits });
    const async = new ControlAsync({ sql: records, bus, limits: config.limits, topologyOf, log });
    const redrives = new Redrives({ bus, move: moveSome({ records, bus }), log, now: Date.now });
    const needs: ControlNeeds = {
      records,
      blobs,
      artifactFolders: new ArtifactFolders({
        folder: join(config.dataFolder, 'artifacts'),
        compiledFolder: join(config.dataFolder, 'compiled'),
        blobs,
        limits: config.limits,
      }),
      edge,
      bus,
      async,
      workflows,
      receivers: new Receivers({ bus: received, notices: bus, max: limits.receiversMax }),
      tails: new StreamTails({ bus, max: limits.receiversMax }),
      redrives,
      sealing,
      limits,
      egressPrivate: config.egressPrivate,
      webhooksPrivate: [...config.webhooksPrivate, ...config.egressPrivate],
      publisher: new Publisher({
        bus,
        topologyOf,
        limits: config.limits,
        now: Date.now,
        recorder: async.recorder,
      }),
      refreshTopologies: () => topologies.refresh(),
      domains: { trusted: config.domainsTrusted, lookUp: txtLookup(config.domainResolvers) },
      urls: urlsOf(config),
      log,
      now: Date.now,
      identity: { node: hostname(), version: await versionOfVirga(), startedAt: Date.now() },
      artifactsInUse: new ArtifactsInUse(),
      followers: new LogFollowers({ records, limits, log }),
    };
    const { controlHost: host, controlPort: port } = config;
    const served = await serveControl(createControl(needs), {
      host,
      port,
      drainMs: config.limits.drainMs,
      onClose: () => {
        needs.followers.close();
        needs.receivers.close();
        needs.tails.close();
      },
      log,
    });
    const stopSweeping = sweepOnInterval(needs, log);
    async.startSweeping(needs.publisher);
    await bus.recover();
    await redrives.resume();
    webhooks.deliveries.start();
    const stopUpkeep = upkeepOnInterval(bus, log);
    const runUpkeep = new ControlWorkflows({ records, bus, starter: workflows, now: Date.now, log });
    const { publisher } = needs;
    const news = new PlatformNews({ records, publisher, refreshTopologies: () => topologies.refresh(), log, now: Date.now });
    const schedules = startSchedules(config, { bus, log });
    const renewals = await renewalsOf(config, { records, edge, log });
    renewals?.start();
    return {
      async close() {
        await Promise.all([
          schedules.close(),
          news.close(),
          served.close(),
          stopSweeping(),
          async.close(),
          stopUpkeep(),
          runUpkeep.close(),
          redrives.close(),
          renewals?.close(),
        ]);
        await webhooks.close();
        await topologies.close();
        await closeBuses();
        edge.close();
        await records[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await webhooks.close();
    await topologies.close();
    await closeBuses();
    edge.close();
    await records[Symbol.asyncDispose]();
    throw error;
  }
}

/** What delivers to subscriptions with a `url`. */
function webhooksOf(
  config: Config,
  parts: { bus: Bus; records: PostgresRecords; sealing: Sealing; log: PlatformLog; topologyOf: WebhookParts['topologyOf'] },
): { deliveries: Deliveries; close: () => Promise<void> } {
  const { bus, records, sealing, log, topologyOf } = parts;
  const client = new WebhookClient([...config.webhooksPrivate, ...config.egressPrivate]);
  const secrets = new ProjectSecrets({ records, sealing, now: Date.now });
  const webhook = new WebhookKind({ client, topologyOf, secretsOf: (project, names) => secrets.of(project, names), now: Date.now });
  const deliveries = new Deliveries({
    bus,
    kinds: { webhook },
    invoker: { capacity: () => undefined, pressed: false },
    limits: config.limits,
    clock: systemClock,
    random: Math.random,
    log,
  });
  return {
    deliveries,
    close: async () => {
      await deliveries.close(config.limits.drainMs);
      client[Symbol.dispose]();
    },
  };
}

async function renewalsOf(
  config: Config,
  { records, edge, log }: { records: PostgresRecords; edge: EdgeSocket; log: PlatformLog },
): Promise<Renewals | undefined> {
  if (config.acmeDomains.length === 0) return undefined;
  const sealing = new Sealing(await loadNodeKey(config.dataFolder, config.secretKey));
  return new Renewals({
    records: new CertificateRecords(records, sealing),
    names: async () => {
      const own = config.acmeDomains.filter((name) => name !== 'projects');
      return own.length === config.acmeDomains.length ? own : [...own, ...(await provenDomains(records))];
    },
    directory: config.acmeDirectory,
    email: config.acmeEmail,
    ca: config.acmeCa === null ? undefined : await readCa(config.acmeCa),
    challenge: config.acmeChallenge,
    onIssued: () => edge.refreshCertificates(),
    log,
  });
}

async function readCa(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new StartError(`the file ${file} (VIRGA_ACME_CA) cannot be read: ${(error as NodeJS.ErrnoException).code}`, { cause: error });
  }
}

function limitsOf({ limits }: Config): ControlLimits {
  return {
    jsonBytesMax: 8 * 1024 * 1024,
    artifactBytesMax: limits.artifactBytesMax,
    invokeBytesMax: limits.invokeBytesMax,
    sandboxMemoryMiB: limits.sandboxMemoryMiB,
    followersMax: 64,
    receiversMax: limits.receiversMax,
    followPollMs: 250,
    followHeartbeatMs: 10_000,
    bodyIdleMs: 30_000,
    deploymentsKept: 100,
    artifactGraceMs: 24 * 3_600_000,
    retentionHours: limits.retentionHours,
    apiKeysMax: limits.apiKeysMax,
    asyncRequestBytesMax: limits.asyncRequestBytesMax,
    asyncAnswerBytesMax: limits.asyncAnswerBytesMax,
  };
}

/** Addresses that a person can open: a wildcard address is reached as localhost from the node itself. */
function urlsOf(config: Config): ControlUrls {
  const urlOf = (host: string, port: number): string =>
    `http://${/^(?:0\.0\.0\.0|::|)$/.test(host) ? 'localhost' : host.includes(':') ? `[${host}]` : host}:${port}`;
  return {
    control: urlOf(config.controlHost, config.controlPort),
    edge: urlOf(config.edgeHost, config.edgePort),
    project: (name) => `http://${name}.localhost:${config.edgePort}/`,
    https: config.httpsPort !== null || new TrustedProxies(config.trustedProxies).any,
  };
}

async function versionOfVirga(): Promise<string> {
  const manifest = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string };
  return manifest.version;
}

/** Answers how to stop: resolves when a round under way has ended. */
function sweepOnInterval(needs: ControlNeeds, log: PlatformLog): () => Promise<void> {
  const stop = new AbortController();
  let round = Promise.resolve();
  const run = (): void => {
    round = sweep(needs, stop.signal)
      .then((swept) => log(Object.values(swept).some((count) => count > 0) ? 'info' : 'debug', 'housekeeping', { ...swept }))
      .catch((error: unknown) => log('warn', 'housekeeping failed and is tried again later', { reason: String(error) }))
      .finally(() => {
        if (!stop.signal.aborted) timer = setTimeout(run, SWEEP_MS);
      });
  };
  let timer = setTimeout(run, FIRST_SWEEP_MS);
  return async () => {
    stop.abort();
    clearTimeout(timer);
    await round;
  };
}

/** Answers how to stop: resolves when a round under way has ended. */
function upkeepOnInterval(bus: Bus, log: PlatformLog): () => Promise<void> {
  let round = Promise.resolve();
  const timer = setInterval(() => {
    round = round
      .then(() => bus.upkeep())
      .catch((error: unknown) => log('warn', 'the upkeep of the event bus failed and is tried again later', { reason: String(error) }));
  }, BUS_UPKEEP_MS);
  return async () => {
    clearInterval(timer);
    await round;
  };
}
