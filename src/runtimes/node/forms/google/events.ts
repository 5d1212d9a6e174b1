// Virga's events as Google's functions get them. For a CloudEvent function: the events that Eventarc delivers (Cloud Storage,
// Pub/Sub, Cloud Scheduler). For an HTTP function: what the same sources send to an HTTP target (Cloud Tasks, a Pub/Sub push,
// Cloud Scheduler). Invariant: an event of a type that is not Virga's own goes on as it is. Pure; called by google.ts.
//
// Shapes: github.com/googleapis/google-cloudevents (proto/, testdata/); cloud.google.com/eventarc/docs/cloudevents-json;
// cloud.google.com/tasks/docs/creating-http-target-tasks; cloud.google.com/scheduler/docs/reference/rpc/google.cloud.scheduler.v1
import { CLOUD_EVENT_TYPE, EventType } from '../../../../protocol/events.ts';
import type { CloudEvent, ObjectChange, QueueBatch, QueueMessage, ScheduleDue, TopicMessage } from '../../../../protocol/events.ts';
import type { Signature } from './framework.ts';

/** One request to the function. */
export interface Delivery {
  headers: string[];
  body: Buffer;
}

/** Of a message of a batch. */
export interface MessageDelivery extends Delivery, Pick<QueueMessage, 'id' | 'group'> {}

/** Types that do not go on as they are. */
export const TRANSLATED: readonly string[] = [
  EventType.queue,
  EventType.topic,
  EventType.schedule,
  EventType.objectCreated,
  EventType.objectRemoved,
];
const LOCATION = 'us-central1';
const PUBSUB_MESSAGE = 'type.googleapis.com/google.pubsub.v1.PubsubMessage';

export function deliveriesOf(event: CloudEvent, signature: Signature, project: string): Delivery | MessageDelivery[] {
  switch (event.type) {
    case EventType.queue: {
      const { queue, messages } = event.data as QueueBatch;
      return messages.map((message) => ({
        ...(signature === 'http'
          ? asTask(queue, message)
          : asEvent(publishedOf(event, asTopicMessage(queue, message), project), signature)),
        id: message.id,
        ...(message.group === undefined ? {} : { group: message.group }),
      }));
    }
    case EventType.topic: {
      const published = publishedOf(event, event.data as TopicMessage, project);
      return signature === 'http' ? asJson(published.data) : asEvent(published, signature);
    }
    case EventType.schedule:
      return signature === 'http' ? asScheduled(event.data as ScheduleDue) : asEvent(executedOf(event, project), signature);
    case EventType.objectCreated:
    case EventType.objectRemoved:
      return asEvent(objectEventOf(event), signature);
    default:
      return asEvent(event, signature);
  }
}

function objectEventOf(event: CloudEvent): CloudEvent {
  const change = event.data as ObjectChange;
  const at = event.time ?? new Date().toISOString();
  // Cloud Storage numbers generations by the microsecond too.
  const generation = /^\d+$/.test(change.version ?? '') ? change.version! : String(Date.parse(at) * 1000);
  const data: Record<string, unknown> = {
    kind: 'storage#object',
    id: `${change.bucket}/${change.key}/${generation}`,
    name: change.key,
    bucket: change.bucket,
    generation,
    metageneration: '1',
    contentType: change.contentType ?? 'application/octet-stream',
    timeCreated: at,
    updated: at,
    storageClass: 'STANDARD',
    timeStorageClassUpdated: at,
    size: String(change.bytes),
    etag: change.etag,
  };
  if (event.type === EventType.objectRemoved) data['timeDeleted'] = at;
  return {
    specversion: '1.0',
    id: event.id,
    source: `//storage.googleapis.com/projects/_/buckets/${change.bucket}`,
    type: `google.cloud.storage.object.v1.${event.type === EventType.objectCreated ? 'finalized' : 'deleted'}`,
    datacontenttype: 'application/json',
    subject: `objects/${change.key}`,
    time: at,
    bucket: change.bucket,
    data,
  };
}

