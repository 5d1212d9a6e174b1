// Event sources of functions at AWS as triggers, from a section in the words of SAM or of the Serverless Framework: the two say the same
// with other keys. Invariant: what has a counterpart is carried over whole, with its source declared; the rest is told key by key.
// Used by cloudformation/events.ts and serverless/events.ts.
import { filterOf, plainOf } from './aws-sources.ts';
import { inside, OWN_CLIENTS, remedyForSource, secondsText, sourceKey } from './event-sources.ts';
import type { EventSources, Rules } from './event-sources.ts';
import { awsTime } from './foreign-cron.ts';
import type { ImportedFunction } from './project.ts';
import { isSecretName, isSecretValue } from './secrets.ts';
import type { Section } from './section.ts';
import type { Place, Tree } from './tree.ts';
import { textOf } from './tree.ts';

export interface TriggerTarget {
  fn: Pick<ImportedFunction, 'name' | 'triggers'>;
  sources: EventSources;
}

/** Where an event stands, and what the report calls it. */
export interface Named {
  at: Place;
  what: string;
}

type Words = Record<'batch' | 'window' | 'position' | 'attempts' | 'concurrency' | 'policy' | 'scope' | 'enabled', string>;
export const SAM_WORDS: Words = {
  batch: 'BatchSize',
  window: 'MaximumBatchingWindowInSeconds',
  position: 'StartingPosition',
  attempts: 'MaximumRetryAttempts',
  concurrency: 'ScalingConfig',
  policy: 'FilterPolicy',
  scope: 'FilterPolicyScope',
  enabled: 'Enabled',
};
export const SERVERLESS_WORDS: Words = {
  batch: 'batchSize',
  window: 'maximumBatchingWindow',
  position: 'startingPosition',
  attempts: 'maximumRetryAttempts',
  concurrency: 'maximumConcurrency',
  policy: 'filterPolicy',
  scope: 'filterPolicyScope',
  enabled: 'enabled',
};

/** Adds a trigger, unless the function has one of this source. */
function add({ fn }: TriggerTarget, trigger: Rules): boolean {
  const triggers = (fn.triggers ??= []);
  const same = (['queue', 'topic', 'stream', 'schedule'] as const).some(
    (kind) => trigger[kind] !== undefined && triggers.some((one) => one[kind] === trigger[kind]),
  );
  if (!same) triggers.push(trigger);
  return !same;
}

function tell(section: Section | undefined, target: TriggerTarget, named: Named, how: string | undefined): void {
  const report = section?.reading.report;
  if (how === undefined) report?.carried(named.at, target.fn.name, named.what);
  else report?.changed(named.at, target.fn.name, named.what, how);
}

/** `partial responses` are always understood. */
const RESPONSES = ['FunctionResponseTypes', 'functionResponseType', 'SqsManagedSse', 'arn', 'type', 'Queue', 'Stream', 'Topic'];

export function queueTrigger(from: Tree | undefined, section: Section, target: TriggerTarget, named: Named, words: Words): void {
  const key = sourceKey(from);
  const { report } = section.reading;
  section.ignore(...RESPONSES);
  if (key === undefined) return report.left(named.at, target.fn.name, named.what, remedyForSource('queue'));
  const queue = target.sources.declare('queue', key);
  const trigger: Rules = { queue };
  const batch = section.number(words.batch);
  if (batch !== undefined) trigger['batch'] = inside(batch.value, 1, 10_000);
  const wait = section.number(words.window);
  if (wait !== undefined && wait.value > 0) trigger['wait'] = secondsText(inside(wait.value, 0, 300));
  const concurrency = section.section(words.concurrency)?.number('MaximumConcurrency') ?? section.number(words.concurrency);
  if (concurrency !== undefined) trigger['concurrency'] = inside(concurrency.value, 1, 1_000);
  section.ignore(words.enabled);
  section.leave({ FilterCriteria: 'write it as `filter` of the trigger', filterPatterns: 'write it as `filter` of the trigger' });
  section.finish();
  add(target, trigger);
  tell(section, target, named, `takes the queue ${queue}; ${OWN_CLIENTS.queue}`);
}

