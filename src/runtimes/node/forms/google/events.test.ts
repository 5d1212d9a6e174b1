// Golden shapes of Google's events, field by field, against the examples of Google's documents (each cited where it is used).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CloudEvent, QueueMessage } from '../../../../protocol/events.ts';
import { deliveriesOf } from './events.ts';
import type { Delivery, MessageDelivery } from './events.ts';
import type { Signature } from './framework.ts';

function one(event: CloudEvent, signature: Signature): Delivery {
  const delivery = deliveriesOf(event, signature, 'my-project');
  assert.ok(!Array.isArray(delivery));
  return delivery;
}

function eventIn(delivery: Delivery): CloudEvent {
  assert.deepEqual(delivery.headers, ['content-type', 'application/cloudevents+json']);
  return JSON.parse(delivery.body.toString()) as CloudEvent;
}

const headersOf = ({ headers }: Delivery): Record<string, string> =>
  Object.fromEntries(headers.flatMap((text, i) => (i % 2 === 0 ? [[text, headers[i + 1]!]] : [])));

const TOPIC: CloudEvent = {
  specversion: '1.0',
  id: 'evt_1',
  source: '/projects/my-project/topics/my-topic',
  type: 'virga.topic.message',
  time: '2020-12-20T13:37:33.647Z',
  data: {
    topic: 'my-topic',
    id: '2070443601311540',
    body: 'hello world',
    attributes: { attr1: 'attr1-value' },
    sentAt: Date.parse('2021-02-26T19:13:55.749Z'),
  },
};

test('a message of a topic is the Pub/Sub event of the documents', () => {
  // cloud.google.com/eventarc/docs/cloudevents-json (the table of attributes, and `data` of its example)
  const documented = {
    data: {
      subscription: 'projects/my-project/subscriptions/my-topic',
      message: {
        attributes: { attr1: 'attr1-value' },
        data: 'aGVsbG8gd29ybGQ=',
        messageId: '2070443601311540',
        publishTime: '2021-02-26T19:13:55.749Z',
      },
    },
    datacontenttype: 'application/json',
    id: '2070443601311540',
    source: '//pubsub.googleapis.com/projects/my-project/topics/my-topic',
    specversion: '1.0',
    type: 'google.cloud.pubsub.topic.v1.messagePublished',
    time: '2020-12-20T13:37:33.647Z',
  };
  const event = eventIn(one(TOPIC, 'cloudevent')) as typeof documented & { data: { message: Record<string, unknown> } };
  // github.com/googleapis/google-cloudevents testdata/google/events/cloud/pubsub/v1/MessagePublishedData-duplicatedFields.json
  const { '@type': type, message_id, publish_time, ...message } = event.data.message;
  assert.deepEqual({ ...event, data: { ...event.data, message } }, documented);
  assert.deepEqual(
    { type, message_id, publish_time },
    {
      type: 'type.googleapis.com/google.pubsub.v1.PubsubMessage',
      message_id: '2070443601311540',
      publish_time: '2021-02-26T19:13:55.749Z',
    },
  );
});

test('an HTTP function gets the message as a push subscription sends it', () => {
  // cloud.google.com/pubsub/docs/push (receive push messages)
  const { headers, body } = one(TOPIC, 'http');
  assert.deepEqual(headers, ['content-type', 'application/json']);
  const push = JSON.parse(body.toString()) as { message: Record<string, unknown>; subscription: string };
  assert.deepEqual(Object.keys(push).sort(), ['message', 'subscription']);
  assert.equal(Buffer.from(push.message['data'] as string, 'base64').toString(), 'hello world');
  assert.equal(push.message['messageId'], push.message['message_id']);
});

const OBJECT: CloudEvent = {
  specversion: '1.0',
  id: '1096434104173400',
  source: '/projects/my-project/buckets/sample-bucket',
  type: 'virga.storage.object.created',
  subject: 'MyFile',
  time: '2020-05-06T15:14:15.917Z',
  data: {
    bucket: 'sample-bucket',
    key: 'MyFile',
    bytes: 352,
    etag: 'COu8mb3Dn+kCEAE=',
    contentType: 'text/plain',
    version: '1588778055917163',
  },
};

test('a created object is the Cloud Storage event of the documents', () => {
  // github.com/googleapis/google-cloudevents testdata/google/events/cloud/storage/v1/StorageObjectData-complex.json, with numbers as
  // the service sends them, as text (protobuf's JSON form of int64); cloud.google.com/eventarc/docs/cloudevents-json (storage).
  assert.deepEqual(eventIn(one(OBJECT, 'cloudevent')), {
    specversion: '1.0',
    id: '1096434104173400',
    source: '//storage.googleapis.com/projects/_/buckets/sample-bucket',
    type: 'google.cloud.storage.object.v1.finalized',
    datacontenttype: 'application/json',
    subject: 'objects/MyFile',
    time: '2020-05-06T15:14:15.917Z',
    bucket: 'sample-bucket',
    data: {
      kind: 'storage#object',
      id: 'sample-bucket/MyFile/1588778055917163',
      name: 'MyFile',
      bucket: 'sample-bucket',
      generation: '1588778055917163',
      metageneration: '1',
      contentType: 'text/plain',
      timeCreated: '2020-05-06T15:14:15.917Z',
      updated: '2020-05-06T15:14:15.917Z',
      storageClass: 'STANDARD',
      timeStorageClassUpdated: '2020-05-06T15:14:15.917Z',
      size: '352',
      etag: 'COu8mb3Dn+kCEAE=',
    },
  });
});

