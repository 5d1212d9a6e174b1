// What a project says of its events, as it is stored with a deployment and sent by a deploy: the sources by name, and what functions do
// with them. In virga.yaml `triggers`, `async` and `workflow` stand at their function; here they are together, since they are no part of a
// version. Invariant: events/topology.ts compiles what was checked with this.
import { z } from 'zod';
import { declaredName } from '../policies/words.ts';
import { asyncRules } from './async.ts';
import { queue } from './queues.ts';
import { schedule } from './schedules.ts';
import { stream } from './streams.ts';
import { topic } from './topics.ts';
import { trigger } from './triggers.ts';
import { workflow } from './workflows.ts';

const SOURCES_MAX = 1_000;
const TRIGGERS_MAX = 50;

function named<S extends z.ZodType>(what: S, plural: string) {
  return z
    .record(declaredName, what, { error: `${plural} by name` })
    .refine((all) => Object.keys(all).length <= SOURCES_MAX, { error: `at most ${SOURCES_MAX} ${plural}` });
}

/** Keys of virga.yaml beside the functions. */
export const sourcesShape = {
  queues: named(queue, 'queues').optional().describe('Queues of the project.'),
  topics: named(topic, 'topics').optional().describe('Topics of the project.'),
  streams: named(stream, 'streams').optional().describe('Streams of the project.'),
  schedules: named(schedule, 'schedules').optional().describe('Schedules of the project.'),
};

/** Keys of virga.yaml at a function. */
export const consumerShape = {
  triggers: z
    .array(trigger, { error: 'a list of triggers' })
    .max(TRIGGERS_MAX, { error: `at most ${TRIGGERS_MAX} triggers` })
    .optional()
    .describe('What the function is called for beside HTTP requests.'),
  async: asyncRules.optional(),
  workflow: workflow.optional(),
};

export const eventsSection = z.strictObject(
  {
    ...sourcesShape,
    /** By function. */
    triggers: z.record(declaredName, consumerShape.triggers.unwrap()).optional(),
    async: z.record(declaredName, asyncRules).optional(),
    workflows: z.record(declaredName, workflow).optional(),
  },
  { error: 'queues, topics, streams, schedules, and what functions do with them' },
);
export type EventsSection = z.infer<typeof eventsSection>;
