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
  /** HTTPS and HTTP/2; null: none. */
  httpsPort: number | null;
  /** Plain requests are sent on to HTTPS, whatever their project says. */
  httpsRedirect: boolean;
  /** Folder of certificates and keys; absolute. */
  tlsCertificates: string | null;
  /** Names to get certificates for by ACME (RFC 8555), `projects`: the domains of projects too; where, under whose address, and how it is proved. */
  acmeDomains: string[];
  acmeDirectory: string;
  acmeEmail: string | null;
  /** File with the root certificate of a private ACME server. */
  acmeCa: string | null;
  acmeChallenge: 'http-01' | 'tls-alpn-01';
  /** Base64 of the 32 bytes that secrets at rest are sealed under; null: the file `secret-key` of the data folder. */
  secretKey: string | null;
  /** Whose word on who the client is counts: addresses and ranges, or how many proxies stand before this node. */
  trustedProxies: string[] | number;
  /** Connections begin with a PROXY header. */
  proxyProtocol: boolean;
  accessLog: 'off' | 'json' | 'common';
  /** Absolute, or `-` for stdout; null: `access.log` in the data folder. */
  accessLogFile: string | null;
  /** Set: use this server instead of the embedded one. */
  postgresUrl: string | null;
  sandboxDriver: 'auto' | 'bubblewrap' | 'oci' | 'process';
  /** A name, or the absolute path of a container runtime. */
  ociRuntime: string;
  /** Ranges that are not public, which functions may name in their egress all the same. */
  egressPrivate: string[];
  /** Ranges that are not public, from which the edge fetches the keys of issuers of tokens all the same. */
  issuersPrivate: string[];
  /** Ranges that are not public, to which webhooks of topics are sent all the same. */
  webhooksPrivate: string[];
  /** null: those of /etc/resolv.conf. */
  egressResolvers: string[] | null;
  /** Which routes' answers are held to their `response` schemas: those that ask for it, or all that have some. */
  checkedResponses: 'asked' | 'all';
  /** Suffixes of domains that projects are served at without a proof of ownership. */
  domainsTrusted: string[];
  /** Asked for the proofs of domains; null: those of /etc/resolv.conf. */
  domainResolvers: string[] | null;
  limits: Limits;
}

export interface Limits {
  /** Request bodies at the edge, bytes. */
  requestBytesMax: number;
  /** Head of a request: bytes in all, number of headers, bytes of the URL, and ms that it may take to arrive. */
  headBytesMax: number;
  headersMax: number;
  urlBytesMax: number;
  headTimeoutMs: number;
  /** A client that moves fewer bytes a second than this, over so many ms, while it owes a body or an answer waits for it, is cut off. */
  slowClientMs: number;
  slowClientBytesPerSecond: number;
  /** Connections of clients to this node, and of one address. */
  connectionsMax: number;
  clientConnectionsMax: number;
  /** Requests under way on one HTTP/2 connection. */
  streamsPerConnectionMax: number;
  /** Size at which the access log begins a new file. */
  accessLogBytesMax: number;
  /** Body that is held in memory to be checked against a schema, bytes; and the steps of one check. */
  validatedBytesMax: number;
  validationStepsMax: number;
  /** Payload and result of a direct invocation, bytes. */
  invokeBytesMax: number;
  /** Body of one message, event or record, bytes. */
  messageBytesMax: number;
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
  /** Copies of requests for versions that are tried (`shadow`), held or running at the same time. */
  shadowsMax: number;
  /** API keys of all projects. */
  apiKeysMax: number;
  /** Connections that wait for messages of queues at the same time. */
  receiversMax: number;
  /** How late a time of a schedule may be and is not missed, ms. */
  scheduleLateMs: number;
  /** Entries of each memory of callers in the edge: verified tokens, answers of authorizers, signatures of webhooks. */
  callersRemembered: number;
  /** WebSockets of this node, and of one project, at the same time. */
  webSocketsMax: number;
  projectWebSocketsMax: number;
  /** Steps of one run of a workflow, bytes of its results in all, and of one input, event or result. */
  workflowStepsMax: number;
  workflowHistoryBytesMax: number;
  workflowBytesMax: number;
  /** Bytes that may wait for one slow WebSocket client, and that are held for all of them, both ways. */
  webSocketBufferBytesMax: number;
  webSocketsHeldBytesMax: number;
  /** What the gateway keeps of answers (`cache` of a route), of all projects and of one, bytes. */
  cacheBytesMax: number;
  projectCacheBytesMax: number;
  /** Small files of served folders (`static` of a route) that are held in memory, bytes. */
  filesBytesMax: number;
  /** Bodies of asynchronous invocations, and what is kept of their answers, bytes. */
  asyncRequestBytesMax: number;
  asyncAnswerBytesMax: number;
  /** Recordings (`record`) that wait to be written, and that are kept of one project, bytes. */
  recordingBufferBytes: number;
  projectRecordingBytesMax: number;
  /** Calls of functions and webhooks for events at the same time, and bytes of their messages that are held. */
  deliveriesMax: number;
  deliveryBytesMax: number;
  /** How long invocations and log lines are kept, hours. */
  retentionHours: number;
}
