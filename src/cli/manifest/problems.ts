// Turns the issues of zod into problems of virga.yaml: place, offending value, what is expected, and the word that was
// probably meant. Invariant: one problem for one mistake (of a union only the branch that the author meant is reported).
// Used by manifest.ts.
import type { z } from 'zod';
import { suggestion } from '../suggest.ts';
import type { ManifestDocument, Path, Problem } from './document.ts';
import { keysAt } from './schema.ts';

type Issue = z.ZodError['issues'][number];

/** What people call our keys elsewhere, without what divides the words of a name. */
const SYNONYMS: Record<string, string | readonly string[]> = {
  memorysize: 'memory',
  ram: 'memory',
  entry: 'source',
  entrypoint: 'source',
  file: 'source',
  main: 'source',
  code: 'source',
  environment: 'env',
  variables: 'env',
  routes: 'http',
  route: 'http',
  events: ['triggers', 'http'],
  url: 'path',
  uri: 'path',
  method: 'methods',
  name: 'project',
  service: 'project',
  app: 'project',
  lambdas: 'functions',
  services: 'functions',
  cpu: 'cpus',
  ephemeralstorage: 'tmp',
  scaling: 'instances',
  replicas: 'instances',
  minimum: 'min',
  maximum: 'max',
  files: 'include',
  assets: 'include',
  maxconcurrency: 'concurrency',
  network: 'egress',
  outbound: 'egress',
  on: ['triggers', 'http'],
  sources: 'triggers',
  subscribe: 'triggers',
  subscribers: 'subscriptions',
  queues: 'triggers',
  topics: 'triggers',
  schedule: ['schedules', 'triggers'],
  schedules: 'triggers',
  cron: ['schedule', 'triggers'],
  crons: ['schedules', 'triggers'],
  rate: 'schedule',
  timer: 'schedule',
  timers: 'schedules',
  tz: 'timezone',
  expression: 'cron',
  every: 'rate',
  sqs: 'queue',
  sns: 'topic',
  kinesis: 'stream',
  pattern: ['event', 'filter'],
  eventpattern: ['event', 'filter'],
  filters: 'filter',
  filterpolicy: 'filter',
  filterpatterns: 'filter',
  batchsize: 'batch',
  maxbatchsize: 'batch',
  maximumbatchingwindow: 'wait',
  maxbatchingwindow: 'wait',
  maxbatchtimeout: 'wait',
  visibilitytimeout: 'visibility',
  delayseconds: 'delay',
  deliverydelay: 'delay',
  messageretentionperiod: 'retention',
  keep: 'retention',
  ttl: ['retention', 'maxAge'],
  dlq: 'deadLetters',
  deadletter: 'deadLetters',
  deadletterqueue: 'deadLetters',
  redrivepolicy: ['deadLetters', 'retry'],
  retries: ['attempts', 'retry'],
  maxretries: ['attempts', 'retry'],
  maxattempts: ['attempts', 'retry'],
  maxreceivecount: ['attempts', 'retry'],
  backoff: ['delay', 'retry'],
  shards: 'partitions',
  startingposition: 'from',
  startat: 'from',
  tumblingwindow: 'window',
  endpoint: 'url',
  webhook: 'url',
};

export function problemsOfIssues(issues: readonly Issue[], document: ManifestDocument, root: unknown, base: Path = []): Problem[] {
  const explained = new Set(issues.filter(isMisspelt).map(({ path }) => pathText([...base, ...path])));
  return issues
    .filter((issue) => !(isRule(issue) && explained.has(pathText([...base, ...issue.path]))))
    .flatMap((issue) => problemsOfIssue(issue, document, root, base));

  /** Keys that are not known and have one that is meant: what the mapping lacks because of them is no mistake of its own. */
  function isMisspelt(issue: Issue): boolean {
    return issue.code === 'unrecognized_keys' && issue.keys.every((key) => unknownKey(key, [...base, ...issue.path]).endsWith('?'));
  }
}

function problemsOfIssue(issue: Issue, document: ManifestDocument, root: unknown, base: Path): Problem[] {
  const path = [...base, ...issue.path];
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ ...document.placeOfKey([...path, key]), message: unknownKey(key, path) }));
  }
  if (issue.code === 'invalid_key') {
    const key = String(path.at(-1));
    const inner = issue.issues[0]?.message ?? 'another name';
    return [
      { ...document.placeOfKey(path), message: `${pathText(path.slice(0, -1))}: ${JSON.stringify(key)} is not valid; expected ${inner}` },
    ];
  }
  if (issue.code === 'invalid_union') {
    // A mapping is not meant to be a word of a form that takes a few words.
    const other = typeof valueAt(root, path) === 'object' ? ['invalid_type', 'invalid_value'] : ['invalid_type'];
    const branches = issue.errors.filter((branch) => !branch.some((inner) => inner.path.length === 0 && other.includes(inner.code)));
    const meant = branches.length === 1 ? branches[0]! : [];
    // A leaf of several forms (a size) is described by the union; a form with keys, or a rule, of its own by its branch.
    const telling = meant.filter(
      (inner) => inner.path.length > 0 || inner.code === 'unrecognized_keys' || inner.code === 'invalid_union' || isRule(inner),
    );
    if (telling.length > 0) return problemsOfIssues(telling, document, root, path);
  }
  const value = valueAt(root, path);
  if (value === undefined) {
    const owner = path.slice(0, -1);
    const place = owner.length === 0 ? document.placeOfValue([]) : document.placeOfKey(owner);
    return [{ ...place, message: `${pathText(owner)} lacks '${String(path.at(-1))}'; expected ${issue.message}` }];
  }
  const text = shown(value, document.writtenAt(path));
  const subject = path.length === 0 ? `the manifest is ${text}` : `${pathText(path)} is ${text}`;
  const near = issue.code === 'invalid_value' && typeof value === 'string' ? suggestion(value, issue.values.map(String)) : '';
  return [
    {
      ...document.placeOfValue(path),
      message: isRule(issue) ? `${subject}: ${issue.message}` : `${subject}; expected ${issue.message}${near}`,
    },
  ];
}

/** An issue whose message is a sentence of its own. */
function isRule(issue: Issue): boolean {
  return issue.code === 'custom' && issue.params?.['rule'] === true;
}

function unknownKey(key: string, path: Path): string {
  const known = keysAt(path).filter((name) => name !== '$schema');
  const synonyms = [SYNONYMS[key.toLowerCase().replaceAll(/[_-]/g, '')] ?? []].flat().filter((word) => known.includes(word));
  const hint = synonyms.length > 0 ? `; did you mean '${synonyms.join("' or '")}'?` : suggestion(key, known);
  const listed = hint === '' && known.length > 0 ? `; expected one of ${known.join(', ')}` : hint;
  return path.length === 0 ? `there is no key '${key}'${listed}` : `${pathText(path)} has no key '${key}'${listed}`;
}

/** `functions.hello.http[0].path`. */
export function pathText(path: Path): string {
  if (path.length === 0) return 'the manifest';
  return path.map((part, index) => (typeof part === 'number' ? `[${part}]` : index === 0 ? String(part) : `.${String(part)}`)).join('');
}

function shown(value: unknown, written: string | undefined): string {
  if (value === null) return 'empty';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping';
  const text = typeof value === 'string' ? JSON.stringify(value) : (written ?? JSON.stringify(value));
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}

function valueAt(root: unknown, path: Path): unknown {
  let value = root;
  for (const part of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Record<PropertyKey, unknown>)[part];
  }
  return value;
}
