import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { configurationReference, startFlags } from './configuration-reference.ts';
import { ConfigurationError, readConfig, runFolderOf } from './env.ts';

const LAPTOP = { cores: 2, memoryMiB: 8192, folder: '/srv/app' };

function problemsOf(flags: Record<string, string>, env: Record<string, string>): string[] {
  try {
    readConfig(flags, env, LAPTOP);
  } catch (error) {
    assert.ok(error instanceof ConfigurationError);
    assert.equal(error.message, error.problems.join('\n'));
    return error.problems;
  }
  return [];
}

test('nothing given is a complete configuration that fits the machine', () => {
  const { config, warnings } = readConfig({}, { PATH: '/bin', VIRGA_EDGE_PORT: '' }, LAPTOP);
  assert.deepEqual(warnings, []);
  assert.deepEqual(config, {
    dataFolder: '/srv/app/.virga',
    runFolder: '/srv/app/.virga/run',
    edgeHost: '127.0.0.1',
    edgePort: 8080,
    controlHost: '127.0.0.1',
    controlPort: 8081,
    log: 'people',
    httpsPort: null,
    httpsRedirect: false,
    tlsCertificates: null,
    acmeDomains: [],
    acmeDirectory: 'https://acme-v02.api.letsencrypt.org/directory',
    acmeEmail: null,
    acmeCa: null,
    acmeChallenge: 'http-01',
    secretKey: null,
    trustedProxies: [],
    proxyProtocol: false,
    accessLog: 'off',
    accessLogFile: null,
    egressPrivate: [],
    issuersPrivate: [],
    webhooksPrivate: [],
    egressResolvers: null,
    checkedResponses: 'asked',
    domainsTrusted: [],
    domainResolvers: null,
    postgresUrl: null,
    sandboxDriver: 'auto',
    ociRuntime: 'auto',
    limits: {
      requestBytesMax: 1_073_741_824,
      headBytesMax: 32_768,
      headersMax: 128,
      urlBytesMax: 8_192,
      headTimeoutMs: 30_000,
      slowClientMs: 30_000,
      slowClientBytesPerSecond: 256,
      connectionsMax: 50_000,
      clientConnectionsMax: 1_000,
      streamsPerConnectionMax: 100,
      accessLogBytesMax: 104_857_600,
      validatedBytesMax: 8_388_608,
      validationStepsMax: 1_000_000,
      messageBytesMax: 262_144,
      invokeBytesMax: 6_291_456,
      artifactBytesMax: 268_435_456,
      artifactUnpackedBytesMax: 1_073_741_824,
      artifactFilesMax: 50_000,
      compiledBytesMax: 67_108_864,
      sandboxMemoryMiB: 5734,
      sandboxesMax: 500,
      startsInFlightMax: 4,
      blanksMax: 16,
      bootTimeoutMs: 10_000,
      loadTimeoutMs: 30_000,
      drainMs: 25_000,
      recordBufferBytes: 33_554_432,
      logBytesPerSecond: 65_536,
      queueCallsMax: 5_000,
      queueBytesMax: 67_108_864,
      functionQueueBytesMax: 16_777_216,
      projectQueueCallsMax: 2_500,
      projectQueueBytesMax: 33_554_432,
      projectConcurrencyMax: 1_000,
      clientRequestsPerSMax: 0,
      throttleBucketsMax: 100_000,
      egressConnectionsPerSandboxMax: 256,
      egressConnectionsMax: 4_096,
      shadowsMax: 20,
      webSocketsMax: 20_000,
      projectWebSocketsMax: 10_000,
      workflowStepsMax: 10_000,
      workflowHistoryBytesMax: 33_554_432,
      workflowBytesMax: 262_144,
      webSocketBufferBytesMax: 1_048_576,
      webSocketsHeldBytesMax: 67_108_864,
      cacheBytesMax: 64 * 1024 * 1024,
      projectCacheBytesMax: 32 * 1024 * 1024,
      filesBytesMax: 32 * 1024 * 1024,
      apiKeysMax: 100_000,
      receiversMax: 256,
      scheduleLateMs: 60_000,
      deliveriesMax: 256,
      deliveryBytesMax: 64 * 1024 * 1024,
      callersRemembered: 20_000,
      asyncRequestBytesMax: 1_048_576,
      asyncAnswerBytesMax: 1_048_576,
      recordingBufferBytes: 16 * 1024 * 1024,
      projectRecordingBytesMax: 1024 * 1024 * 1024,
      retentionHours: 168,
    },
  });
  const large = readConfig({}, {}, { cores: 64, memoryMiB: 262_144, folder: '/' }).config.limits;
  assert.deepEqual([large.startsInFlightMax, large.sandboxMemoryMiB], [128, 183_500]);
});

