// What the control API takes and answers, as types: the one description that the server (src/control, whose schemas
// are checked against it) and the client (sdk/src/control.ts) share. Times are ISO 8601 in UTC, sizes are bytes unless
// the name says otherwise. docs/reference/openapi.json is the same for everybody else.
import type { ErrorCode } from './errors.ts';
import type { EventsStatus } from './events-api.ts';
import type { InvocationRecord, LogLine } from './invocation.ts';
import type { GatewaySection } from './policies/policy.ts';
import type { Traffic } from './policies/traffic.ts';
import type { Route, VersionSettings } from './settings.ts';
import type { EdgeStats } from './stats.ts';

/** A WebSocket that the gateway holds. */
export interface ConnectionItem {
  /** e.g. `con_01k9…`. */
  id: string;
  route: string;
  function: string;
  /** Address of the client. */
  client: string;
  connectedAt: string;
  groups: string[];
  /** Who connected, where the route asks: e.g. `jwt ada`. */
  principal: string | null;
}

/** Exactly one of `connection`, `group` and `all`, and one of `text` and `base64`. */
export interface SendRequest {
  connection?: string | undefined;
  group?: string | undefined;
  all?: true | undefined;
  text?: string | undefined;
  base64?: string | undefined;
}

/** One page of a list. `next` goes into `?cursor=` for the following page; null on the last one. */
export interface Page<T> {
  items: T[];
  next: string | null;
}

export interface NodeStatus {
  /** Name of the machine. */
  node: string;
  /** Version of Virga, e.g. `0.1.0`. */
  version: string;
  /** Of the control role. */
  uptimeS: number;
  startedAt: string;
  /** null while the edge does not answer. */
  edge: EdgeStats | null;
  postgres: {
    /** e.g. `18.4`. */
    version: string;
    databaseBytes: number;
    /** Of `select 1`, ms. */
    roundTripMs: number;
  };
  urls: { control: string; edge: string };
  projects: number;
  functions: number;
  events: EventsStatus;
}

/** A certificate that HTTPS is served with, or that a name waits for. */
export interface CertificateItem {
  names: string[];
  origin: 'file' | 'acme';
  /** Its file in VIRGA_TLS_CERTIFICATES; null: by ACME. */
  file: string | null;
  issuer: string | null;
  validFrom: string | null;
  validUntil: string | null;
  /** none: not yet had. */
  state: 'valid' | 'expired' | 'early' | 'none';
  /** When the next one is asked for, by ACME. */
  renewedAt: string | null;
  /** Why the last try failed. */
  lastError: string | null;
}

export interface CertificatesAnswer {
  items: CertificateItem[];
  /** Whole sentences about files that cannot be used, or not for long. */
  problems: string[];
}

export interface ProjectItem {
  name: string;
  createdAt: string;
  /** e.g. `http://tour.localhost:8080/`. */
  url: string;
  /** Functions of the current deployment. */
  functions: number;
  /** Current deployment; null before the first. */
  deployment: number | null;
}

export interface ProjectDetail {
  name: string;
  createdAt: string;
  url: string;
  deployment: number | null;
  functions: FunctionItem[];
  routes: Route[];
  gateway?: GatewaySection;
}

export interface DomainItem {
  /** e.g. `shop.example.com`, `*.shop.example.com`. */
  name: string;
  project: string;
  served: boolean;
  /** What proved it: its DNS record, or that the node asks for no proof of such names; null: not proven. */
  proof: 'dns' | 'trusted' | null;
  provenAt: string | null;
  /** The TXT record that proves it. */
  record: { name: string; value: string };
}

export interface FunctionItem extends Traffic {
  name: string;
  /** The one that was deployed last: it is served, unless `live` says otherwise. */
  version: number;
  runtime: VersionSettings['runtime'];
  settings: VersionSettings;
  /** sha256 of the code. */
  artifact: string;
  /** When this version was made. */
  createdAt: string;
  routes: Pick<Route, 'path' | 'methods' | 'conditions'>[];
}

export interface VersionItem {
  number: number;
  /** The one that is served. */
  current: boolean;
  artifact: string;
  artifactBytes: number;
  settings: VersionSettings;
  createdAt: string;
}

