import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { VirgaError } from '../../protocol/errors.ts';
import { parseManifest, readManifest } from './manifest.ts';
import { projectNear } from './project-near.ts';
import type { Manifest, ManifestProblems } from './manifest.ts';
import { manifestReference } from './reference.ts';
import { manifestJsonSchema } from './schema.ts';

let folder: string;

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'virga-manifest-'));
  mkdirSync(join(folder, 'functions'));
  for (const name of ['hello.ts', 'stats.py']) writeFileSync(join(folder, 'functions', name), '');
});
after(() => rmSync(folder, { recursive: true, force: true }));

function parse(text: string): Manifest {
  return parseManifest(text, join(folder, 'virga.yaml'));
}

/** Each problem as `line:column: message`. */
function problems(text: string): string[] {
  try {
    parse(text);
  } catch (error) {
    assert.equal((error as VirgaError).code, 'invalid_manifest');
    return ((error as VirgaError).detail as ManifestProblems).problems.map(({ line, column, message }) => `${line}:${column}: ${message}`);
  }
  return [];
}

test('a manifest becomes functions with all settings, and routes', () => {
  const manifest = parse(`
project: tour
defaults:
  timeout: 10s
  env: {MODE: test, LEVEL: info}
  instances: {min: 1}
functions:
  hello:
    source: ./functions/hello.ts
    http: GET /
    memory: 1 GiB
    instances: {max: 3}
    env: {LEVEL: debug}
  stats:
    source: functions/stats.py
    handler: main
    memory: 128
    timeout: 1.5m
    cpus: 0.5
    http:
      - path: /stats/{id}
        methods: [POST]
      - GET,PUT /files/{path+}
`);
  const [hello, stats] = manifest.functions;
  assert.deepEqual(hello, {
    name: 'hello',
    source: 'functions/hello.ts',
    handler: undefined,
    include: [],
    external: [],
    layers: [],
    traffic: {},
    settings: {
      runtime: 'nodejs26',
      form: 'native',
      memoryMiB: 1024,
      timeoutMs: 10_000,
      concurrency: 1,
      instances: { min: 1, max: 3 },
      cpus: null,
      tmpMiB: 64,
      pids: 128,
      isolation: 'standard',
      queue: 1_000,
      idleMs: 300_000,
      egress: 'internet',
      env: { MODE: 'test', LEVEL: 'debug' },
    },
  });
  assert.equal(stats!.handler, 'main');
  assert.deepEqual(
    [stats!.settings.runtime, stats!.settings.memoryMiB, stats!.settings.timeoutMs, stats!.settings.cpus],
    ['python3', 128, 90_000, 0.5],
  );
  assert.deepEqual(manifest.routes, [
    { path: '/', methods: ['GET'], function: 'hello' },
    { path: '/stats/{id}', methods: ['POST'], function: 'stats' },
    { path: '/files/{path+}', methods: ['GET', 'PUT'], function: 'stats' },
  ]);
});

test('windows of instances get their length in ms and a time zone, and are checked', () => {
  const windowed = (windows: string): string => `project: p
functions:
  a: {source: functions/hello.ts, instances: {min: 1, max: 6, windows: ${windows}}}
`;
  assert.deepEqual(
    parse(windowed('[{cron: "0  8 * * 1-5", for: 10h, min: 5, timezone: Europe/Madrid}, {cron: 0 0 1 * *, for: 1d, min: 2}]')).functions[0]!
      .settings.instances,
    {
      min: 1,
      max: 6,
      windows: [
        { cron: '0 8 * * 1-5', forMs: 36_000_000, min: 5, timezone: 'Europe/Madrid' },
        { cron: '0 0 1 * *', forMs: 86_400_000, min: 2, timezone: 'UTC' },
      ],
    },
  );
  assert.equal('windows' in parse(windowed('[]')).functions[0]!.settings.instances, false);
  assert.deepEqual(
    problems(windowed('[{cron: "0 8 * *", for: 10s, min: 9, timezone: Mars}]')).map((problem) =>
      problem.replace(/^\d+:\d+: functions\.a\.instances\./, ''),
    ),
    [
      'windows[0].cron is "0 8 * *"; expected five fields: minute, hour, day of month, month, day of week',
      'windows[0].for is "10s"; expected a duration with its unit from 1m to 7d, such as "30s", "500ms" or "5m"',
      'windows[0].min is 9 and max is 6; expected a min that is not above max',
      'windows[0].timezone is "Mars"; expected a time zone such as Europe/Madrid or UTC',
    ],
  );
});

