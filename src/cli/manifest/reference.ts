// docs/reference/manifest.md, made from the schema, so that it names every key with its bounds and its default.
// `virga reference manifest` prints it; a test holds the file to it.
import { conditionsExample } from '../../protocol/policies/conditions.ts';
import { plansExample } from '../../protocol/policies/plans.ts';
import { POLICY_EXAMPLES, POLICY_KEYS } from '../../protocol/policies/policy.ts';
import { trafficExample } from '../../protocol/policies/traffic.ts';
import { TARGET_EXAMPLES, TARGET_KEYS } from '../../protocol/policies/targets.ts';
import { eventSections } from './event-reference.ts';
import { keys, objectOf } from './reference-tables.ts';
import type { Schema } from './reference-tables.ts';
import { manifestJsonSchema } from './schema.ts';

export function manifestReference(): string {
  const root = manifestJsonSchema() as Schema;
  const fn = root.properties!['functions']!.additionalProperties as Schema;
  const route = (fn.properties!['http']!.anyOf!.find((one) => one.type === 'array')!.items!.anyOf ?? []).find(
    (one) => one.type === 'object',
  )!;
  return [
    INTRODUCTION,
    '## The whole\n',
    keys(root),
    '## A function\n',
    keys(fn),
    '## Versions of a function\n',
    `${trafficExample}\n`,
    '`live`:\n',
    keys(fn.properties!['live']!),
    '`canary` of `live`:\n',
    keys(fn.properties!['live']!.properties!['canary']!),
    '`shadow`:\n',
    keys(fn.properties!['shadow']!),
    '## A window of instances\n',
    'A time when more than `instances.min` are kept ready, e.g. five from 8 to 18 on working days:\n',
    '    instances: {min: 2, max: 20, windows: [{cron: "0 8 * * 1-5", for: 10h, min: 5, timezone: Europe/Madrid}]}\n',
    keys(fn.properties!['instances']!.properties!['windows']!.items!),
    '## A route\n',
    'In short form a text: a path, or methods and a path. In long form:\n',
    keys(route),
    '## Conditions of a route\n',
    `${conditionsExample}\n`,
    ...policies(route),
    ...authenticators(root.properties!['gateway']!.properties!['auth']!.additionalProperties as Schema),
    '## The gateway\n',
    'What holds for the whole project, here one that has a domain of its own, over HTTPS alone:\n',
    GATEWAY,
    keys(root.properties!['gateway']!),
    '## A route without a function\n',
    'In `gateway.routes`: what a route of a function has, and one target:\n',
    ...targets(root.properties!['gateway']!.properties!['routes']!.items!),
    ...eventSections(root, fn),
    '## A usage plan\n',
    `${plansExample}\n`,
    keys(objectOf(planOf(root))!),
    BUILDS,
  ].join('\n');
}

/** A section for each rule of the gateway that has keys of its own. */
function policies(route: Schema): string[] {
  return POLICY_KEYS.flatMap((name) => {
    const rules = objectOf(route.properties![name]!);
    return rules === undefined ? [] : [`## \`${name}\` of a route\n`, `${POLICY_EXAMPLES[name]}\n`, keys(rules)];
  });
}

function planOf(root: Schema): Schema {
  return root.properties!['gateway']!.properties!['plans']!.additionalProperties as Schema;
}

function targets(route: Schema): string[] {
  const own = Object.fromEntries(TARGET_KEYS.map((name) => [name, route.properties![name]!]));
  return [
    keys({ properties: own }),
    ...TARGET_KEYS.flatMap((name) => [`## \`${name}\` of a route\n`, `${TARGET_EXAMPLES[name]}\n`, keys(objectOf(own[name]!)!)]),
  ];
}

/** A section for each way to find out who calls. */
function authenticators(one: Schema): string[] {
  return Object.entries(one.properties ?? {}).flatMap(([way, schema]) => [
    `## \`${way}\` of an authenticator\n`,
    `${schema.description}\n`,
    keys(schema),
  ]);
}

const INTRODUCTION = `# virga.yaml

Made by \`virga reference manifest\`; do not edit. The JSON Schema is [virga.schema.json](virga.schema.json); with this
first line editors complete and check the file:

    # yaml-language-server: $schema=<path to>/docs/reference/virga.schema.json

A manifest declares a whole project. \`virga deploy\` makes it what is served, whole or not at all: what it does not name
is removed. Mistakes are all reported at once, each with its line and column.

    project: tour
    defaults:
      timeout: 10s
    functions:
      hello:
        source: functions/hello.ts
        http: GET /
      notes:
        source: functions/notes.ts
        instances: {max: 1}
        http:
          - GET /notes
          - path: /notes/{id}
            methods: [GET, PUT, DELETE]

Sizes are written \`256 MiB\`, \`1 GiB\` or, in MiB, \`256\`; durations \`500ms\`, \`30s\`, \`5m\`, \`1h\`.
`;

const GATEWAY = `    gateway:
      domains: [shop.example.com, "*.shop.example.com"]
      https: redirect
      hsts: {maxAge: 365d, includeSubdomains: true}
      defaults:
        cors: {origins: [https://app.example.com]}
`;

const BUILDS = `## How functions are built

Builds happen where \`virga deploy\` runs; the server only receives artifacts, named by the sha256 of their bytes.

**JavaScript and TypeScript** become one bundle, \`index.mjs\`, with its source map, so that a stack trace names your file
and line. A source in CommonJS (\`exports.handler = …\`) becomes \`index.cjs\`. \`paths\` of tsconfig.json, JSON imports,
text imports (.txt, .html, .sql, .md) and dynamic imports work. \`__dirname\` and \`import.meta.dirname\` mean the
place of the module in the project, where files of \`include\` are found.

Packages with native code, and packages that read files of their own, are not bundled but carried under \`node_modules/\`
with all that they depend on, exactly as installed. They are found by themselves; \`external\` adds others. Native packages
must be installed for Linux (\`npm install --os=linux --cpu=x64 --libc=glibc NAME\` elsewhere).

**Python** carries the folder of its source, without virtual environments, caches, \`.env\` files, TypeScript and the sources
of other functions. The packages of \`requirements.txt\` (beside the source, or above it up to the manifest) are installed
with pip, for the system's Python, and cached by the content of the file; \`virga deploy --fresh\` installs them again.

Artifacts are at most 256 MiB, 1 GiB unpacked and 50,000 files, or what the server allows if that is less.
`;
