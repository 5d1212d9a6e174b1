// Queues, topics, streams and rules that CloudFormation declares, as sources of Virga: for templates, and for `resources` of serverless.yml.
// Invariant: a resource that becomes one is told as carried over, or as changed where it means something else here.
// Used by cloudformation/template.ts and serverless/serverless.ts.
import type { Resource } from './cloudformation/resources.ts';
import { inside, OWN_CLIENTS, secondsText, sourceKey } from './event-sources.ts';
import type { EventSources, Rules } from './event-sources.ts';
import { isSecretName, isSecretValue } from './secrets.ts';
import { Section } from './section.ts';
import { entryOf, textOf } from './tree.ts';

const DAY_S = 86_400;
const AWS_DEFAULT_RETENTION_S = 4 * DAY_S;
const NOT_NEEDED = 'nothing to do: it is about how AWS keeps it';

/** Ids of the resources that were understood. */
export function readSourceResources(resources: Iterable<Resource>, root: Section, sources: EventSources): Set<string> {
  const understood = new Set<string>();
  const all = [...resources];
  const read = (type: string, reader: (resource: Resource, properties: Section) => boolean): void => {
    for (const resource of all.filter((one) => one.type === type))
      if (reader(resource, propertiesOf(resource, root))) understood.add(resource.id);
  };
  read('AWS::SQS::Queue', (resource, properties) => readQueue(resource, properties, sources));
  read('AWS::SNS::Topic', (resource, properties) => readTopic(resource, properties, sources));
  read('AWS::Kinesis::Stream', (resource, properties) => readStream(resource, properties, sources));
  read('AWS::SNS::Subscription', (resource, properties) => readSubscription(resource, properties, sources));
  return understood;
}

function propertiesOf(resource: Resource, root: Section): Section {
  const properties = entryOf(resource.mapping, 'Properties');
  const mapping = properties?.kind === 'mapping' ? properties : { kind: 'mapping' as const, at: resource.at, entries: new Map() };
  return new Section(mapping, { ...root.reading, subject: '', path: `${resource.id}.Properties` });
}

function readQueue({ id, at }: Resource, properties: Section, sources: EventSources): boolean {
  const { report } = properties.reading;
  const rules: Rules = {};
  const seconds = (key: string, min: number, max: number): string | undefined => {
    const found = properties.number(key);
    return found === undefined ? undefined : secondsText(inside(found.value, min, max));
  };
  if (properties.boolean('FifoQueue')?.value === true) rules['fifo'] = true;
  const visibility = seconds('VisibilityTimeout', 1, 43_200);
  if (visibility !== undefined) rules['visibility'] = visibility;
  const delay = seconds('DelaySeconds', 0, 900);
  if (delay !== undefined && delay !== '0s') rules['delay'] = delay;
  rules['retention'] = seconds('MessageRetentionPeriod', 60, 14 * DAY_S) ?? secondsText(AWS_DEFAULT_RETENTION_S);
  const redrive = properties.section('RedrivePolicy');
  const dead = sourceKey(redrive?.take('deadLetterTargetArn'));
  if (dead !== undefined && dead !== id) rules['deadLetters'] = sources.declare('queue', dead);
  const receives = redrive?.number('maxReceiveCount');
  if (receives !== undefined) rules['retry'] = { attempts: inside(receives.value, 1, 1_000) };
  redrive?.finish();
  if (properties.boolean('ContentBasedDeduplication')?.value === true)
    properties.left('ContentBasedDeduplication', 'give each message a `deduplicationId` where it is sent');
  const name = sources.declare('queue', id, rules);
  const other = textOf(properties.take('QueueName'));
  if (other !== undefined) sources.alias('queue', id, other);
  properties.ignore('Tags', 'RedriveAllowPolicy', 'ReceiveMessageWaitTimeSeconds', 'MaximumMessageSize');
  properties.leave({ KmsMasterKeyId: NOT_NEEDED, SqsManagedSseEnabled: NOT_NEEDED, KmsDataKeyReusePeriodSeconds: NOT_NEEDED });
  properties.leave({ DeduplicationScope: NOT_NEEDED, FifoThroughputLimit: NOT_NEEDED });
  properties.finish();
  report.changed(at, '', `queue ${other ?? id}`, `is the queue ${name}; ${OWN_CLIENTS.queue}`);
  return true;
}

