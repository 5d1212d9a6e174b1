// The configuration of one node as a closed type: every number that bounds something is here, decided once at start
// (env.ts reads the environment and the flags, and reports all problems together). Nothing else reads process.env.

export interface Config {
  /** Absolute. */
  dataFolder: string;
  /** Sockets live here (mode 0700); short, since a socket's path has at most 107 bytes. */
  runFolder: string;
  /** Address both ports bind to, e.g. `127.0.0.1`. */
  edgeHost: string;
  edgePort: number;
  controlHost: string;
  controlPort: number;
  log: 'people' | 'json';
  /** Set: use this server instead of the embedded one. */
  postgresUrl: string | null;
  sandboxDriver: 'auto' | 'bubblewrap' | 'oci' | 'process';
  /** A name, or the absolute path of a container runtime. */
  ociRuntime: string;
  /** Ranges that are not public, which functions may name in their egress all the same. */
  egressPrivate: string[];
  /** null: those of /etc/resolv.conf. */
  egressResolvers: string[] | null;
  /** Suffixes of domains that projects are served at without a proof of ownership. */
  domainsTrusted: string[];
  /** Asked for the proofs of domains; null: those of /etc/resolv.conf. */
  domainResolvers: string[] | null;
  limits: Limits;
}

export interface Limits {
  /** Request bodies at the edge, bytes. */
  requestBytesMax: number;
  /** Payload and result of a direct invocation, bytes. */
  invokeBytesMax: number;
  /** One artifact as uploaded, bytes. */
  artifactBytesMax: number;
  /** One artifact unpacked, bytes, and its number of files. */
  artifactUnpackedBytesMax: number;
  artifactFilesMax: number;
  /** Compiled code that is kept of one artifact for one runtime, bytes; 0: none is made. */
  compiledBytesMax: number;
  /** Sum of the memory limits of all sandboxes on this node, MiB. */
  sandboxMemoryMiB: number;
  /** Sandboxes on this node at most. */
  sandboxesMax: number;
  /** Sandboxes being started at the same time. */
  startsInFlightMax: number;
  /** Sandboxes that are booted ahead of need, at most. */
  blanksMax: number;
  /** Calls that wait on this node, and the bytes of their bodies; the same for one project, and the bytes for one function. */
  queueCallsMax: number;
  queueBytesMax: number;
  projectQueueCallsMax: number;
  projectQueueBytesMax: number;
  functionQueueBytesMax: number;
  /** Requests a second of one client address at the edge; 0: as many as come. */
  clientRequestsPerSMax: number;
  /** Token buckets, and counters of usage plans, that the edge keeps in memory. */
  throttleBucketsMax: number;
  /** Calls of one project that run at the same time; more wait. */
  projectConcurrencyMax: number;
  /** A sandbox that has not said hello, or code that has not loaded, after this many ms is given up. */
  bootTimeoutMs: number;
  loadTimeoutMs: number;
  /** How long a stopping node waits for calls in flight, ms. */
  drainMs: number;
  /** Bytes of records and log lines waiting to be written; beyond them new ones are dropped and counted. */
  recordBufferBytes: number;
  /** Log bytes a second of one instance, with a burst of ten times that. */
  logBytesPerSecond: number;
  /** Connections of one sandbox to the network, and of all, at the same time. */
  egressConnectionsPerSandboxMax: number;
  egressConnectionsMax: number;
  /** WebSockets of this node, and of one project, at the same time. */
  webSocketsMax: number;
  projectWebSocketsMax: number;
  /** Bytes that may wait for one slow WebSocket client, and that are held for all of them, both ways. */
  webSocketBufferBytesMax: number;
  webSocketsHeldBytesMax: number;
  /** What the gateway keeps of answers (`cache` of a route), of all projects and of one, bytes. */
  cacheBytesMax: number;
  projectCacheBytesMax: number;
  /** Small files of served folders (`static` of a route) that are held in memory, bytes. */
  filesBytesMax: number;
  /** How long invocations and log lines are kept, hours. */
  retentionHours: number;
}