test('a flag wins over its variable, and paths become absolute', () => {
  const { config } = readConfig(
    { data: 'mine', edgePort: '9000' },
    { VIRGA_DATA: '/other', VIRGA_EDGE_PORT: 'broken', VIRGA_LIMIT_DRAIN_MS: '0' },
    LAPTOP,
  );
  assert.deepEqual([config.dataFolder, config.edgePort, config.limits.drainMs], ['/srv/app/mine', 9000, 0]);
});

test('all problems are reported together, each with its value, its source and what to give', () => {
  const problems = problemsOf(
    { edgePort: '0', sandbox: 'docker', data: '' },
    { VIRGA_LOG: 'xml', VIRGA_LIMIT_DRAIN_MS: '25s', VIRGA_EDGE_HOST: 'http://here', VIRGA_LIMIT_SANDBOXES: '-1' },
  );
  assert.deepEqual(problems.toSorted(), [
    "--data is '': give the path of a folder, e.g. /var/lib/virga",
    "--edge-port is '0': give a port, a whole number from 1 to 65535",
    "--sandbox is 'docker': give one of auto, bubblewrap, oci, process",
    "VIRGA_EDGE_HOST is 'http://here': give an address of this machine without a port, e.g. 127.0.0.1, 0.0.0.0 or ::1",
    "VIRGA_LIMIT_DRAIN_MS is '25s': give a whole number of ms from 0 to 3600000",
    "VIRGA_LIMIT_SANDBOXES is '-1': give a whole number of sandboxes from 1 to 100000",
    "VIRGA_LOG is 'xml': give one of people, json",
  ]);
});

test('one port for both is a problem that names where each came from', () => {
  assert.deepEqual(problemsOf({ edgePort: '8081' }, {}), [
    'the edge and the control API cannot share port 8081 (--edge-port and the default of VIRGA_CONTROL_PORT): choose another for one of them, with --edge-port or --control-port',
  ]);
});

test('a wrong database URL is reported without the password that it may hold', () => {
  const [problem] = problemsOf({}, { VIRGA_POSTGRES_URL: 'mysql://me:hunter2@host/db' });
  assert.match(problem!, /^VIRGA_POSTGRES_URL is not the URL of a PostgreSQL/);
  assert.doesNotMatch(problem!, /hunter2/);
  assert.equal(
    readConfig({}, { VIRGA_POSTGRES_URL: 'postgresql:///virga?host=/run/pg' }, LAPTOP).config.postgresUrl,
    'postgresql:///virga?host=/run/pg',
  );
});

test('addresses and names of hosts pass, wrong addresses do not', () => {
  for (const good of ['0.0.0.0', '::', '::1', 'localhost', 'node-1.example']) {
    assert.deepEqual(problemsOf({}, { VIRGA_CONTROL_HOST: good }), [], good);
  }
  for (const bad of ['256.1.1.1', '1.2.3', 'localhost:8080', '[::1]', '*', 'a b'])
    assert.equal(problemsOf({}, { VIRGA_CONTROL_HOST: bad }).length, 1, bad);
});