test('a removed object is deleted, and an object without a version has a generation by its time', () => {
  const event = eventIn(
    one({ ...OBJECT, type: 'virga.storage.object.removed', data: { bucket: 'b', key: 'folder/ä b', bytes: 0, etag: 'e' } }, 'cloudevent'),
  ) as CloudEvent<Record<string, unknown>>;
  assert.equal(event.type, 'google.cloud.storage.object.v1.deleted');
  assert.equal(event.subject, 'objects/folder/ä b');
  assert.equal(event.data!['generation'], '1588778055917000');
  assert.equal(event.data!['timeDeleted'], '2020-05-06T15:14:15.917Z');
});

test('a background function gets an event in the binary mode, which its framework takes apart', () => {
  const delivery = one(OBJECT, 'event');
  const headers = headersOf(delivery);
  assert.equal(headers['ce-type'], 'google.cloud.storage.object.v1.finalized');
  assert.equal(headers['ce-source'], '//storage.googleapis.com/projects/_/buckets/sample-bucket');
  assert.equal(headers['ce-subject'], 'objects/MyFile');
  assert.equal(headers['content-type'], 'application/json');
  assert.equal((JSON.parse(delivery.body.toString()) as { name: string }).name, 'MyFile');
});

const DUE: CloudEvent = {
  specversion: '1.0',
  id: 'evt_9',
  source: '/projects/my-project/schedules/nightly',
  type: 'virga.schedule.due',
  data: { schedule: 'nightly', cron: '0 3 * * *', timezone: 'UTC', dueAt: Date.parse('2026-01-02T03:00:00Z') },
};

test('a schedule is an executed job, or the request of Cloud Scheduler', () => {
  // github.com/googleapis/google-cloudevents proto/google/events/cloud/scheduler/v1 (SchedulerJobData.customData: bytes)
  const { data, ...event } = eventIn(one(DUE, 'cloudevent')) as CloudEvent<{ customData: string }>;
  assert.deepEqual(event, {
    specversion: '1.0',
    id: 'evt_9',
    source: '//cloudscheduler.googleapis.com/projects/my-project/locations/us-central1/jobs/nightly',
    type: 'google.cloud.scheduler.job.v1.executed',
    datacontenttype: 'application/json',
    time: '2026-01-02T03:00:00.000Z',
  });
  assert.deepEqual(JSON.parse(Buffer.from(data!.customData, 'base64').toString()), DUE.data);
  // cloud.google.com/scheduler/docs/reference/rest/v1/projects.locations.jobs (HttpTarget: headers)
  assert.deepEqual(headersOf(one(DUE, 'http')), {
    'content-type': 'application/octet-stream',
    'user-agent': 'Google-Cloud-Scheduler',
    'x-cloudscheduler': 'true',
    'x-cloudscheduler-jobname': 'nightly',
    'x-cloudscheduler-scheduletime': '2026-01-02T03:00:00.000Z',
  });
});

const MESSAGES: QueueMessage[] = [
  { id: 'm1', body: '{"n":1}', attributes: {}, attempt: 3, sentAt: 1_700_000_000_500, firstReceivedAt: 1_700_000_001_000, group: 'g' },
  { id: 'm2', body: 'text', attributes: { 'Content-Type': 'text/csv' }, attempt: 1, sentAt: 1_700_000_000_000, firstReceivedAt: 0 },
];
const QUEUE: CloudEvent = {
  specversion: '1.0',
  id: 'evt_2',
  source: '/projects/my-project/queues/orders',
  type: 'virga.queue.batch',
  data: { queue: 'orders', messages: MESSAGES },
};

test('each message of a queue is an event of its own, or a task', () => {
  const published = deliveriesOf(QUEUE, 'cloudevent', 'my-project') as MessageDelivery[];
  assert.deepEqual(
    published.map(({ id, group }) => ({ id, group })),
    [
      { id: 'm1', group: 'g' },
      { id: 'm2', group: undefined },
    ],
  );
  const first = eventIn(published[0]!) as CloudEvent<{ message: Record<string, unknown>; subscription: string }>;
  assert.equal(first.source, '//pubsub.googleapis.com/projects/my-project/topics/orders');
  assert.equal(first.data!.message['orderingKey'], 'g');
  assert.equal('attributes' in first.data!.message, false);
  // cloud.google.com/tasks/docs/creating-http-target-tasks (the headers of the handler)
  const tasks = deliveriesOf(QUEUE, 'http', 'my-project') as MessageDelivery[];
  assert.deepEqual(headersOf(tasks[0]!), {
    'content-type': 'application/json',
    'user-agent': 'Google-Cloud-Tasks',
    'x-cloudtasks-queuename': 'orders',
    'x-cloudtasks-taskname': 'm1',
    'x-cloudtasks-taskretrycount': '2',
    'x-cloudtasks-taskexecutioncount': '2',
    'x-cloudtasks-tasketa': '1700000000.5',
  });
  assert.equal(headersOf(tasks[1]!)['content-type'], 'text/csv');
  assert.equal(tasks[1]!.body.toString(), 'text');
});

test('an event of another type goes on as it is', () => {
  const event: CloudEvent = { specversion: '1.0', id: '1', source: '/x', type: 'com.example.thing', data: { a: 1 }, extension: 'e' };
  assert.deepEqual(eventIn(one(event, 'cloudevent')), event);
  assert.deepEqual(eventIn(one(event, 'http')), event);
});
