// docs/reference/events.md shows an example of each type of event. Here they are once more, as values that the compiler holds to the
// types of events.ts; the page must show the same, and every type.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { EventType, isCloudEvent } from './events.ts';
import type {
  CloudEvent,
  DeploymentCreated,
  InvocationOutcome,
  ObjectChange,
  QueueBatch,
  ScheduleDue,
  SocketConnect,
  SocketDisconnect,
  SocketFacts,
  SocketMessage,
  TableChanges,
  TopicMessage,
  StreamBatch,
} from './events.ts';

const PAGE = join(import.meta.dirname, '..', '..', 'docs', 'reference', 'events.md');
const TIME = '2026-01-02T03:04:05.678Z';

const QUEUE: CloudEvent<QueueBatch> = {
  specversion: '1.0',
  id: 'evt_1',
  source: '/projects/shop/queues/orders',
  type: EventType.queue,
  time: TIME,
  subject: 'orders',
  data: {
    queue: 'orders',
    messages: [
      {
        id: 'm-1',
        body: '{"order":"o-1"}',
        attributes: { 'content-type': 'application/json' },
        attempt: 1,
        sentAt: 1_767_323_045_000,
        firstReceivedAt: 1_767_323_045_600,
      },
      {
        id: 'm-2',
        body: 'plain text',
        attributes: {},
        attempt: 3,
        sentAt: 1_767_323_040_000,
        firstReceivedAt: 1_767_323_040_500,
        group: 'customer-7',
        deduplicationId: 'o-2',
        sequence: '18849496460467696128',
      },
    ],
  },
};

const TOPIC: CloudEvent<TopicMessage> = {
  specversion: '1.0',
  id: 'evt_2',
  source: '/projects/shop/topics/prices',
  type: EventType.topic,
  time: TIME,
  subject: 'prices',
  data: {
    topic: 'prices',
    id: 'm-7',
    subject: 'a new price',
    body: '{"sku":"tea","price":4.2}',
    attributes: { region: 'eu' },
    sentAt: Date.parse(TIME),
  },
};

const OBJECT: Pick<ObjectChange, 'bucket' | 'key' | 'bytes' | 'etag'> = {
  bucket: 'photos',
  key: '2026/cat.jpg',
  bytes: 20_480,
  etag: '9b2cf535f27731c974343645a3985328',
};

const CREATED: CloudEvent<ObjectChange> = {
  specversion: '1.0',
  id: 'evt_3',
  source: '/projects/shop/buckets/photos',
  type: EventType.objectCreated,
  time: TIME,
  subject: OBJECT.key,
  data: { ...OBJECT, contentType: 'image/jpeg', version: '3', sequence: '0055AED6DCD90281E5' },
};

const REMOVED: CloudEvent<ObjectChange> = { ...CREATED, id: 'evt_4', type: EventType.objectRemoved, data: OBJECT };

const SCHEDULE: CloudEvent<ScheduleDue> = {
  specversion: '1.0',
  id: 'evt_5',
  source: '/projects/shop/schedules/nightly',
  type: EventType.schedule,
  time: '2026-01-02T02:00:00.000Z',
  subject: 'nightly',
  data: {
    schedule: 'nightly',
    cron: '0 3 * * *',
    timezone: 'Europe/Madrid',
    dueAt: Date.UTC(2026, 0, 2, 2),
    nextAt: Date.UTC(2026, 0, 3, 2),
    previousAt: Date.UTC(2026, 0, 1, 2),
  },
};

const TABLE: CloudEvent<TableChanges> = {
  specversion: '1.0',
  id: 'evt_6',
  source: '/projects/shop/tables/stock',
  type: EventType.table,
  time: TIME,
  subject: 'stock',
  data: {
    table: 'stock',
    changes: [
      {
        id: 'c-1',
        operation: 'insert',
        keys: { sku: 'tea' },
        after: { sku: 'tea', left: 10 },
        at: 1_767_323_045_678,
        sequence: '100',
      },
      {
        id: 'c-2',
        operation: 'update',
        keys: { sku: 'tea' },
        before: { sku: 'tea', left: 10 },
        after: { sku: 'tea', left: 9 },
        at: 1_767_323_045_679,
        sequence: '101',
      },
      {
        id: 'c-3',
        operation: 'delete',
        keys: { sku: 'tea' },
        before: { sku: 'tea', left: 9 },
        at: 1_767_323_045_680,
        sequence: '102',
      },
    ],
  },
};

const STREAM: CloudEvent<StreamBatch> = {
  specversion: '1.0',
  id: 'evt_10',
  source: '/projects/shop/streams/clicks',
  type: EventType.stream,
  time: TIME,
  subject: 'clicks',
  data: {
    stream: 'clicks',
    partition: 0,
    records: [
      { id: 'r-1', key: 'user-7', data: '{"page":"/tea"}', attributes: {}, position: 41, at: 1_767_323_045_678 },
      { id: 'r-2', key: 'user-7', data: '{"page":"/cart"}', attributes: {}, position: 42, at: 1_767_323_045_679 },
    ],
    window: { start: 1_767_323_040_000, end: 1_767_323_100_000, final: false },
    state: { clicks: 12 },
  },
};