export function topicTrigger(from: Tree | undefined, section: Section, target: TriggerTarget, named: Named, words: Words): void {
  const key = sourceKey(from);
  const { report } = section.reading;
  section.ignore(...RESPONSES, 'topicName', 'displayName', 'Region');
  if (key === undefined) return report.left(named.at, target.fn.name, named.what, remedyForSource('topic'));
  const topic = target.sources.declare('topic', key);
  const filter = filterOf(section, words);
  section.leave({ SqsSubscription: 'subscribe a queue to the topic, and give the function a trigger of that' });
  section.leave({
    redrivePolicy: 'name a queue in `deadLetters` of the trigger',
    RedrivePolicy: 'name a queue in `deadLetters` of the trigger',
  });
  section.finish();
  add(target, { topic, ...(filter === undefined ? {} : { filter }) });
  tell(section, target, named, `takes the topic ${topic}; ${OWN_CLIENTS.topic}`);
}

export function streamTrigger(from: Tree | undefined, section: Section, target: TriggerTarget, named: Named, words: Words): void {
  const key = sourceKey(from);
  const { report } = section.reading;
  section.ignore(...RESPONSES);
  if (key === undefined) return report.left(named.at, target.fn.name, named.what, remedyForSource('stream'));
  const stream = target.sources.declare('stream', key);
  const trigger: Rules = { stream };
  const batch = section.number(words.batch);
  if (batch !== undefined) trigger['batch'] = inside(batch.value, 1, 10_000);
  const wait = section.number(words.window) ?? section.number('batchWindow');
  if (wait !== undefined && wait.value > 0) trigger['wait'] = secondsText(inside(wait.value, 0, 300));
  const position = section.text(words.position);
  if (position?.value.toUpperCase() === 'TRIM_HORIZON') trigger['from'] = 'oldest';
  else if (position !== undefined && position.value.toUpperCase() !== 'LATEST')
    section.left(words.position, 'it begins with what comes next');
  const attempts = section.number(words.attempts);
  if (attempts !== undefined && attempts.value >= 0) trigger['retry'] = { attempts: inside(attempts.value + 1, 1, 1_000) };
  // What AWS does unless it is told otherwise.
  else trigger['onFailure'] = 'block';
  section.ignore(words.enabled);
  section.leave({
    TumblingWindowInSeconds: 'write it as `window` of the trigger; the function gives the state back as `state`',
    tumblingWindowInSeconds: 'write it as `window` of the trigger; the function gives the state back as `state`',
    ParallelizationFactor: 'partitions are read beside each other; the stream may have more of them',
    parallelizationFactor: 'partitions are read beside each other; the stream may have more of them',
    BisectBatchOnFunctionError: 'nothing to do: a batch that failed goes on from the record that the function names',
    bisectBatchOnFunctionError: 'nothing to do: a batch that failed goes on from the record that the function names',
  });
  section.finish();
  add(target, trigger);
  tell(section, target, named, `takes the stream ${stream}; ${OWN_CLIENTS.stream}`);
}

export interface ScheduleWords {
  /** Of the time zone, the input, and whether it is switched on. */
  timezone: string;
  input: string;
  enabled: string;
}

