// A payload as the CloudEvent that its media type says it is. Invariant: what code behind this reads of Virga's own events is there
// and of the right type; anybody may send one by hand, and what is wrong with it is said by its place. Used by the forms
// `lambda`, `provided`, `azure` and `google`.
import { EventType, isCloudEvent } from '../../../protocol/events.ts';
import type { CloudEvent } from '../../../protocol/events.ts';
import { BadResponse } from '../failure.ts';

type Kind = 'string' | 'number' | 'object';
type Fields = Record<string, Kind>;

const MEDIA_TYPE = /^application\/cloudevents\+json\b/i;
const OBJECT: Fields = { bucket: 'string', key: 'string', bytes: 'number', etag: 'string' };
const NEEDED: Record<string, Fields> = {
  [EventType.queue]: { queue: 'string' },
  [EventType.topic]: { topic: 'string', id: 'string', body: 'string', attributes: 'object', sentAt: 'number' },
  [EventType.objectCreated]: OBJECT,
  [EventType.objectRemoved]: OBJECT,
  [EventType.schedule]: { schedule: 'string', cron: 'string', dueAt: 'number' },
  [EventType.table]: { table: 'string' },
};
/** Of each in a list of `data`. */
const LISTED: Record<string, { list: string; of: Fields }> = {
  [EventType.queue]: {
    list: 'messages',
    of: { id: 'string', body: 'string', attributes: 'object', attempt: 'number', sentAt: 'number' },
  },
  [EventType.table]: {
    list: 'changes',
    of: { id: 'string', operation: 'string', keys: 'object', at: 'number', sequence: 'string' },
  },
};
const PROBLEMS_MAX = 8;

/** No code of the function ran, so there is no stack. */
export class MalformedEvent extends BadResponse {
  override name = 'MalformedEvent';
}

/** `read`: the types whose data is looked into. Undefined: the media type says that it is something else. */
export function receivedEvent(contentType: string, payload: Buffer, read: readonly string[]): CloudEvent | undefined {
  if (!MEDIA_TYPE.test(contentType)) return undefined;
  let event: unknown;
  try {
    event = JSON.parse(payload.toString());
  } catch (error) {
    throw new MalformedEvent(`the payload is not valid JSON: ${(error as Error).message}`);
  }
  if (!isCloudEvent(event))
    throw new MalformedEvent(
      'the payload is no CloudEvent: it needs specversion "1.0", id, source and type; send any other JSON as application/json',
    );
  return read.includes(event.type) ? complete(event) : event;
}

/** The event, if all that is read of it is there; any of another's type is. */
export function complete(event: CloudEvent): CloudEvent {
  const problems = problemsOf(event);
  if (problems.length === 0) return event;
  throw new MalformedEvent(`the event '${event.id}' of type ${event.type} lacks ${problems.join(', ')}`);
}

function problemsOf(event: CloudEvent): string[] {
  const needed = NEEDED[event.type];
  // An object that is written may be told by its content alone.
  if (needed === undefined || (needed === OBJECT && event.data === undefined && event.data_base64 !== undefined)) return [];
  const problems = lacking(event.data, needed, 'data');
  const listed = LISTED[event.type];
  if (listed === undefined) return problems;
  const all = (event.data as Record<string, unknown> | undefined)?.[listed.list];
  if (!Array.isArray(all)) return [...problems, `data.${listed.list} (a list)`];
  return [...problems, ...all.flatMap((one, at) => lacking(one, listed.of, `data.${listed.list}[${at}]`))].slice(0, PROBLEMS_MAX);
}

function lacking(value: unknown, needed: Fields, place: string): string[] {
  const fields = (value ?? {}) as Record<string, unknown>;
  return Object.entries(needed)
    .filter(([name, kind]) => typeof fields[name] !== kind || fields[name] === null)
    .map(([name, kind]) => `${place}.${name} (${kind === 'object' ? 'an object' : `a ${kind}`})`);
}
