// `queue`, `topic` and `event` of a route: what comes is stored and answered with 202, without a function. Enforced by gateway/publishing/.
import { z } from 'zod';
import { declaredName, place } from './words.ts';

const GROUP = 'Where in the request the group of the message stands, such as `header:x-customer`: of a queue with `fifo`.';

const queueError = 'the name of a queue, or {name: orders, group: "header:x-customer"}';
export const queueTarget = z.union(
  [
    declaredName,
    z.strictObject({
      name: declaredName.describe('The queue: `queue: orders` says the same as `queue: {name: orders}`.'),
      group: place.optional().describe(GROUP),
    }),
  ],
  { error: queueError },
);

const topicError = 'the name of a topic, or {name: prices, subject: "header:x-subject"}';
export const topicTarget = z.union(
  [
    declaredName,
    z.strictObject({
      name: declaredName.describe('The topic: `topic: prices` says the same as `topic: {name: prices}`.'),
      subject: place.optional().describe('Where in the request the subject stands, such as `query:subject`.'),
      group: place.optional().describe(GROUP),
    }),
  ],
  { error: topicError },
);

const eventError = 'true, or a type such as {type: order.placed}';
export const eventTarget = z.union(
  [
    z.literal(true),
    z.strictObject({
      type: z
        .string({ error: eventError })
        .regex(/^(?!virga\.)[\x21-\x7e]{1,256}$/, { error: 'a type of at most 256 characters that does not begin with virga.' })
        .describe(
          'The body is the data of an event of this type. With `event: true` it is a CloudEvent, in any mode, of any type but `virga.…`.',
        ),
    }),
  ],
  { error: eventError },
);

const example = (target: string): string => `    gateway:
      routes:
        - path: /orders
          methods: [POST]
          ${target}`;
export const publishExamples = {
  queue: example('queue: orders'),
  topic: example('topic: {name: prices, subject: "query:subject"}'),
  event: example('event: {type: order.placed}'),
};
