// What is sent to a project by HTTP: POST /v1/projects/{project}/events, …/queues/{queue}/messages, …/topics/{topic}/messages and
// …/streams/{stream}/records. One request, one step: all of it is stored when it is answered, or nothing is. Bodies are checked by hand
// (events/sent-input.ts): these paths are asked for thousands of times a second. Invariant: no body reaches the log.
import type { IncomingMessage } from 'node:http';
import { z } from '@hono/zod-openapi';
import { isEventRequest, jsonOf, receivedEvents } from '../events/cloud-events/http-in.ts';
import { completeEvent, eventAsMessage } from '../events/cloud-events/messages.ts';
import type { AppendRecord, Publisher } from '../events/publish.ts';
import { sentMessages, sentPublications, sentRecords } from '../events/sent-input.ts';
import { newId } from '../lib/ids.ts';
import type { AppendAnswer, PublishAnswer, SendAnswer } from '../protocol/control-api.ts';
import { VirgaError } from '../protocol/errors.ts';
import type { CloudEvent } from '../protocol/events.ts';
import { answerAtOnce } from './answer.ts';
import { readBody } from './body.ts';
import type { ControlContext } from './context.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { name } from './schemas.ts';

/** Room for 8 MiB of messages as JSON text. */
const BODY_BYTES_MAX = 16 * 1_024 ** 2;
const JSON_TYPE = /^application\/json\s*(?:;\s*charset\s*=\s*"?utf-8"?\s*)?$/i;

type Needs = { publisher: Publisher } & Pick<ControlContext, 'limits' | 'now'>;

const published = z
  .object({ published: z.array(z.object({ id: z.string(), deliveries: z.int() })) })
  .openapi('Published') satisfies z.ZodType<PublishAnswer>;
const sent = z
  .object({
    messages: z.array(
      z.union([
        z.object({ result: z.literal('sent'), id: z.string(), sequence: z.string() }),
        z.object({ result: z.literal('duplicate'), id: z.string() }),
      ]),
    ),
  })
  .openapi('Sent') satisfies z.ZodType<SendAnswer>;
const appended = z
  .object({ records: z.array(z.object({ id: z.string(), partition: z.int(), position: z.int() })) })
  .openapi('Appended') satisfies z.ZodType<AppendAnswer>;

const EVENT_MODES = 'A CloudEvent 1.0 in structured (`application/cloudevents+json`) or binary mode (`ce-` headers), or';
const MESSAGE_WAYS = `a list, or one. A \`body\` that is no text is sent as JSON. ${EVENT_MODES} several in batched mode, are taken too: the data becomes the body (bytes in base64, with \`content-transfer-encoding: base64\`), the attributes \`ce-…\` attributes.`;

export function publishEvents(app: ControlApp, { publisher, limits, now }: Needs): void {
  operation(
    app,
    {
      method: 'post',
      path: '/v1/projects/{project}/events',
      summary: 'Publish events to a project',
      description: `${EVENT_MODES} several in batched mode (\`application/cloudevents-batch+json\`). In \`application/json\` an event, or \`{"events": […]}\`, needs only \`type\`: \`id\`, \`source\` and \`time\` are filled in. They go to all functions with an \`event\` trigger whose pattern fits.`,
      params: z.strictObject({ project: name }),
      rawBody: 'application/cloudevents+json',
      answers: { 202: { description: 'All are stored, and will be delivered.', schema: published } },
      errors: ['project_not_found', 'request_too_large', 'unsupported_media_type', 'queue_full', 'disk_full'],
    },
    async ({ params: { project } }, c) => {
      const { incoming } = c.env;
      const body = await bodyOf(incoming, limits);
      const events = receivedEvents({ headers: incoming.headers, body }, completeEvent(project, now()));
      return answerAtOnce(c, 202, { published: await publisher.publishEvents(project, events) } satisfies PublishAnswer);
    },
  );
}

