// Golden shapes of what Azure's host gives functions, field by field, as the library hands them on: the real `@azure/functions` is in
// test/system/forms/azure.test.ts; here is what it is made of.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CloudEvent } from '../../../../protocol/events.ts';
import { bindBlobPath } from './blob-path.ts';
import { blobInput, changeOf, messageInput, timerInput } from './trigger-inputs.ts';

test('the timer of the documents', () => {
  // learn.microsoft.com/azure/azure-functions/functions-bindings-timer (usage), in the host's spelling
  const documented = {
    Schedule: { AdjustForDST: true },
    ScheduleStatus: { Last: '2016-10-04T10:15:00+00:00', LastUpdated: '2016-10-04T10:16:00+00:00', Next: '2016-10-04T10:20:00+00:00' },
    IsPastDue: false,
  };
  const due = {
    schedule: 's',
    cron: '*/5 * * * *',
    timezone: 'UTC',
    previousAt: Date.parse('2016-10-04T10:15:00Z'),
    dueAt: Date.parse('2016-10-04T10:16:00Z'),
    nextAt: Date.parse('2016-10-04T10:20:00Z'),
  };
  const timer = (late: number): unknown => JSON.parse(timerInput(due, due.dueAt + late).data.json!);
  assert.deepEqual(timer(5_000), documented);
  assert.deepEqual(timer(61_000), { ...documented, IsPastDue: true });
});

test('a first and last occurrence has no neighbours', () => {
  const input = timerInput({ schedule: 's', cron: '* * * * *', timezone: 'UTC', dueAt: 1_500 }, 1_500);
  assert.deepEqual((JSON.parse(input.data.json!) as { ScheduleStatus: unknown }).ScheduleStatus, {
    Last: '0001-01-01T00:00:00+00:00',
    LastUpdated: '1970-01-01T00:00:01.500+00:00',
    Next: '0001-01-01T00:00:00+00:00',
  });
});

test('the metadata of a queue message has every field of the documents', () => {
  // learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue-trigger (message metadata)
  const sentAt = Date.parse('2026-01-01T00:00:00Z');
  const input = messageInput({ id: 'm1', body: '{"a":1}', attributes: {}, attempt: 2, sentAt, firstReceivedAt: sentAt }, sentAt + 30_000);
  assert.deepEqual(input.data, { string: '{"a":1}' });
  assert.deepEqual(input.triggerMetadata, {
    QueueTrigger: { string: '{"a":1}' },
    DequeueCount: { int: 2 },
    ExpirationTime: { json: '"2026-01-08T00:00:00+00:00"' },
    Id: { string: 'm1' },
    InsertionTime: { json: '"2026-01-01T00:00:00+00:00"' },
    NextVisibleTime: { json: '"2026-01-01T00:00:30+00:00"' },
    PopReceipt: { string: 'm1:2' },
  });
});

const CREATED: CloudEvent = {
  specversion: '1.0',
  id: 'evt_1',
  source: '/projects/p/buckets/samples-workitems',
  type: 'virga.storage.object.created',
  subject: 'folder/a b.txt',
  time: '2026-01-01T00:00:00Z',
  data: { bucket: 'samples-workitems', key: 'folder/a b.txt', bytes: 2, etag: '"x"', contentType: 'text/plain' },
};

test('a blob has its content, its path, and what the path binds', () => {
  // learn.microsoft.com/azure/azure-functions/functions-bindings-storage-blob-trigger (metadata)
  const event = { ...CREATED, data_base64: Buffer.from('hi').toString('base64') };
  const input = blobInput(event, changeOf(event), { name: 'folder/a b.txt' });
  assert.deepEqual(input.data, { bytes: Buffer.from('hi') });
  const { Properties, ...metadata } = input.triggerMetadata;
  assert.deepEqual(metadata, {
    BlobTrigger: { string: 'samples-workitems/folder/a b.txt' },
    Uri: { json: '"virga://buckets/samples-workitems/folder/a%20b.txt"' },
    Metadata: { json: '{}' },
    name: { string: 'folder/a b.txt' },
  });
  assert.deepEqual(JSON.parse(Properties!.json!), {
    ContentLength: 2,
    ETag: '"x"',
    BlobType: 'Block',
    ContentType: 'text/plain',
    LastModified: '2026-01-01T00:00:00+00:00',
  });
});

test('an event about an object without its content is refused, and says what is missing', () => {
  assert.throws(() => blobInput(CREATED, changeOf(CREATED), {}), {
    name: 'EventNotTaken',
    message: /'samples-workitems\/folder\/a b\.txt' was created but does not carry its content.*`data_base64`/,
  });
});

test('an event whose data is the content names the object by its source and subject', () => {
  const { data: _, ...event } = CREATED;
  assert.deepEqual(changeOf({ ...event, data_base64: 'aGk=', datacontenttype: 'text/plain' }), {
    bucket: 'samples-workitems',
    key: 'folder/a b.txt',
    bytes: 2,
    etag: '',
    contentType: 'text/plain',
  });
  const { subject: __, ...nameless } = event;
  assert.throws(() => changeOf(nameless), { name: 'EventNotTaken', message: /needs its key as `subject`/ });
});

test('paths of blobs bind as the documents say', () => {
  // learn.microsoft.com/azure/azure-functions/functions-bindings-storage-blob-trigger (blob name patterns)
  const bind = (template: string, place: string): unknown =>
    bindBlobPath(template, { container: place.slice(0, place.indexOf('/')), name: place.slice(place.indexOf('/') + 1) });
  assert.deepEqual(bind('input/{blobname}.{blobextension}', 'input/original-Blob1.txt'), {
    blobname: 'original-Blob1',
    blobextension: 'txt',
  });
  assert.deepEqual(bind('input/original-{name}', 'input/original-Blob1.txt'), { name: 'Blob1.txt' });
  assert.deepEqual(bind('samples/{name}.png', 'samples/a/b.png'), { name: 'a/b' });
  assert.deepEqual(bind('images/{{20140101}}-{name}', 'images/{20140101}-soundfile.mp3'), { name: 'soundfile.mp3' });
  assert.deepEqual(bind('images', 'images/x/y'), { name: 'x/y' });
  assert.equal(bind('input/{name}.png', 'input/a.txt'), undefined);
  assert.equal(bind('input/{name}', 'other/a.txt'), undefined);
});