/** `expressions`: each is a schedule of its own. `section`: what is said beside them. */
export function scheduleTriggers(
  expressions: readonly string[],
  section: Section | undefined,
  target: TriggerTarget,
  named: Named,
  words: ScheduleWords,
): void {
  const timezone = section?.text(words.timezone)?.value;
  const off = /^(?:false|disabled)$/i.test(section?.text(words.enabled)?.value ?? section?.text('State')?.value ?? '');
  const input = section === undefined ? undefined : inputOf(section, words.input);
  section?.ignore('name', 'description', 'Name', 'Description', 'method', 'Schedule', 'ScheduleExpression', 'rate', 'RoleArn');
  for (const expression of expressions) {
    const found = awsTime(expression, timezone);
    const report = section?.reading.report;
    if ('why' in found) {
      report?.left(named.at, target.fn.name, named.what, `${found.why}: declare it under \`schedules\` by hand`);
      continue;
    }
    const count = (target.fn.triggers ?? []).filter((one) => one['schedule'] !== undefined).length;
    const key = `${target.fn.name.slice(0, 34)}${count === 0 ? '' : `-${count + 1}`}`;
    const schedule = target.sources.declare('schedule', key, { ...found.schedule, ...(off ? { paused: true } : {}) });
    add(target, { schedule, ...(input === undefined ? {} : { input }) });
    tell(section, target, named, undefined);
  }
  section?.finish();
}

function inputOf(section: Section, key: string): unknown {
  const tree = section.take(key);
  if (tree === undefined) return undefined;
  const plain = plainOf(tree, section);
  const text = typeof plain === 'string' ? plain : JSON.stringify(plain);
  if (text === undefined || isSecretValue(text)) {
    section.left(key, 'it is not carried over: give the trigger its `input` by hand');
    return undefined;
  }
  try {
    const parsed = JSON.parse(text) as unknown;
    return holdsSecret(parsed) ? leave() : parsed;
  } catch {
    return plain;
  }

  function leave(): undefined {
    section.left(key, 'it may hold a secret, and is not copied: give the trigger its `input` by hand');
  }
}

/** A text of JSON has names and values of its own. */
function holdsSecret(value: unknown): boolean {
  if (typeof value === 'string') return isSecretValue(value);
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(value).some(([name, one]) => isSecretName(name) || holdsSecret(one));
}

/** A rule of EventBridge with a pattern, for events of the project's own. */
export function busTrigger(pattern: Tree | undefined, section: Section, target: TriggerTarget, named: Named): void {
  const { report } = section.reading;
  const plain = plainOf(pattern, section) as Rules | undefined;
  section.ignore('Pattern', 'pattern', 'EventBusName', 'eventBus', 'RuleName', 'State', 'Target');
  if (typeof plain !== 'object')
    return report.left(named.at, target.fn.name, named.what, 'its pattern cannot be known; give the function an `event` trigger by hand');
  const { source, 'detail-type': type, detail, ...others } = plain;
  if (Array.isArray(source) && source.every((one) => typeof one === 'string' && one.startsWith('aws.')))
    return report.left(named.at, target.fn.name, named.what, remedyForSource('bus'));
  const event = {
    ...(type === undefined ? {} : { type }),
    ...(source === undefined ? {} : { source }),
    ...(detail === undefined ? {} : { data: detail }),
  };
  if (Object.keys(event).length === 0) return report.left(named.at, target.fn.name, named.what, remedyForSource('bus'));
  add(target, { event });
  section.leave({
    Input: 'the function gets the event itself',
    InputPath: 'the function gets the event itself',
    input: 'the function gets the event itself',
  });
  section.leave({ RetryPolicy: 'write it as `retry` of the trigger', DeadLetterConfig: 'name a queue in `deadLetters` of the trigger' });
  section.finish();
  const gone = Object.keys(others).length === 0 ? '' : `, without ${Object.keys(others).join(', ')}`;
  tell(
    section,
    target,
    named,
    `takes events that are published to the project: \`type\` is what detail-type was, \`data\` the detail${gone}`,
  );
}

export function textsOf(tree: Tree | undefined, section: Section): string[] {
  const trees = tree?.kind === 'list' ? tree.items.map((item) => section.reading.resolve(item)) : [tree];
  return trees.flatMap((one) => textOf(one) ?? []);
}