/** What a deploy, or a rollback, changes (or, on a dry run, would change). */
export interface Change {
  kind: 'project' | 'function' | 'route' | 'gateway' | 'folder' | 'queue' | 'topic' | 'stream' | 'schedule';
  /** Of the project or the function; of a route its methods and path, e.g. `GET,PUT /notes/{id}`. */
  name: string;
  change: 'create' | 'update' | 'remove' | 'none';
  /** For people, e.g. `memory 256 MiB → 512 MiB`, `code 3f2a91c07be1 → 99ab03d1e4f2`. */
  detail: string[];
  /** Functions that are not removed: the version that is served afterwards. */
  version?: number;
}

export interface DeployAnswer {
  /** The deployment that is current now; on a dry run, the one that is current still (null: none yet). */
  deployment: number | null;
  project: string;
  url: string;
  changes: Change[];
  /** Whether anything changed (or would). */
  changed: boolean;
  dryRun: boolean;
  /** E.g. that the edge did not confirm within its time; the deployment stands nevertheless. */
  warning?: string;
}

export interface DeploymentItem {
  id: number;
  kind: 'deploy' | 'rollback';
  current: boolean;
  createdAt: string;
  /** Name of the token that did it. */
  createdBy: string;
  /** Function name to version. */
  functions: Record<string, number>;
  routes: number;
}

/** What a principal has used of its plan in the day or month that is. Some seconds old: the edge writes it in batches. */
export interface UsageItem {
  /** What it was counted by and its id, e.g. `key:k_4f2a`, `jwt:alice`, `ip:203.0.113.7`. */
  subject: string;
  plan: string;
  /** `2026-11-21` or `2026-11`, UTC. */
  period: string;
  used: number;
  /** null: the plan has no such quota (any more). */
  limit: number | null;
  resetsAt: string;
}

export interface ArtifactAnswer {
  sha256: string;
  bytes: number;
}

export type InvokeResult = { contentType: string; text: string } | { contentType: string; base64: string };

/** The answer to a direct invocation that ran, well or not. */
export interface InvokeAnswer {
  invocation: InvocationRecord;
  /** At most 1,000 lines of this invocation. */
  logs: LogLine[];
  /** null when the function failed or answered nothing. */
  result: InvokeResult | null;
  /** Set when the function failed. */
  error: { code: ErrorCode; message: string; detail?: unknown } | null;
}

export interface InvocationDetail {
  invocation: InvocationRecord;
  /** At most 1,000, oldest first; `logsCut` says that there are more (GET logs?invocation= pages through them). */
  logs: LogLine[];
  logsCut: boolean;
}

/** An API key of a project, without its secret. */
export interface KeyItem {
  /** What the key begins with, e.g. `vk_4f8h2m6qj0`. */
  id: string;
  name: string;
  scopes: string[];
  /** The usage plan that it is held to; null: none. */
  plan: string | null;
  /** Which routes it may call, e.g. `GET /notes/{id}`; null: all. */
  routes: string[] | null;
  createdAt: string;
  rotatedAt: string | null;
  /** Until when the secret before the last rotation is accepted as well; null: it is not. */
  previousUntil: string | null;
  expiresAt: string | null;
  /** To the minute; null: never. */
  lastUsedAt: string | null;
}

export interface NewKey {
  name?: string | undefined;
  scopes?: string[] | undefined;
  plan?: string | undefined;
  routes?: string[] | undefined;
  /** How long it is accepted, e.g. `90d`; absent: until it is revoked. */
  expires?: string | undefined;
}

/** The one answer that has the key itself. */
export interface KeyAnswer extends KeyItem {
  key: string;
  warning?: string;
}

export interface RevokedKey {
  id: string;
  warning?: string;
}

export interface SecretItem {
  name: string;
  createdAt: string;
  updatedAt: string;
}

export interface SecretAnswer extends SecretItem {
  warning?: string;
}

/** Of events, and of messages to a topic: in the order of the request. */
export interface PublishAnswer {
  published: { id: string; /** Subscriptions whose filter it fits. */ deliveries: number }[];
}

/** `duplicate`: one with its deduplicationId was sent before; the id is that one's. */
export interface SendAnswer {
  messages: ({ result: 'sent'; id: string; sequence: string } | { result: 'duplicate'; id: string })[];
}

export interface AppendAnswer {
  records: { id: string; partition: number; position: number }[];
}