test('values of environment variables stay as they are written', () => {
  const { functions } = parse(`
project: p
functions:
  f:
    source: functions/hello.ts
    env: {VERSION: 1.10, ID: 007, ON: true, BIG: 12345678901234567890, HEX: 0x1F, TEXT: "a b"}
`);
  assert.deepEqual(functions[0]!.settings.env, {
    VERSION: '1.10',
    ID: '007',
    ON: 'true',
    BIG: '12345678901234567890',
    HEX: '0x1F',
    TEXT: 'a b',
  });
});

test('all mistakes are reported at once, each with its place, the value and what is expected', () => {
  const found = problems(`project: Tour
defalts: {}
functions:
  hello:
    sorce: functions/hello.ts
    memorySize: 256MB
    http: [{path: notes, method: GET}, 'GTE /x', '/a/:id', {path: /ok, methods: [GETT]}]
  bad_name: {source: functions/helo.ts, memory: 256 MB, timeout: 30, instances: {min: 5, max: 2, foo: 1}}
  c: {source: functions/hello.rb, runtime: node26, env: {A: , 1B: x}, concurrency: 1.5, cpus: 100}
  d: {source: functions/stats.py, runtime: nodejs26, http: /ok}
  e:
  f: {source: functions/hello.ts, http: ["GET /t/{a}", "HEAD,PUT /t/{b}"], memory: 1 TiB, include: ['../x'], idle: 2d}
`);
  const name = 'a name: lower-case letters, digits and inner hyphens, at most 40, beginning with a letter';
  assert.deepEqual(found, [
    `1:10: project is "Tour"; expected ${name}`,
    "2:1: there is no key 'defalts'; did you mean 'defaults'?",
    "4:3: functions.hello lacks 'source'; expected the source file of the function, relative to the manifest",
    "5:5: functions.hello has no key 'sorce'; did you mean 'source'?",
    "6:5: functions.hello has no key 'memorySize'; did you mean 'memory'?",
    '7:19: functions.hello.http[0].path is "notes": a path begins with /',
    "7:26: functions.hello.http[0] has no key 'method'; did you mean 'methods'?",
    "7:40: functions.hello.http[1] is \"GTE /x\": 'GTE' is not a method; did you mean 'GET'?",
    '7:50: functions.hello.http[2] is "/a/:id": write the parameter :id as {id}',
    '7:82: functions.hello.http[3].methods[0] is "GETT"; expected a method: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS; did you mean \'GET\'?',
    `8:3: functions: "bad_name" is not valid; expected ${name}`,
    '8:22: functions.bad_name.source is "functions/helo.ts": there is no such file; did you mean \'functions/hello.ts\'?',
    '8:49: functions.bad_name.memory is "256 MB"; expected a size from 32 MiB to 64 GiB, such as "256 MiB", "1 GiB" or 256 (MiB)',
    '8:66: functions.bad_name.timeout is 30; expected a duration with its unit from 100ms to 15m, such as "30s", "500ms" or "5m"',
    '8:87: functions.bad_name.instances: min is 5 and max is 2; expected a min that is not above max',
    "8:98: functions.bad_name.instances has no key 'foo'; expected one of min, max, windows",
    '9:15: functions.c.source is "functions/hello.rb": there is no such file; did you mean \'functions/hello.ts\'?',
    '9:44: functions.c.runtime is "node26"; expected a runtime: nodejs26, nodejs24, python3, provided, web, wasm, bun, deno; did you mean \'nodejs26\'?',
    '9:58: functions.c.env.A is empty; expected a text, a number, true or false (an empty text is "")',
    '9:63: functions.c.env: "1B" is not valid; expected a name of an environment variable: letters, digits and _',
    '9:84: functions.c.concurrency is 1.5; expected a whole number from 1 to 1000',
    '9:95: functions.c.cpus is 100; expected a number of CPUs from 0.05 to 64, such as 0.5 or 2',
    '10:15: functions.d.source is "functions/stats.py": the runtime nodejs26 does not run .py files',
    '11:3: functions.e is empty; expected the settings of a function, at least its `source`',
    "12:56: the route HEAD,PUT /t/{b} is already taken by 'f' in line 12",
    '12:84: functions.f.memory is "1 TiB"; expected a size from 32 MiB to 64 GiB, such as "256 MiB", "1 GiB" or 256 (MiB)',
    '12:101: functions.f.include[0] is "../x"; expected a file or glob inside the folder of the manifest',
    '12:116: functions.f.idle is "2d"; expected a duration with its unit from 0s to 1d, such as "30s", "500ms" or "5m"',
  ]);
});