test('a variable that nobody reads is named with the one that was probably meant', () => {
  const env = {
    VIRGA_LIMIT_REQUEST_BYTE: '1',
    VIRGA_ZZZZZZ: '',
    VIRGA_URL: 'http://x',
    VIRGA_TOKEN: 't',
    VIRGA_ROLE_CONFIG: '{}',
    VIRGANIA: '1',
  };
  assert.deepEqual(readConfig({}, env, LAPTOP).warnings, [
    'the variable VIRGA_LIMIT_REQUEST_BYTE means nothing to Virga and is ignored; did you mean VIRGA_LIMIT_REQUEST_BYTES?',
    'the variable VIRGA_ZZZZZZ means nothing to Virga and is ignored',
  ]);
});

test('more memory for sandboxes than the machine has is a warning', () => {
  const [warning] = readConfig({}, { VIRGA_LIMIT_SANDBOX_MEMORY_MIB: '9000' }, LAPTOP).warnings;
  assert.match(warning!, /9000 MiB, but this machine has 8192 MiB/);
});

test('the run folder moves to a short path before a socket in it would exceed what a socket allows', () => {
  // `/run/.s.PGSQL.5432` is 18 bytes.
  const fits = `/${'d'.repeat(81)}`;
  assert.equal(runFolderOf(fits), `${fits}/run`);
  assert.match(runFolderOf(`${fits}d`), /^\/tmp\/virga-[0-9a-f]{16}$/);
  assert.notEqual(runFolderOf(`${fits}d`), runFolderOf(`${fits}e`));
  assert.match(runFolderOf(`/${'ü'.repeat(45)}`), /^\/tmp\/virga-/);
});

test('settings of the front door that cannot be are told together, and a secret is not shown', () => {
  const problems = problemsOf(
    {},
    {
      VIRGA_HTTPS_PORT: '8080',
      VIRGA_TRUSTED_PROXIES: '10.0.0.0/40',
      VIRGA_PROXY_PROTOCOL: 'true',
      VIRGA_ACME_DOMAINS: 'shop.example,*.shop.example',
      VIRGA_ACME_DIRECTORY: 'http://acme.example/',
      VIRGA_SECRET_KEY: 'short-secret',
      VIRGA_ACCESS_LOG: 'xml',
    },
  );
  const expected = [
    /VIRGA_ACME_DOMAINS .*'\*\.shop\.example' is no name of a host/,
    /VIRGA_ACME_DIRECTORY .*https:/,
    /VIRGA_SECRET_KEY is no base64 of 32 bytes/,
    /VIRGA_TRUSTED_PROXIES .*'10\.0\.0\.0\/40' is no address or range/,
    /VIRGA_ACCESS_LOG .*json, common/,
    /HTTPS cannot share port 8080/,
    /VIRGA_PROXY_PROTOCOL is true, but nobody is trusted/,
  ];
  for (const pattern of expected)
    assert.ok(
      problems.some((problem) => pattern.test(problem)),
      `${pattern}: ${problems.join('\n')}`,
    );
  assert.ok(!problems.some((problem) => problem.includes('short-secret')));
});

test('start has a flag for each setting that says it has one', () => {
  assert.deepEqual(
    startFlags().map(({ flags }) => flags),
    ['--data <folder>', '--edge-port <port>', '--control-port <port>', '--https-port <port>', '--sandbox <driver>', '--log <format>'],
  );
});

test('docs/reference/configuration.md is current (write it with: virga reference configuration)', async () => {
  const file = join(import.meta.dirname, '../../docs/reference/configuration.md');
  assert.equal(await readFile(file, 'utf8'), configurationReference());
});

test('domains that need no proof are read as names, with or without what stands for those below them', () => {
  const { config } = readConfig(
    {},
    { VIRGA_DOMAINS_TRUSTED: '*.Corp.example.com, lan,.home', VIRGA_DOMAIN_RESOLVERS: '192.0.2.53' },
    LAPTOP,
  );
  assert.deepEqual([config.domainsTrusted, config.domainResolvers], [['corp.example.com', 'lan', 'home'], ['192.0.2.53']]);
  assert.deepEqual(problemsOf({}, { VIRGA_DOMAINS_TRUSTED: 'lan,a b' }), [
    "VIRGA_DOMAINS_TRUSTED is 'lan,a b': 'a b' is no domain; give some like corp.example.com,lan",
  ]);
});
