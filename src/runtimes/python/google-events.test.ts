// The two guests make the same of Virga's events for Google's functions: what Node's translation gives (its golden shapes are in
// runtimes/node/forms/google/events.test.ts), Python's gives too.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import type { CloudEvent } from '../../protocol/events.ts';
import { TRANSLATED, deliveriesOf } from '../node/forms/google/events.ts';
import { SIGNATURES } from '../node/forms/google/framework.ts';
import { receivedEvent } from '../node/forms/received-event.ts';
import { PYTHON, PYTHON_FLAGS } from './guest-under-test.ts';

const PROGRAM = `
import json, sys
sys.path.insert(0, sys.argv[1])
from virga_guest.forms.google import deliveries
answers = []
for event, signature in json.load(sys.stdin):
    if event["type"] == deliveries.QUEUE:
        made = [deliveries.message_delivery_of(event, message, signature, "my-project") for message in event["data"]["messages"]]
    else:
        made = [deliveries.delivery_of(event, signature, "my-project")]
    answers.append([{"headers": headers, "body": body.decode()} for headers, body in made])
json.dump(answers, sys.stdout)
`;

const event = (type: string, fields: Record<string, unknown>): CloudEvent => ({
  specversion: '1.0',
  id: 'evt_1',
  source: '/projects/my-project/x',
  type,
  ...fields,
});
const object = { bucket: 'b', key: 'folder/ä b', bytes: 3, etag: 'e' };
const message = (id: string, more: Record<string, unknown>): object => ({
  id,
  body: 'text',
  attributes: {},
  attempt: 1,
  sentAt: 1_700_000_000_000,
  firstReceivedAt: 1_700_000_000_000,
  ...more,
});

const EVENTS: CloudEvent[] = [
  event('virga.storage.object.created', { time: '2026-01-02T03:04:05.678Z', subject: 'folder/ä b', data: object }),
  event('virga.storage.object.removed', { time: '2026-01-02T03:04:05Z', data: { ...object, version: '17', contentType: 'image/png' } }),
  event('virga.topic.message', {
    time: '2026-01-02T03:04:05Z',
    data: { topic: 't', id: 'm', body: 'grüße', attributes: { a: 'b' }, subject: 's', sentAt: 5 },
  }),
  event('virga.topic.message', { data: { topic: 't', id: 'm', body: '', attributes: {}, sentAt: 1_700_000_000_123 } }),
  event('virga.schedule.due', {
    data: { schedule: 's', cron: '* * * * *', timezone: 'UTC', dueAt: 1_700_000_000_000, nextAt: 1_700_000_060_000 },
  }),
  event('virga.queue.batch', {
    time: '2026-01-02T03:04:05Z',
    data: {
      queue: 'q',
      messages: [
        message('m1', { group: 'g', attempt: 3 }),
        message('m2', { body: '{"a":1}', sentAt: 1_700_000_000_500 }),
        message('m3', { attributes: { 'Content-Type': 'text/csv' } }),
      ],
    },
  }),
  event('com.example.thing', { data: { a: [1, 'ü'] }, extension: 'e', number: 5 }),
  event('com.example.bytes', { datacontenttype: 'text/plain', data_base64: 'aGk=' }),
  event('virga.table.changed', { data: { table: 't', changes: [] } }),
];

/** Bodies in JSON are compared as values. */
function comparable({ headers, body }: { headers: string[]; body: string }): unknown {
  return { headers, body: /\bjson\b/.test(headers[headers.indexOf('content-type') + 1]!) ? (JSON.parse(body) as unknown) : body };
}

test('both guests make the same requests of the same events', () => {
  const cases = EVENTS.flatMap((one) => SIGNATURES.map((signature) => [one, signature] as const));
  const input = JSON.stringify(cases);
  const output = execFileSync(PYTHON, [...PYTHON_FLAGS, '-c', PROGRAM, import.meta.dirname], { input, encoding: 'utf8' });
  const answers = JSON.parse(output) as { headers: string[]; body: string }[][];
  for (const [index, [one, signature]] of cases.entries()) {
    const made = deliveriesOf(one, signature, 'my-project');
    const ours = (Array.isArray(made) ? made : [made]).map(({ headers, body }) => comparable({ headers, body: body.toString() }));
    assert.deepEqual(answers[index]!.map(comparable), ours, `${one.type} for ${signature}`);
  }
});

const CHECKER = `
import json, sys
sys.path.insert(0, sys.argv[1])
from virga_guest.failures import BadRequest
from virga_guest.forms.received_event import received_event
answers = []
for body in json.load(sys.stdin):
    try:
        received_event(body.encode())
        answers.append("taken")
    except BadRequest as error:
        answers.append(str(error))
json.dump(answers, sys.stdout)
`;

test('both guests say the same of an event that lacks a part', () => {
  const partial = [
    ...EVENTS,
    event('virga.queue.batch', {}),
    event('virga.queue.batch', { data: { queue: 'q', messages: [message('m', {}), { id: 'm' }, null] } }),
    event('virga.queue.batch', { data: { queue: 'q', messages: 1 } }),
    event('virga.topic.message', { data: { topic: 't', sentAt: '1' } }),
    event('virga.storage.object.created', { data_base64: 'aGk=' }),
    event('virga.storage.object.removed', {}),
    event('virga.schedule.due', { data: { schedule: 's', cron: true } }),
    { specversion: '1.0', id: 'e' },
    [],
    'text',
  ].map((one) => JSON.stringify(one));
  const expected = partial.map((one) => {
    try {
      receivedEvent('application/cloudevents+json', Buffer.from(one), TRANSLATED);
      return 'taken';
    } catch (error) {
      return (error as Error).message;
    }
  });
  assert.equal(expected.filter((one) => one === 'taken').length, EVENTS.length + 1);
  const printed = execFileSync(PYTHON, [...PYTHON_FLAGS, '-c', CHECKER, import.meta.dirname], { input: JSON.stringify(partial) });
  assert.deepEqual(JSON.parse(printed.toString()), expected);
});