function readTopic({ id, at }: Resource, properties: Section, sources: EventSources): boolean {
  const { report } = properties.reading;
  const name = sources.declare('topic', id);
  const other = textOf(properties.take('TopicName'));
  if (other !== undefined) sources.alias('topic', id, other);
  for (const item of properties.list('Subscription')) {
    if (item.kind !== 'mapping') continue;
    const one = new Section(item, { ...properties.reading, path: `${properties.reading.path}.Subscription` });
    subscribe(id, one, sources);
    one.finish();
  }
  if (properties.boolean('ContentBasedDeduplication')?.value === true)
    properties.left('ContentBasedDeduplication', 'give each message a `deduplicationId` where it is published');
  properties.ignore('TopicName', 'DisplayName', 'Tags', 'FifoTopic');
  properties.leave({ KmsMasterKeyId: NOT_NEEDED });
  properties.finish();
  report.changed(at, '', `topic ${id}`, `is the topic ${name}; ${OWN_CLIENTS.topic}`);
  return true;
}

function readSubscription({ at, id }: Resource, properties: Section, sources: EventSources): boolean {
  const topic = sourceKey(properties.take('TopicArn'));
  if (topic === undefined || textOf(properties.take('Protocol')) === 'lambda') return false;
  if (!subscribe(topic, properties, sources)) return false;
  properties.ignore('Region');
  properties.finish();
  properties.reading.report.carried(at, '', `subscription ${id}`);
  return true;
}

/** A queue, or a webhook whose URL is known. */
function subscribe(topic: string, one: Section, sources: EventSources): boolean {
  const protocol = one.text('Protocol')?.value;
  const endpoint = one.take('Endpoint');
  const filter = filterOf(one);
  const to: Rules = {};
  const queue = sourceKey(endpoint);
  if (protocol === 'sqs' && queue !== undefined) to['queue'] = sources.declare('queue', queue);
  else {
    const why =
      protocol === 'https' || protocol === 'http'
        ? 'write it as `{url: …, secret: …}`, with a secret that it is signed with'
        : 'Virga sends to functions, queues and webhooks alone';
    one.left('Protocol', why);
    one.ignore('RawMessageDelivery', 'RedrivePolicy', 'DeliveryPolicy');
    return false;
  }
  if (filter !== undefined) to['filter'] = filter;
  if (one.boolean('RawMessageDelivery')?.value === true) one.changed('RawMessageDelivery', 'is not needed: queues get the message itself');
  else
    one.changed(
      'Protocol',
      'gives the queue the message itself, as RawMessageDelivery would: its `body` is no JSON of SNS with a `Message` within',
    );
  one.ignore('RedrivePolicy', 'DeliveryPolicy');
  const rules = sources.rulesOf('topic', topic) ?? {};
  sources.declare('topic', topic, { subscriptions: [...((rules['subscriptions'] as Rules[] | undefined) ?? []), to] });
  return true;
}

/** `FilterPolicy` of a subscription, as a pattern of Virga. */
export function filterOf(
  section: Section,
  keys: { policy: string; scope: string } = { policy: 'FilterPolicy', scope: 'FilterPolicyScope' },
): Rules | undefined {
  const scope = section.text(keys.scope)?.value;
  const policy = section.take(keys.policy);
  if (policy === undefined) return undefined;
  const pattern = plainOf(policy, section);
  if (typeof pattern !== 'object' || pattern === null) {
    section.left(keys.policy, 'parts of it cannot be known; write it as `filter` by hand');
    return undefined;
  }
  section.changed(keys.policy, 'is `filter` of the trigger or subscription');
  return scope === 'MessageBody' ? { body: pattern } : { attributes: pattern };
}

/** A tree as a plain value; undefined where a part of it cannot be known, or may be secret by its name or its look. */
export function plainOf(tree: Parameters<typeof textOf>[0], section: Section): unknown {
  if (tree === undefined) return undefined;
  const known = section.reading.resolve(tree);
  if (known.kind === 'scalar') return typeof known.value === 'string' && isSecretValue(known.value) ? undefined : known.value;
  if (known.kind === 'list') {
    const items = known.items.map((item) => plainOf(item, section));
    return items.includes(undefined) ? undefined : items;
  }
  if (known.kind !== 'mapping') return undefined;
  const entries = [...known.entries].map(([key, { value }]) => [key, plainOf(value, section)] as const);
  return entries.some(([key, value]) => value === undefined || isSecretName(key)) ? undefined : Object.fromEntries(entries);
}

function readStream({ id, at }: Resource, properties: Section, sources: EventSources): boolean {
  const rules: Rules = {};
  const shards = properties.number('ShardCount');
  if (shards !== undefined) rules['partitions'] = inside(shards.value, 1, 256);
  const hours = properties.number('RetentionPeriodHours');
  rules['retention'] = secondsText((hours?.value ?? 24) * 3_600);
  const name = sources.declare('stream', id, rules);
  const other = textOf(properties.take('Name'));
  if (other !== undefined) sources.alias('stream', id, other);
  properties.ignore('Name', 'Tags', 'StreamModeDetails', 'StreamEncryption');
  properties.finish();
  properties.reading.report.changed(at, '', `stream ${id}`, `is the stream ${name}; ${OWN_CLIENTS.stream}`);
  return true;
}
