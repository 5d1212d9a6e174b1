// Every setting of a node in one table: its variable, its flag of `virga start`, its default, what it means, and what a
// value of it looks like. env.ts parses with it, the help and docs/reference/configuration.md are printed from it.
// Invariant: the types make it complete: a field of Config or Limits without a row does not compile.
import { isIP } from 'node:net';
import { basename, isAbsolute, resolve } from 'node:path';
import type { Config, Limits } from './config.ts';
import { EVENT_LIMITS } from './event-limits.ts';
import { GATEWAY_SETTINGS } from './gateway-settings.ts';
import { NETWORK_SETTINGS } from './network-settings.ts';
import { limit, oneOf, port } from './setting.ts';
import type { Parsed, Setting } from './setting.ts';

export type NodeSettings = { [K in Exclude<keyof Config, 'runFolder' | 'limits'>]: Setting<Config[K]> };
export type LimitSettings = { [K in keyof Limits]: Setting<number> };

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;
const HOUR_MS = 3_600_000;
const CONNECTIONS = { unit: 'connections', min: 1, max: 1_000_000 };

export const NODE_SETTINGS: NodeSettings = {
  dataFolder: {
    variable: 'VIRGA_DATA',
    flag: 'data',
    placeholder: 'folder',
    meaning: 'Where everything is kept: the database, artifacts, the operator token. One Virga at a time uses it.',
    default: ({ folder }) => resolve(folder, '.virga'),
    defaultText: '.virga',
    parse: (text, { folder }) =>
      text === '' || text.includes('\0') ? { problem: 'give the path of a folder, e.g. /var/lib/virga' } : { value: resolve(folder, text) },
  },
  edgePort: {
    variable: 'VIRGA_EDGE_PORT',
    flag: 'edge-port',
    placeholder: 'port',
    meaning: 'Port on which functions are called.',
    default: () => 8080,
    parse: port,
  },
  edgeHost: {
    variable: 'VIRGA_EDGE_HOST',
    // Loopback: what somebody starts to try it out is not in reach of the network before they say so.
    meaning: 'Address on which functions are called. Only this machine reaches the default; `0.0.0.0` (or `::`) opens it to the network.',
    default: () => '127.0.0.1',
    parse: host,
  },
  controlPort: {
    variable: 'VIRGA_CONTROL_PORT',
    flag: 'control-port',
    placeholder: 'port',
    meaning: 'Port of the control API, which deploys and reads logs.',
    default: () => 8081,
    parse: port,
  },
  controlHost: {
    variable: 'VIRGA_CONTROL_HOST',
    meaning: 'Address of the control API. It asks for a token in any case; beyond this machine, put TLS in front of it.',
    default: () => '127.0.0.1',
    parse: host,
  },
  postgresUrl: {
    variable: 'VIRGA_POSTGRES_URL',
    meaning:
      'A PostgreSQL (14 or later) to use, `postgres://user:password@host/database`; without it Virga runs one of its own in the data folder.',
    default: () => null,
    defaultText: 'none',
    secret: true,
    parse: (text) => {
      const url = URL.parse(text);
      return url !== null && /^postgres(ql)?:$/.test(url.protocol)
        ? { value: text }
        : {
            problem:
              'not the URL of a PostgreSQL; give one like postgres://user:password@host:5432/database, or leave it out to use the embedded one',
          };
    },
  },
  ...GATEWAY_SETTINGS,
  sandboxDriver: {
    variable: 'VIRGA_SANDBOX',
    flag: 'sandbox',
    placeholder: 'driver',
    meaning:
      'What walls functions in: `bubblewrap` (Linux namespaces), `oci` (a container runtime: crun, runc, runsc), `process` (no wall: only for code that you trust), or `auto`: the first of these that works.',
    default: () => 'auto',
    parse: oneOf('auto', 'bubblewrap', 'oci', 'process'),
  },
  ociRuntime: {
    variable: 'VIRGA_OCI_RUNTIME',
    meaning:
      'The container runtime of the `oci` sandbox: `crun`, `runc`, `runsc`, the path of one, or `auto`: the first of these that works. Functions of `isolation: strong` have runsc in any case.',
    default: () => 'auto',
    parse: ociRuntime,
  },
  ...NETWORK_SETTINGS,
  checkedResponses: {
    variable: 'VIRGA_CHECKED_RESPONSES',
    meaning:
      "Which routes' answers are held to their `response` schemas: `asked`, those with `validateResponses`, or `all` that have some, as `virga dev` does.",
    default: () => 'asked',
    parse: oneOf('asked', 'all'),
  },
  log: {
    variable: 'VIRGA_LOG',
    flag: 'log',
    placeholder: 'format',
    meaning: "The platform's own log on stderr: `people`, or `json` with one object a line.",
    default: () => 'people',
    parse: oneOf('people', 'json'),
  },
};

