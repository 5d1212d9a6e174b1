// What the operations of the control API work with. Each operation asks for the few of these that it uses
// (`Pick<ControlContext, 'records' | 'edge'>`); server/control.ts fills them in, tests too. Nothing here knows an adapter.
import type { AsyncAcceptor } from '../events/async/accept.ts';
import type { AsyncRecords } from '../events/async/records.ts';
import type { EventCall, EventOutcome } from '../events/invoker.ts';
import type { Publisher } from '../events/publish.ts';
import type { Bus } from '../events/bus.ts';
import type { Starter } from '../events/workflows/start-run.ts';
import type { CachePurged, CacheStats } from '../protocol/cache-stats.ts';
import type { ConnectionItem } from '../protocol/control-api.ts';
import type { ServiceRequest } from '../protocol/frames.ts';
import type { CertificateStats, EdgeStats } from '../protocol/stats.ts';
import type { Blobs } from '../store/blobs/blobs.ts';
import type { Records } from '../store/records/records.ts';
import type { Sealing } from '../store/sealing.ts';

export interface ControlContext {
  records: Records;
  blobs: Blobs;
  artifactFolders: ArtifactFolders;
  edge: EdgeClient;
  bus: Bus;
  async: { acceptor: AsyncAcceptor; records: AsyncRecords };
  /** Starts runs of workflows, and sends events to them. */
  workflows: Starter;
  /** What is secret at rest is sealed with it. */
  sealing: Sealing;
  limits: ControlLimits;
  /** Ranges that are not public, which functions of this node may name all the same. */
  egressPrivate: readonly string[];
  /** Ranges that are not public, to which webhooks may be sent all the same. */
  webhooksPrivate: readonly string[];
  domains: DomainProofs;
  /** Puts what is sent to projects onto the bus. */
  publisher: Publisher;
  /** Resolves when it knows of what is deployed now. */
  refreshTopologies(): Promise<void>;
  urls: ControlUrls;
  log: PlatformLog;
  /** Unix ms. */
  now: () => number;
}

/** Unpacks artifacts; store/artifacts.ts implements it. */
export interface ArtifactFolders {
  /** The folder with the files of this artifact, unpacked if need be. Fails with VirgaError `artifact_invalid` among others. */
  ensure(sha256: string): Promise<string>;
  /** Removes the unpacked files; nothing happens when there are none. */
  remove(sha256: string): Promise<void>;
}

export interface ControlLimits {
  /** JSON bodies of the control API. */
  jsonBytesMax: number;
  artifactBytesMax: number;
  invokeBytesMax: number;
  /** Sum of the memory of all sandboxes of this node: a function that asks for more could never start. */
  sandboxMemoryMiB: number;
  /** Connections that follow a log at the same time. */
  followersMax: number;
  /** Connections that wait for messages of queues at the same time. */
  receiversMax: number;
  /** How often a follower looks for new lines, ms, and how often it says that it is alive. */
  followPollMs: number;
  followHeartbeatMs: number;
  /** A body of which nothing comes for this long is given up, ms. */
  bodyIdleMs: number;
  /** Deployments kept of each project; the current one always is. */
  deploymentsKept: number;
  /** An artifact that nothing references is removed after this long, ms. */
  artifactGraceMs: number;
  retentionHours: number;
  /** API keys of all projects. */
  apiKeysMax: number;
  /** Bodies of asynchronous invocations. */
  asyncRequestBytesMax: number;
  /** What is kept of their answers, and given of those of replays. */
  asyncAnswerBytesMax: number;
}

export interface DomainProofs {
  /** Suffixes of names that need none. */
  trusted: readonly string[];
  /** The TXT records of a name; none: an empty list. */
  lookUp(name: string): Promise<string[]>;
}

export interface ControlUrls {
  /** e.g. `http://127.0.0.1:8081`. */
  control: string;
  edge: string;
  /** e.g. `http://tour.localhost:8080/`. */
  project(name: string): string;
  /** Whether projects can be reached by HTTPS, of this node or of a proxy before it. */
  https: boolean;
}

/** The edge's private server (edge.sock); edge-client.ts implements it. */
export interface EdgeClient {
  /** Resolves once the edge serves this deployment; fails with VirgaError `unavailable` when it does not within its bound. */
  sync(deployment: number): Promise<void>;
  /** Resolves once the edge knows the API keys and secrets of this project as they are; fails like sync. */
  syncAccess(project: string): Promise<void>;
  /** undefined while the edge does not answer. */
  stats(): Promise<EdgeStats | undefined>;
  /** undefined while the edge does not answer. */
  certificates(): Promise<CertificateStats | undefined>;
  invoke(call: EdgeInvocation): Promise<EdgeAnswer>;
  /** As an event would call it. */
  call(call: EventCall): Promise<EventOutcome>;
  /** WebSockets of a project, by id, those behind `after`. */
  connections(filter: { project: string; group: string | undefined; after: string | undefined; limit: number }): Promise<ConnectionItem[]>;
  /** What a function of the project may ask too. Fails with the VirgaError that it is answered with. */
  askConnections(project: string, request: ServiceRequest, data: Buffer): Promise<unknown>;
  cacheStats(project: string): Promise<CacheStats>;
  /** Drops answers that the gateway has kept. */
  purgeCache(project: string, what: { path?: string | undefined; tag?: string | undefined }): Promise<CachePurged>;
}

export interface EdgeInvocation {
  project: string;
  function: string;
  version: number | undefined;
  contentType: string;
  requestId: string;
  traceparent: string | undefined;
  /** JSON, in ASCII alone. */
  clientContext: string | undefined;
  body: AsyncIterable<Uint8Array>;
  /** Aborts when the client leaves. */
  signal: AbortSignal;
}

export interface EdgeAnswer {
  status: number;
  contentType: string;
  retryAfter: string | undefined;
  body: Buffer;
}

export type PlatformLog = (level: 'debug' | 'info' | 'warn' | 'error', message: string, fields?: Record<string, unknown>) => void;

/** Who asks; set by authenticate.ts. */
export interface Principal {
  tokenId: string;
  tokenName: string;
}