test('a layer is a folder or an archive, of the function or of all', () => {
  const text = (layers: string): string =>
    `project: p\ndefaults: {layers: [functions]}\nfunctions: {f: {source: functions/hello.ts, layers: ${layers}}}\n`;
  assert.deepEqual(parse(text('[./functions/]')).functions[0]!.layers, ['functions']);
  assert.deepEqual(problems(text('[functions/hello.ts, gone, ../x]')), [
    '3:54: functions.f.layers[0] is "functions/hello.ts": a layer is a folder or a .zip',
    '3:74: functions.f.layers[1] is "gone": there is no such folder or .zip',
    '3:80: functions.f.layers[2] is "../x"; expected a folder or a .zip inside the folder of the manifest',
  ]);
});

test('a program that would start the runtime of Lambda is refused where it stands', () => {
  const wrapper = 'env: {AWS_LAMBDA_EXEC_WRAPPER: /opt/otel}';
  const text = (defaults: string, own: string): string =>
    `project: p\ndefaults: {${defaults}}\nfunctions: {f: {source: functions/hello.ts, ${own}}, g: {source: functions/hello.ts, form: lambda}}\n`;
  const [own, ...more] = problems(text('memory: 64 MiB', `form: lambda, ${wrapper}`));
  assert.match(own!, /^3:\d+: functions\.f\.env\.AWS_LAMBDA_EXEC_WRAPPER is "\/opt\/otel": no program is started before/);
  assert.deepEqual(more, []);
  const [common, ...others] = problems(text(wrapper, 'form: lambda'));
  assert.match(common!, /^2:\d+: defaults\.env\.AWS_LAMBDA_EXEC_WRAPPER is/);
  assert.deepEqual(others, []);
  assert.equal(parse(text('memory: 64 MiB', wrapper)).functions.length, 2);
});

test('mistakes in the YAML itself have their place too', () => {
  assert.deepEqual(problems('project: a\n\tb: c\n'), ['2:1: a tab is not allowed for indentation in YAML; use spaces']);
  assert.deepEqual(problems('project: a\nproject: b\n'), ['2:1: this key is there twice; keys of one mapping must differ']);
  assert.deepEqual(problems('functions: !!js/function "x"\n'), ['1:12: unresolved tag: tag:yaml.org,2002:js/function']);
  assert.deepEqual(problems('a: *c\n'), [
    '1:1: the aliases cannot be resolved: Unresolved alias (the anchor must be set before the alias): c',
  ]);
  assert.equal(problems('- a\n')[0], '1:1: the manifest is a list; expected a mapping with `project` and `functions`');
  assert.equal(problems('').length, 2);
});

test('aliases that multiply without end are refused', () => {
  const levels = Array.from(
    { length: 12 },
    (_, level) =>
      `l${level}: &l${level} [${
        level === 0
          ? 'x'
          : Array(9)
              .fill(`*l${level - 1}`)
              .join(', ')
      }]`,
  );
  assert.match(problems(`${levels.join('\n')}\n`)[0]!, /1:1: the aliases cannot be resolved: Excessive alias count/);
});

