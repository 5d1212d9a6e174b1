// What Azure's host gives a function beside HTTP: a timer, a message of a storage queue, a blob, with their trigger metadata, made
// of Virga's events. Invariant: names and types are those of Azure's documents (each is cited); what Virga cannot know is left out
// or said to be unknown, never invented. Pure; called by events.ts.
import type { CloudEvent, ObjectChange, QueueMessage, ScheduleDue } from '../../../../protocol/events.ts';
import type { Input } from './call.ts';
import type { TypedData } from './core-types.ts';
import { EventNotTaken } from './event-not-taken.ts';

/** Later than this is past due: an instance's cold start is not. */
const PAST_DUE_MS = 60_000;
/** How long Azure keeps a message unless told otherwise. */
const MESSAGE_LIFE_MS = 7 * 86_400_000;
/** .NET's way of saying never. */
const NEVER = '0001-01-01T00:00:00+00:00';

/** learn.microsoft.com/azure/azure-functions/functions-bindings-timer (usage: the timer object). */
export function timerInput(due: ScheduleDue, now: number): Input {
  const timer = {
    Schedule: { AdjustForDST: true },
    ScheduleStatus: {
      Last: due.previousAt === undefined ? NEVER : offsetTime(due.previousAt),
      LastUpdated: offsetTime(due.dueAt),
      Next: due.nextAt === undefined ? NEVER : offsetTime(due.nextAt),
    },
    IsPastDue: now - due.dueAt > PAST_DUE_MS,
  };
  return { data: json(timer), triggerMetadata: {} };
}

/** learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue-trigger (message metadata). */
export function messageInput(message: QueueMessage, visibleAgainAt: number): Input {
  return {
    data: { string: message.body },
    triggerMetadata: {
      QueueTrigger: { string: message.body },
      DequeueCount: { int: message.attempt },
      ExpirationTime: json(offsetTime(message.sentAt + MESSAGE_LIFE_MS)),
      Id: { string: message.id },
      InsertionTime: json(offsetTime(message.sentAt)),
      NextVisibleTime: json(offsetTime(visibleAgainAt)),
      PopReceipt: { string: `${message.id}:${message.attempt}` },
    },
  };
}

/** learn.microsoft.com/azure/azure-functions/functions-bindings-storage-blob-trigger (metadata). */
export function blobInput(event: CloudEvent, change: ObjectChange, bound: Record<string, string>): Input {
  const place = `${change.bucket}/${change.key}`;
  if (event.data_base64 === undefined) {
    throw new EventNotTaken(
      `the event says that '${place}' was created but does not carry its content, and a blob trigger gets the content; send it as \`data_base64\` of the event`,
    );
  }
  const properties: Record<string, unknown> = { ContentLength: change.bytes, ETag: change.etag, BlobType: 'Block' };
  if (change.contentType !== undefined) properties['ContentType'] = change.contentType;
  if (event.time !== undefined) properties['LastModified'] = offsetTime(Date.parse(event.time));
  const triggerMetadata: Record<string, TypedData> = {
    BlobTrigger: { string: place },
    Uri: json(`virga://buckets/${change.bucket}/${change.key.split('/').map(encodeURIComponent).join('/')}`),
    Properties: json(properties),
    Metadata: json({}),
  };
  for (const [name, value] of Object.entries(bound)) triggerMetadata[name] = { string: value };
  return { data: { bytes: Buffer.from(event.data_base64, 'base64') }, triggerMetadata };
}

/** The change, also of an event whose data is the content alone. */
export function changeOf(event: CloudEvent): ObjectChange {
  if (event.data !== undefined) return event.data as ObjectChange;
  const bucket = /\/buckets\/([^/]+)/.exec(event.source)?.[1];
  if (bucket === undefined || event.subject === undefined)
    throw new EventNotTaken('an event about an object without `data` needs its key as `subject`, and /buckets/<name> in its `source`');
  const bytes = Buffer.byteLength(event.data_base64 ?? '', 'base64');
  return {
    bucket,
    key: event.subject,
    bytes,
    etag: '',
    ...(event.datacontenttype === undefined ? {} : { contentType: event.datacontenttype }),
  };
}

function json(value: unknown): TypedData {
  return { json: JSON.stringify(value) };
}

/** As .NET writes a DateTimeOffset. */
function offsetTime(ms: number): string {
  return new Date(ms).toISOString().replace(/(?:\.000)?Z$/, '+00:00');
}
