// GET /v1/projects/{project}/topics, and one of them: who is subscribed, with which filter, and how much waits for each. Subscriptions that
// left virga.yaml are listed as removed while there is something for them.
import { z } from '@hono/zod-openapi';
import { keyParts } from '../events/queue-keys.ts';
import type { TopicSubscription, Topology } from '../events/topology.ts';
import type { TopicItem, TopicSubscriptionItem } from '../protocol/events-api.ts';
import { backlogOf, backlogShape, depthOf, statsOf } from './backlog.ts';
import type { ControlContext } from './context.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { pageOf, pageRequest } from './pagination.ts';
import { requireTopology, topicNotFound } from './project-sources.ts';
import { name, pageOf as pageSchema, pageQuery } from './schemas.ts';

const state = z.enum(['active', 'removed']);

const subscription = z.object({
  function: z.string().nullable(),
  queue: z.string().nullable(),
  webhook: z.object({ name: z.string(), url: z.string().nullable() }).nullable(),
  state,
  filter: z.record(z.string(), z.unknown()).nullable(),
  ...backlogShape,
  deadLetters: z.int().nullable(),
  deadLettersTo: z.string().nullable(),
}) satisfies z.ZodType<TopicSubscriptionItem>;

const item = z
  .object({ name: z.string(), state, recorded: z.boolean(), subscriptions: z.array(subscription) })
  .openapi('Topic') satisfies z.ZodType<TopicItem>;

type Needs = Pick<ControlContext, 'records' | 'bus'>;

export function listTopics(app: ControlApp, { records, bus }: Needs): void {
  operation(
    app,
    {
      method: 'get',
      path: '/v1/projects/{project}/topics',
      summary: 'List the topics of a project, by name',
      params: z.strictObject({ project: name }),
      query: z.strictObject(pageQuery),
      answers: { 200: { description: 'A page.', schema: pageSchema(item) } },
      errors: ['project_not_found'],
    },
    async ({ params: { project }, query }, c) => {
      const list = `topics/${project}`;
      const page = pageRequest(list, query);
      const topics = await namedTopics({ bus }, await requireTopology(records, project));
      const asked = topics.filter((topic) => topic.name > (page.after ?? '')).slice(0, page.limit + 1);
      return c.json(pageOf(list, page, await itemsOf({ bus }, asked), (topic) => topic.name));
    },
  );
  operation(
    app,
    {
      method: 'get',
      path: '/v1/projects/{project}/topics/{topic}',
      summary: 'One topic',
      params: z.strictObject({ project: name, topic: name }),
      answers: { 200: { description: 'The topic.', schema: item } },
      errors: ['project_not_found', 'topic_not_found'],
    },
    async ({ params: { project, topic } }, c) => {
      const topics = await namedTopics({ bus }, await requireTopology(records, project));
      const found = topics.find((one) => one.name === topic);
      if (found === undefined)
        throw topicNotFound(
          project,
          topic,
          topics.map((one) => one.name),
        );
      return c.json((await itemsOf({ bus }, [found]))[0]!);
    },
  );
}

interface NamedTopic {
  name: string;
  declared: boolean;
  recorded: boolean;
  subscriptions: { key: string; dead: string | null; declared: TopicSubscription | undefined }[];
}

async function namedTopics({ bus }: Pick<Needs, 'bus'>, topology: Topology): Promise<NamedTopic[]> {
  const topics = new Map<string, NamedTopic>();
  for (const [topic, { subscriptions, record }] of topology.topics)
    topics.set(topic, {
      name: topic,
      declared: true,
      recorded: record !== undefined,
      subscriptions: subscriptions.map((declared) => ({ key: declared.queue.key, dead: declared.queue.dead, declared })),
    });
  for (const kind of ['topic', 'webhook'])
    for (const key of await bus.keys(`${topology.project}/${kind}/`)) {
      const [topic = ''] = keyParts(key).name.split('/');
      const known = topics.get(topic) ?? { name: topic, declared: false, recorded: false, subscriptions: [] };
      topics.set(topic, known);
      if (!known.subscriptions.some((one) => one.key === key)) known.subscriptions.push({ key, dead: null, declared: undefined });
    }
  return [...topics.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

async function itemsOf({ bus }: Pick<Needs, 'bus'>, topics: readonly NamedTopic[]): Promise<TopicItem[]> {
  const keys = topics.flatMap(({ subscriptions }) =>
    subscriptions.flatMap(({ key, dead }) => (dead === null || keyParts(dead).kind !== 'dead' ? [key] : [key, dead])),
  );
  const stats = await statsOf(bus, [...new Set(keys)]);
  return topics.map(({ name: topic, declared, recorded, subscriptions }) => ({
    name: topic,
    state: declared ? 'active' : 'removed',
    recorded,
    subscriptions: subscriptions.map((one): TopicSubscriptionItem => {
      const toQueue = one.declared !== undefined && 'queue' in one.declared.to;
      const place = one.dead === null || toQueue ? undefined : keyParts(one.dead);
      return {
        ...targetOf(one.key, one.declared),
        state: one.declared === undefined ? 'removed' : 'active',
        filter: one.declared?.filter ?? null,
        ...backlogOf(stats.get(one.key)),
        deadLetters: place?.kind === 'dead' ? depthOf(stats.get(one.dead!)) : null,
        deadLettersTo: place === undefined || place.kind === 'dead' ? null : place.name,
      };
    }),
  }));
}

function targetOf(key: string, declared: TopicSubscription | undefined): Pick<TopicSubscriptionItem, 'function' | 'queue' | 'webhook'> {
  const none = { function: null, queue: null, webhook: null };
  const to = declared?.to;
  if (to === undefined) {
    const { kind, name: path } = keyParts(key);
    const last = path.slice(path.indexOf('/') + 1);
    return kind === 'topic' ? { ...none, function: last } : { ...none, webhook: { name: last, url: null } };
  }
  if ('function' in to) return { ...none, function: to.function };
  if ('queue' in to) return { ...none, queue: to.queue };
  return 'webhook' in to ? { ...none, webhook: { name: to.name, url: to.webhook.url ?? null } } : none;
}
