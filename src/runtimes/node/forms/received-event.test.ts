// What is said of an event that somebody wrote by hand and not quite right.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CLOUD_EVENT_TYPE, EventType } from '../../../protocol/events.ts';
import { MalformedEvent, receivedEvent } from './received-event.ts';

const MESSAGE = { id: 'm', body: 'b', attributes: {}, attempt: 1, sentAt: 1, firstReceivedAt: 1 };
const CHANGE = { id: 'c', operation: 'insert', keys: { id: 1 }, at: 1, sequence: '1' };

function received(event: unknown, contentType = CLOUD_EVENT_TYPE, read: string[] = Object.values(EventType)): unknown {
  return receivedEvent(contentType, Buffer.from(typeof event === 'string' ? event : JSON.stringify(event)), read);
}

function made(type: string, data?: unknown, more: object = {}): Record<string, unknown> {
  return { specversion: '1.0', id: 'e-1', source: '/s', type, data, ...more };
}

function refusal(value: unknown): string {
  try {
    received(value);
  } catch (error) {
    assert.ok(error instanceof MalformedEvent);
    return error.message;
  }
  return 'it was taken';
}

test('a sound event is taken, with a charset or without', () => {
  for (const sound of [
    made(EventType.queue, { queue: 'q', messages: [MESSAGE] }),
    made(EventType.queue, { queue: 'q', messages: [] }),
    made(EventType.schedule, { schedule: 's', cron: '* * * * *', timezone: 'UTC', dueAt: 0 }),
    made(EventType.objectCreated, undefined, { data_base64: 'aGk=', subject: 'k' }),
    made(EventType.table, { table: 'orders', changes: [CHANGE] }),
    made('com.example.anything'),
  ])
    assert.deepEqual(received(sound, `${CLOUD_EVENT_TYPE}; charset=utf-8`), JSON.parse(JSON.stringify(sound)));
});

test('any other media type is no event, whatever the payload', () => {
  assert.equal(received(made(EventType.queue), 'application/json'), undefined);
  assert.equal(received('{', 'text/plain'), undefined);
});

test('a type whose data nobody looks into has any', () => {
  const topic = made(EventType.topic, {});
  assert.deepEqual(received(topic, CLOUD_EVENT_TYPE, [EventType.queue]), topic);
});

test('what is wrong is said by its place', () => {
  assert.equal(
    refusal(made(EventType.table, { table: 'orders', changes: [CHANGE, { ...CHANGE, sequence: 2 }] })),
    "the event 'e-1' of type virga.table.changed lacks data.changes[1].sequence (a string)",
  );
  assert.match(refusal('nojson'), /^the payload is not valid JSON: /);
  assert.match(
    refusal({ specversion: '1.0', id: 'e', source: 's' }),
    /^the payload is no CloudEvent: it needs specversion "1\.0", id, source and type/,
  );
  assert.equal(
    refusal(made(EventType.queue)),
    "the event 'e-1' of type virga.queue.batch lacks data.queue (a string), data.messages (a list)",
  );
  const partial = { queue: 'q', messages: [MESSAGE, { id: 'm', body: 'b', attributes: null }] };
  assert.equal(
    refusal(made(EventType.queue, partial)),
    "the event 'e-1' of type virga.queue.batch lacks data.messages[1].attributes (an object), data.messages[1].attempt (a number), data.messages[1].sentAt (a number)",
  );
  assert.match(refusal(made(EventType.queue, { queue: 'q', messages: [null] })), /lacks data\.messages\[0\]\.id \(a string\)/);
  assert.equal(
    refusal(made(EventType.schedule, { schedule: 's', cron: '* * * * *', dueAt: '1' })),
    "the event 'e-1' of type virga.schedule.due lacks data.dueAt (a number)",
  );
  assert.match(refusal(made(EventType.topic, 7)), /lacks data\.topic/);
  assert.match(refusal(made(EventType.objectRemoved)), /lacks data\.bucket/);
});