function publishedOf(event: CloudEvent, message: TopicMessage & { orderingKey?: string | undefined }, project: string): CloudEvent {
  const publishTime = new Date(message.sentAt).toISOString();
  const attributes = message.subject === undefined ? message.attributes : { subject: message.subject, ...message.attributes };
  return {
    specversion: '1.0',
    id: message.id,
    source: `//pubsub.googleapis.com/projects/${project}/topics/${message.topic}`,
    type: 'google.cloud.pubsub.topic.v1.messagePublished',
    datacontenttype: 'application/json',
    time: event.time ?? publishTime,
    data: {
      message: {
        '@type': PUBSUB_MESSAGE,
        data: Buffer.from(message.body).toString('base64'),
        ...(Object.keys(attributes).length === 0 ? {} : { attributes }),
        messageId: message.id,
        message_id: message.id,
        publishTime,
        publish_time: publishTime,
        ...(message.orderingKey === undefined ? {} : { orderingKey: message.orderingKey }),
      },
      subscription: `projects/${project}/subscriptions/${message.topic}`,
    },
  };
}

/** Google's queue for functions is a topic with a subscription. */
function asTopicMessage(
  queue: string,
  { id, body, attributes, sentAt, group }: QueueMessage,
): TopicMessage & { orderingKey?: string | undefined } {
  return { topic: queue, id, body, attributes, sentAt, orderingKey: group };
}

function executedOf(event: CloudEvent, project: string): CloudEvent {
  const due = event.data as ScheduleDue;
  return {
    specversion: '1.0',
    id: event.id,
    source: `//cloudscheduler.googleapis.com/projects/${project}/locations/${LOCATION}/jobs/${due.schedule}`,
    type: 'google.cloud.scheduler.job.v1.executed',
    datacontenttype: 'application/json',
    time: event.time ?? new Date(due.dueAt).toISOString(),
    data: { customData: Buffer.from(JSON.stringify(due)).toString('base64') },
  };
}

/** Cloud Scheduler's request to an HTTP target. */
function asScheduled(due: ScheduleDue): Delivery {
  return {
    headers: [
      'content-type',
      'application/octet-stream',
      'user-agent',
      'Google-Cloud-Scheduler',
      'x-cloudscheduler',
      'true',
      'x-cloudscheduler-jobname',
      due.schedule,
      'x-cloudscheduler-scheduletime',
      new Date(due.dueAt).toISOString(),
    ],
    body: Buffer.from(due.input === undefined ? '' : typeof due.input === 'string' ? due.input : JSON.stringify(due.input)),
  };
}

/** Cloud Tasks' request to an HTTP target. The count of retries is 0 the first time. */
function asTask(queue: string, message: QueueMessage): Delivery {
  const given = Object.entries(message.attributes).find(([name]) => name.toLowerCase() === 'content-type')?.[1];
  const retries = String(message.attempt - 1);
  return {
    headers: [
      'content-type',
      given ?? (isJson(message.body) ? 'application/json' : 'application/octet-stream'),
      'user-agent',
      'Google-Cloud-Tasks',
      'x-cloudtasks-queuename',
      queue,
      'x-cloudtasks-taskname',
      message.id,
      'x-cloudtasks-taskretrycount',
      retries,
      'x-cloudtasks-taskexecutioncount',
      retries,
      'x-cloudtasks-tasketa',
      String(message.sentAt / 1000),
    ],
    body: Buffer.from(message.body),
  };
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function asJson(value: unknown): Delivery {
  return { headers: ['content-type', 'application/json'], body: Buffer.from(JSON.stringify(value)) };
}

/**
 * In the structured mode every attribute arrives as it is. The framework turns an event into the two arguments of a background
 * function only when it comes in the binary mode, whose attributes are headers.
 */
function asEvent(event: CloudEvent, signature: Signature): Delivery {
  if (signature !== 'event') return { headers: ['content-type', CLOUD_EVENT_TYPE], body: Buffer.from(JSON.stringify(event)) };
  const { data, data_base64: base64, datacontenttype, ...attributes } = event;
  const headers = ['content-type', datacontenttype ?? 'application/json'];
  for (const [name, value] of Object.entries(attributes))
    if (value !== undefined) headers.push(`ce-${name}`, typeof value === 'string' ? value : JSON.stringify(value));
  return { headers, body: base64 === undefined ? Buffer.from(JSON.stringify(data ?? null)) : Buffer.from(base64, 'base64') };
}