test('keys that would reach into objects are refused', () => {
  assert.match(
    problems('project: p\nfunctions: {f: {source: functions/hello.ts, env: {__proto__: x}}}\n').join(),
    /'__proto__' cannot be a key/,
  );
  assert.match(problems('project: p\nfunctions: {}\n__proto__: {a: 1}\n').join(), /'__proto__' cannot be a key/);
  assert.equal(({} as Record<string, unknown>)['a'], undefined);
});

test('a default runtime is for folders and archives of any language, and for files of its own', () => {
  const runtimes = (runtime: string): string[] =>
    parse(
      `project: p\ndefaults: {runtime: ${runtime}, form: lambda}\nfunctions: {a: {source: functions, handler: stats.handler}, b: {source: functions/hello.ts}, c: {source: functions/stats.py}}\n`,
    ).functions.map(({ settings }) => settings.runtime);
  assert.deepEqual(runtimes('python3'), ['python3', 'nodejs26', 'python3']);
  assert.deepEqual(runtimes('nodejs24'), ['nodejs24', 'nodejs24', 'python3']);
});

test('routes are checked as the server checks them', () => {
  const one = (route: string): string =>
    problems(`project: p\nfunctions: {f: {source: functions/hello.ts, http: [${JSON.stringify(route)}]}}\n`).join();
  for (const route of ['/', '/a', '/a/{id}', '/a/{rest+}', '/%20x', 'GET /a', 'GET,POST /a']) assert.equal(one(route), '', route);
  for (const route of [
    '',
    'a',
    '/a/',
    '/a//b',
    '/a b c',
    '/{a}/{a}',
    '/{a+}/b',
    '/x{a}',
    '/{1}',
    '/a?b',
    '/%zz',
    '/..',
    '/*',
    'GET',
    'GET,GET /',
    '/a%2Fb',
  ]) {
    assert.notEqual(one(route), '', route);
  }
});

test('a GET route takes HEAD too, and a route for every method yields to one that names the method', () => {
  const two = (a: string, b: string): string =>
    problems(
      `project: p\nfunctions: {f: {source: functions/hello.ts, http: ['${a}']}, g: {source: functions/hello.ts, http: ['${b}']}}\n`,
    ).join();
  assert.match(two('GET /a', 'HEAD /a'), /already taken by 'f'/);
  assert.match(two('/a/{x}', '/a/{y}'), /already taken by 'f'/);
  assert.equal(two('/a', 'GET /a'), '');
});

test('the excerpt underlines the value', () => {
  try {
    parse('project: p\nfunctions:\n  f: {source: functions/hello.ts, pids: 3}\n');
    assert.fail();
  } catch (error) {
    const [problem] = ((error as VirgaError).detail as ManifestProblems).problems;
    assert.deepEqual(problem!.excerpt, ['3 |   f: {source: functions/hello.ts, pids: 3}', '  |                                         ^']);
  }
});

test('a folder without a manifest, and one with another extension, get a remedy', () => {
  assert.throws(() => readManifest(folder), /there is no virga.yaml in .*; `virga init` makes one/);
  writeFileSync(join(folder, 'virga.yml'), '');
  assert.throws(() => readManifest(folder), /rename virga.yml/);
  rmSync(join(folder, 'virga.yml'));
});

test('a command finds the project of the manifest above it', async () => {
  writeFileSync(join(folder, 'virga.yaml'), 'project: near\nfunctions: {broken');
  assert.equal(await projectNear(join(folder, 'functions')), 'near');
  rmSync(join(folder, 'virga.yaml'));
});

test('the published JSON Schema is current (bin/virga reference schema > docs/reference/virga.schema.json)', () => {
  const published = JSON.parse(readFileSync(new URL('../../../docs/reference/virga.schema.json', import.meta.url), 'utf8')) as unknown;
  assert.deepEqual(published, manifestJsonSchema());
});

test('the published reference is current (bin/virga reference manifest > docs/reference/manifest.md)', () => {
  assert.equal(readFileSync(new URL('../../../docs/reference/manifest.md', import.meta.url), 'utf8'), manifestReference());
});