export function publishMessages(app: ControlApp, { publisher, limits, now }: Needs): void {
  operation(
    app,
    {
      method: 'post',
      path: '/v1/projects/{project}/topics/{topic}/messages',
      summary: 'Publish messages to a topic',
      description: `\`{"messages": [{"body", "subject"?, "attributes"?, "id"?, "group"?, "deduplicationId"?}]}\`, ${MESSAGE_WAYS}`,
      params: z.strictObject({ project: name, topic: name }),
      rawBody: 'application/json',
      answers: { 202: { description: 'All are stored, and will be delivered.', schema: published } },
      errors: ['project_not_found', 'topic_not_found', 'request_too_large', 'unsupported_media_type', 'queue_full', 'disk_full'],
    },
    async ({ params: { project, topic } }, c) => {
      const publications = await received(c.env.incoming, { limits, project, now, ofEvent: eventAsMessage, ofJson: sentPublications });
      return answerAtOnce(c, 202, { published: await publisher.publish(project, topic, publications) } satisfies PublishAnswer);
    },
  );
}

export function sendMessages(app: ControlApp, { publisher, limits, now }: Needs): void {
  operation(
    app,
    {
      method: 'post',
      path: '/v1/projects/{project}/queues/{queue}/messages',
      summary: 'Send messages to a queue',
      description: `\`{"messages": [{"body", "attributes"?, "delayMs"?, "group"?, "deduplicationId"?, "id"?}]}\`, ${MESSAGE_WAYS}`,
      params: z.strictObject({ project: name, queue: name }),
      rawBody: 'application/json',
      answers: { 202: { description: 'All are stored.', schema: sent } },
      errors: ['project_not_found', 'queue_not_found', 'request_too_large', 'unsupported_media_type', 'queue_full', 'disk_full'],
    },
    async ({ params: { project, queue } }, c) => {
      const messages = await received(c.env.incoming, { limits, project, now, ofEvent: eventAsMessage, ofJson: sentMessages });
      return answerAtOnce(c, 202, { messages: await publisher.send(project, queue, messages) } satisfies SendAnswer);
    },
  );
}

export function appendRecords(app: ControlApp, { publisher, limits, now }: Needs): void {
  operation(
    app,
    {
      method: 'post',
      path: '/v1/projects/{project}/streams/{stream}/records',
      summary: 'Append records to a stream',
      description: `\`{"records": [{"key"?, "data", "attributes"?, "id"?}]}\`, a list, or one. Records of one \`key\` are read in the order of their appending. \`data\` that is no text is stored as JSON. CloudEvents are taken too: their data becomes the data, \`partitionkey\` (or else \`subject\`) the key, the attributes \`ce-…\` attributes.`,
      params: z.strictObject({ project: name, stream: name }),
      rawBody: 'application/json',
      answers: { 202: { description: 'All are stored.', schema: appended } },
      errors: ['project_not_found', 'stream_not_found', 'request_too_large', 'unsupported_media_type', 'disk_full'],
    },
    async ({ params: { project, stream } }, c) => {
      const ofJson = (json: unknown): AppendRecord[] => sentRecords(json, () => newId('rec'));
      const records = await received(c.env.incoming, { limits, project, now, ofEvent: eventAsRecord, ofJson });
      return answerAtOnce(c, 202, { records: await publisher.append(project, stream, records) } satisfies AppendAnswer);
    },
  );
}

function eventAsRecord(event: CloudEvent): AppendRecord {
  const { body, attributes, id } = eventAsMessage(event);
  return { partitionKey: attributes['ce-partitionkey'] ?? event.subject ?? id, data: body, attributes, id };
}

/** What a request is to send, whether it comes as CloudEvents or as JSON of our own. */
async function received<Item>(
  incoming: IncomingMessage,
  from: Pick<Needs, 'limits' | 'now'> & { project: string; ofEvent: (event: CloudEvent) => Item; ofJson: (json: unknown) => Item[] },
): Promise<Item[]> {
  const body = await bodyOf(incoming, from.limits);
  if (isEventRequest(incoming.headers))
    return receivedEvents({ headers: incoming.headers, body }, completeEvent(from.project, from.now())).map((event) => from.ofEvent(event));
  const type = incoming.headers['content-type'];
  if (type === undefined || !JSON_TYPE.test(type)) {
    const given = type === undefined ? 'none' : `'${type.slice(0, 100)}'`;
    throw new VirgaError('unsupported_media_type', `the content-type must be application/json, or that of a CloudEvent (got ${given})`);
  }
  return from.ofJson(jsonOf(body));
}

async function bodyOf(incoming: IncomingMessage, limits: Needs['limits']): Promise<Buffer> {
  return await readBody(incoming, {
    maxBytes: BODY_BYTES_MAX,
    idleMs: limits.bodyIdleMs,
    code: 'request_too_large',
    what: 'the body',
    limit: 'the bound of one request; send less at once',
  });
}