export const LIMIT_SETTINGS: LimitSettings = {
  requestBytesMax: limit('REQUEST_BYTES', GIB, { unit: 'bytes', min: KIB, max: 1024 * GIB }, 'Body of one request to a function.'),
  validatedBytesMax: limit('VALIDATED_BYTES', 8 * MIB, { unit: 'bytes', min: KIB, max: GIB }, 'Body that is held in memory to be checked.'),
  validationStepsMax: limit(
    'VALIDATION_STEPS',
    1_000_000,
    { unit: 'steps', min: 1_000, max: 1_000_000_000 },
    'Work of one check by a schema, by default some 25 to 150 ms of the edge; what takes more is refused.',
  ),
  messageBytesMax: limit(
    'MESSAGE_BYTES',
    256 * KIB,
    { unit: 'bytes', min: KIB, max: 8 * MIB },
    'Body of one message of a queue or a topic, of an event or of a record.',
  ),
  // The payload and the result are held in memory, so this one stays small.
  headBytesMax: limit(
    'HEAD_BYTES',
    32 * KIB,
    { unit: 'bytes', min: 2 * KIB, max: MIB },
    'The head of a request: its URL and headers; more is answered 431.',
  ),
  headersMax: limit('HEADERS', 128, { unit: 'headers', min: 8, max: 2_000 }, 'Headers of a request; more are answered 431.'),
  urlBytesMax: limit('URL_BYTES', 8 * KIB, { unit: 'bytes', min: 128, max: MIB }, 'The URL of a request; a longer one is answered 414.'),
  headTimeoutMs: limit(
    'HEAD_TIMEOUT_MS',
    30_000,
    { unit: 'ms', min: 100, max: HOUR_MS },
    'A client whose request (or TLS handshake, or PROXY header) has not arrived after this long is cut off.',
  ),
  slowClientMs: limit(
    'SLOW_CLIENT_MS',
    30_000,
    { unit: 'ms', min: 200, max: HOUR_MS },
    'A client that is slower than the next limit for this long, with a body that it owes or an answer that it does not take, is cut off.',
  ),
  slowClientBytesPerSecond: limit(
    'SLOW_CLIENT_BYTES_PER_SECOND',
    256,
    { unit: 'bytes', min: 0, max: MIB },
    'What a client is to send or take a second. 0: as slow as it likes.',
  ),
  connectionsMax: limit(
    'CONNECTIONS',
    50_000,
    { unit: 'connections', min: 1, max: 10_000_000 },
    'Connections of clients to this node; further ones are closed.',
  ),
  clientConnectionsMax: limit(
    'CLIENT_CONNECTIONS',
    1_000,
    { unit: 'connections', min: 1, max: 10_000_000 },
    'Connections from one address, this machine itself and trusted proxies aside; further ones are closed.',
  ),
  streamsPerConnectionMax: limit(
    'STREAMS',
    100,
    { unit: 'requests', min: 1, max: 10_000 },
    'Requests under way on one HTTP/2 connection; more wait at the client.',
  ),
  accessLogBytesMax: limit(
    'ACCESS_LOG_BYTES',
    100 * MIB,
    { unit: 'bytes', min: 4 * KIB, max: 64 * GIB },
    'Size of the access log at which a new file is begun; the last five are kept.',
  ),
  invokeBytesMax: limit(
    'INVOKE_BYTES',
    6 * MIB,
    { unit: 'bytes', min: KIB, max: 256 * MIB },
    'Payload, and result, of one direct invocation (`virga invoke`).',
  ),
  artifactBytesMax: limit(
    'ARTIFACT_BYTES',
    256 * MIB,
    { unit: 'bytes', min: KIB, max: 64 * GIB },
    'One artifact as it is uploaded (packed).',
  ),
  artifactUnpackedBytesMax: limit('ARTIFACT_UNPACKED_BYTES', GIB, { unit: 'bytes', min: KIB, max: 256 * GIB }, 'One artifact unpacked.'),
  artifactFilesMax: limit('ARTIFACT_FILES', 50_000, { unit: 'files', min: 1, max: 10_000_000 }, 'Files in one artifact.'),
  compiledBytesMax: limit(
    'COMPILED_BYTES',
    64 * MIB,
    { unit: 'bytes', min: 0, max: 4 * GIB },
    'Code that is compiled ahead and kept of one artifact, so that cold starts need not compile it; 0 makes none.',
  ),
  sandboxMemoryMiB: {
    ...limit(
      'SANDBOX_MEMORY_MIB',
      0,
      { unit: 'MiB', min: 64, max: 64 * 1024 * 1024 },
      'Sum of the memory limits of all sandboxes of this node.',
    ),
    default: ({ memoryMiB }) => Math.max(64, Math.floor(memoryMiB * 0.7)),
    defaultText: '70 % of the memory',
  },
  sandboxesMax: limit('SANDBOXES', 500, { unit: 'sandboxes', min: 1, max: 100_000 }, 'Sandboxes on this node.'),
  startsInFlightMax: {
    ...limit('STARTS_IN_FLIGHT', 0, { unit: 'sandboxes', min: 1, max: 1_000 }, 'Sandboxes that are being started at the same time.'),
    default: ({ cores }) => Math.max(4, cores * 2),
    defaultText: 'twice the cores, at least 4',
  },
  blanksMax: {
    ...limit(
      'BLANKS',
      0,
      { unit: 'sandboxes', min: 0, max: 10_000 },
      'Sandboxes booted ahead of need, 16 to 24 MiB each: a cold start takes one of them. 0: none.',
    ),
    default: ({ cores }) => Math.max(8, cores * 8),
    defaultText: 'eight times the cores, at least 8',
  },
  queueCallsMax: limit(
    'QUEUE_CALLS',
    5_000,
    { unit: 'calls', min: 1, max: 1_000_000 },
    'Calls that wait on this node; the next one is answered 503.',
  ),
  queueBytesMax: limit('QUEUE_BYTES', 64 * MIB, { unit: 'bytes', min: MIB, max: 64 * GIB }, 'Bodies of calls that wait on this node.'),
  projectQueueCallsMax: limit(
    'PROJECT_QUEUE_CALLS',
    2_500,
    { unit: 'calls', min: 1, max: 1_000_000 },
    'Calls of one project that wait; the next one is answered 429.',
  ),
  projectQueueBytesMax: limit(
    'PROJECT_QUEUE_BYTES',
    32 * MIB,
    { unit: 'bytes', min: MIB, max: 64 * GIB },
    'Bodies of calls of one project that wait.',
  ),
  functionQueueBytesMax: limit(
    'FUNCTION_QUEUE_BYTES',
    16 * MIB,
    { unit: 'bytes', min: MIB, max: 64 * GIB },
    'Bodies of calls of one function that wait.',
  ),
  projectConcurrencyMax: limit(
    'PROJECT_CONCURRENCY',
    1_000,
    { unit: 'calls', min: 1, max: 1_000_000 },
    'Calls of one project that run at the same time; more wait.',
  ),
  clientRequestsPerSMax: {
    ...limit(
      'CLIENT_REQUESTS_PER_SECOND',
      0,
      { unit: 'requests', min: 0, max: 1_000_000 },
      'Requests a second of one client address (of IPv6 its /64) at the edge, in bursts of twice as many; further ones are answered 429. 0: as many as come.',
    ),
    defaultText: '0 (no limit)',
  },
  throttleBucketsMax: limit(
    'THROTTLE_BUCKETS',
    100_000,
    { unit: 'buckets', min: 100, max: 10_000_000 },
    'Token buckets of `throttle` that the edge keeps, and as many counters of usage plans; beyond it those go that remember least. About 200 bytes each.',
  ),
  bootTimeoutMs: limit(
    'BOOT_TIMEOUT_MS',
    10_000,
    { unit: 'ms', min: 100, max: HOUR_MS },
    'A sandbox that has not said hello after this long is given up, and a call for which none could be begun for so long.',
  ),
  loadTimeoutMs: limit(
    'LOAD_TIMEOUT_MS',
    30_000,
    { unit: 'ms', min: 100, max: HOUR_MS },
    'Code that has not loaded after this long is given up.',
  ),
  drainMs: limit('DRAIN_MS', 25_000, { unit: 'ms', min: 0, max: HOUR_MS }, 'How long a stopping node waits for calls in flight.'),
  recordBufferBytes: limit(
    'RECORD_BUFFER_BYTES',
    32 * MIB,
    { unit: 'bytes', min: 64 * KIB, max: 4 * GIB },
    'Records and log lines that wait for the database; beyond it new ones are dropped and counted.',
  ),
  logBytesPerSecond: limit(
    'LOG_BYTES_PER_SECOND',
    64 * KIB,
    { unit: 'bytes', min: KIB, max: GIB },
    'Log of one instance a second, with a burst of ten times that; more is dropped and counted.',
  ),
  egressConnectionsPerSandboxMax: limit(
    'EGRESS_CONNECTIONS_PER_SANDBOX',
    256,
    { unit: 'connections', min: 1, max: 65_536 },
    'Connections of one instance to the network at the same time; further ones are refused.',
  ),
  egressConnectionsMax: limit(
    'EGRESS_CONNECTIONS',
    4_096,
    { unit: 'connections', min: 1, max: 1_000_000 },
    'Connections of all instances to the network at the same time.',
  ),
  shadowsMax: limit(
    'SHADOWS',
    20,
    { unit: 'calls', min: 0, max: 10_000 },
    'Copies of requests for versions that are tried (`shadow`), held or running at the same time; more are dropped.',
  ),
  apiKeysMax: limit(
    'API_KEYS',
    100_000,
    { unit: 'keys', min: 1, max: 10_000_000 },
    'API keys of all projects; the edge holds them in memory, about 500 bytes each.',
  ),
  callersRemembered: limit(
    'CALLERS_REMEMBERED',
    20_000,
    { unit: 'entries', min: 100, max: 10_000_000 },
    'Verified tokens, answers of authorizers and signatures of webhooks that the edge remembers, of each; the oldest make room.',
  ),
  webSocketsMax: limit('WEBSOCKETS', 20_000, CONNECTIONS, 'WebSockets at the same time; the next handshake is answered 503.'),
  projectWebSocketsMax: limit('PROJECT_WEBSOCKETS', 10_000, CONNECTIONS, 'WebSockets of one project; the next is answered 429.'),
  workflowStepsMax: limit(
    'WORKFLOW_STEPS',
    10_000,
    { unit: 'steps', min: 1, max: 100_000 },
    'Steps, sleeps and waits of one run of a workflow; the next one fails.',
  ),
  workflowHistoryBytesMax: limit(
    'WORKFLOW_HISTORY_BYTES',
    32 * MIB,
    { unit: 'bytes', min: 64 * KIB, max: GIB },
    'Bytes of all results and errors of the steps of one run.',
  ),
  workflowBytesMax: limit(
    'WORKFLOW_BYTES',
    256 * KIB,
    { unit: 'bytes', min: KIB, max: 512 * KIB },
    'Bytes, as JSON, of the input of a run, of the data of an event to it, of its result, and of that of one step.',
  ),
  webSocketBufferBytesMax: limit(
    'WEBSOCKET_BUFFER_BYTES',
    MIB,
    { unit: 'bytes', min: 64 * KIB, max: GIB },
    'What may wait for one WebSocket client that reads too slowly; beyond it the connection is closed with 1008.',
  ),
  webSocketsHeldBytesMax: limit(
    'WEBSOCKETS_HELD_BYTES',
    64 * MIB,
    { unit: 'bytes', min: MIB, max: 64 * GIB },
    'What is held for all WebSockets together: parts of messages, messages that wait for their function, what slow clients have not read. Beyond it those that ask for more are closed with 1013.',
  ),
  cacheBytesMax: limit(
    'CACHE_BYTES',
    64 * MIB,
    { unit: 'bytes', min: 0, max: 1024 * GIB },
    'Answers that the gateway keeps (`cache` of a route), in the memory of the edge; 0 keeps none.',
  ),
  projectCacheBytesMax: limit(
    'PROJECT_CACHE_BYTES',
    32 * MIB,
    { unit: 'bytes', min: 0, max: 1024 * GIB },
    'Answers that the gateway keeps of one project.',
  ),
  filesBytesMax: limit(
    'FILES_BYTES',
    32 * MIB,
    { unit: 'bytes', min: 0, max: 1024 * GIB },
    'Small files of folders that the gateway serves (`static` of a route), in the memory of the edge; 0 holds none.',
  ),
  ...EVENT_LIMITS,
  retentionHours: limit(
    'RETENTION_HOURS',
    168,
    { unit: 'hours', min: 1, max: 100 * 366 * 24 },
    'How long invocations and log lines are kept.',
  ),
};

function host(text: string): Parsed<string> {
  const name = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/i;
  // Four numbers that are no address would pass for a name.
  if (isIP(text) !== 0 || (name.test(text) && !/^[\d.]+$/.test(text))) return { value: text };
  return { problem: 'give an address of this machine without a port, e.g. 127.0.0.1, 0.0.0.0 or ::1' };
}

function ociRuntime(text: string): Parsed<string> {
  const names = ['crun', 'runc', 'runsc'];
  const named = text === 'auto' || names.includes(text);
  if (named || (isAbsolute(text) && names.some((name) => basename(text).startsWith(name)))) return { value: text };
  return { problem: `give auto, ${names.join(', ')}, or the absolute path of a program whose name begins with one of these` };
}