const SOCKET: SocketFacts = {
  connectionId: 'con_01k2x3y4z5a6b7c8d9e0f1g2h3',
  host: 'shop.localhost:8080',
  route: '/chat',
  params: {},
  client: '203.0.113.9',
  connectedAt: Date.parse(TIME),
  groups: [],
};
const ofSocket = <Data>(id: string, type: string, data: Data): CloudEvent<Data> => ({
  specversion: '1.0',
  id,
  source: '/projects/shop/websockets/chat',
  type,
  time: TIME,
  subject: SOCKET.connectionId,
  datacontenttype: 'application/json',
  data,
});
const TALKING = { groups: ['kitchen'], state: { name: 'Ada' } };

const CONNECT = ofSocket<SocketConnect>('evt_7', EventType.socketConnect, {
  ...SOCKET,
  url: 'http://shop.localhost:8080/chat?name=Ada',
  headers: { host: 'shop.localhost:8080', 'user-agent': 'ws' },
  query: { name: 'Ada' },
  subprotocols: ['chat.v1'],
});
const MESSAGE = ofSocket<SocketMessage>('evt_8', EventType.socketMessage, {
  ...SOCKET,
  ...TALKING,
  subprotocol: 'chat.v1',
  text: 'is there tea?',
  isBinary: false,
});
const DISCONNECT = ofSocket<SocketDisconnect>('evt_9', EventType.socketDisconnect, { ...SOCKET, ...TALKING, code: 1001, reason: '' });

const ENDED = {
  invocation: 'inv_01k2x3y4z5a6b7c8d9e0f1g2h3',
  function: 'resize',
  createdAt: 1_767_323_040_000,
  endedAt: 1_767_323_045_678,
};
const SUCCEEDED = ofInvocation('evt_01k2x3y4z5a6b7c8d9e0f1g2h3', EventType.invocationSucceeded, {
  ...ENDED,
  version: 7,
  attempts: 1,
  request: { method: 'POST', url: 'http://shop.localhost:8080/resize', contentType: 'application/json', json: { image: 'cat.png' } },
  response: { status: 200, contentType: 'application/json', json: { width: 320 } },
});
const FAILED = ofInvocation('evt_01k2x3y4z5a6b7c8d9e0f1g2h3', EventType.invocationFailed, {
  ...ENDED,
  version: null,
  attempts: 3,
  request: { contentType: 'text/plain', text: 'cat.png' },
  error: { code: 'function_timeout', message: "function 'resize' did not answer within its timeout of 30 s" },
});

const DEPLOYED: CloudEvent<DeploymentCreated> = {
  specversion: '1.0',
  id: 'evt_11',
  source: '/projects/shop',
  type: EventType.deployment,
  time: TIME,
  subject: '12',
  datacontenttype: 'application/json',
  data: {
    deployment: 12,
    kind: 'deploy',
    by: 'operator',
    changes: [
      { kind: 'function', name: 'ship', change: 'update' },
      { kind: 'queue', name: 'orders', change: 'create' },
    ],
  },
};

const EVENTS: CloudEvent[] = [
  QUEUE,
  TOPIC,
  CREATED,
  REMOVED,
  SCHEDULE,
  TABLE,
  STREAM,
  CONNECT,
  MESSAGE,
  DISCONNECT,
  SUCCEEDED,
  FAILED,
  DEPLOYED,
];

function ofInvocation(id: string, type: string, data: InvocationOutcome): CloudEvent<InvocationOutcome> {
  const source = '/projects/shop/functions/resize';
  return { specversion: '1.0', id, source, type, time: TIME, subject: data.invocation, datacontenttype: 'application/json', data };
}

test('the reference of events shows every type, each with an example that is one', async () => {
  const page = await readFile(PAGE, 'utf8');
  const shown = [...page.matchAll(/^## (virga\.\S+)\n[^#]*?^```json\n([\s\S]*?)^```$/gm)].map(([, type, json]) => {
    const event: unknown = JSON.parse(json!);
    assert.ok(isCloudEvent(event), `the example of ${type} is no CloudEvent`);
    assert.equal(event.type, type);
    return event;
  });
  assert.deepEqual(shown, EVENTS);
  assert.deepEqual(
    shown.map(({ type }) => type),
    [...Object.values(EventType)],
  );
});

test('what lacks an attribute that every CloudEvent has is none', () => {
  for (const name of ['specversion', 'id', 'source', 'type']) {
    const { [name]: _, ...rest } = SCHEDULE as Record<string, unknown>;
    assert.equal(isCloudEvent(rest), false, name);
  }
  for (const value of [null, 1, 'a', [], { ...SCHEDULE, specversion: '0.3' }, { ...SCHEDULE, id: 7 }])
    assert.equal(isCloudEvent(value), false);
});
