// Finds what an id names, and makes of it the call that it was: a recording, an asynchronous invocation, a dead letter or another message
// on the bus, or a record of a stream, which is named by its place. Invariant: nothing is changed by looking. Used by replay.ts.
import { CLOUD_EVENT_TYPE, EventType } from '../../protocol/events.ts';
import { VirgaError } from '../../protocol/errors.ts';
import type { CloudEvent, TopicMessage } from '../../protocol/events.ts';
import type { Sql } from '../../store/records/records.ts';
import type { AsyncRecords } from '../async/records.ts';
import { readRequest } from '../async/request.ts';
import type { AsyncRequest } from '../async/request.ts';
import type { Bus, StoredMessage } from '../bus.ts';
import { batchEvent } from '../deliver/queue-kind.ts';
import type { EventCall } from '../invoker.ts';
import { isStreamKey, keyParts, streamKey } from '../queue-keys.ts';
import { batchEvent as recordsEvent } from '../streams/batch-event.ts';
import { windowRulesOf, windowStarts } from '../streams/windows.ts';
import type { OpenWindow } from '../streams/windows.ts';
import type { Topology } from '../topology.ts';
import type { ComparedAnswer } from './difference.ts';
import type { RecordedMessage } from './record-events.ts';
import { findRecordings } from './recordings.ts';
import type { Recorded } from './recordings.ts';

export type OriginCall = Pick<EventCall, 'contentType' | 'body' | 'http' | 'requestLine'>;

export interface Origin {
  source: string;
  /** That it may be run by; of a request the one that answered. */
  functions: string[];
  call: OriginCall;
  /** By function, where that gets it another way. */
  callsBy?: ReadonlyMap<string, OriginCall>;
  redacted: string[];
  /** What was answered then. */
  answered: { version: number | null; invocation: string | null; answer: ComparedAnswer } | undefined;
}

export interface OriginParts {
  sql: Sql;
  bus: Pick<Bus, 'keys' | 'find' | 'read' | 'partitions'>;
  async: Pick<AsyncRecords, 'find'>;
  /** Unix ms. */
  now: () => number;
}

/** All that this id names, the best known first. */
export async function originsOf(parts: OriginParts, topology: Topology, id: string): Promise<Origin[]> {
  const { sql, now } = parts;
  const recorded = await findRecordings(sql, topology.project, id);
  const origins = recorded.map((one) =>
    one.source.startsWith('route')
      ? ofRequest(one)
      : ofMessage(topology, one.source, { id, ...(JSON.parse(one.content) as RecordedMessage) }, now(), one.redacted),
  );
  const row = await parts.async.find(topology.project, id);
  if (row !== undefined && row.request !== null) {
    const request = readRequest(row.request);
    const answer = row.answer === null ? undefined : { ...row.answer, body: row.answerBody ?? Buffer.alloc(0) };
    const answered = answer === undefined ? undefined : { version: row.version, invocation: row.invocation, answer };
    if (request !== undefined)
      origins.push({ ...ofAsync(row.function, request), redacted: request.http === undefined ? [] : CREDENTIALS, answered });
  }
  if (origins.length > 0) return origins;
  const keys = await parts.bus.keys(`${topology.project}/`);
  const [, stream = '', partition, position] = PLACE.exec(id) ?? [];
  if (!keys.includes(streamKey(topology.project, stream))) return onBus(parts, topology, { id, keys });
  return [await ofRecord(parts, topology, { stream, partition: Number(partition), position: Number(position) })];
}

/** `clicks/0:17`: stream, partition, position. */
const PLACE = /^([^/:\s]+)\/(\d{1,3}):(\d{1,15})$/;

async function ofRecord(
  { bus }: OriginParts,
  { project, streams }: Topology,
  { stream, partition, position }: { stream: string; partition: number; position: number },
): Promise<Origin> {
  const key = streamKey(project, stream);
  const [record] = await bus.read(key, partition, { after: position - 1, max: 1, bytesMax: 1 });
  if (record?.position !== position) {
    const all = await bus.partitions(key);
    const own = all.find((one) => one.partition === partition);
    const kept = own === undefined || own.newest < own.oldest ? 'it is empty' : `it has ${own.oldest} to ${own.newest}`;
    throw new VirgaError(
      'recording_not_found',
      own === undefined
        ? `the stream '${stream}' has no partition ${partition}; it has 0 to ${all.length - 1}`
        : `partition ${partition} of the stream '${stream}' has no record ${position}; ${kept}`,
    );
  }
  const triggers = streams.get(stream)?.triggers ?? [];
  const callIn = (window: OpenWindow | undefined): OriginCall =>
    eventCall(recordsEvent({ project, stream, partition, records: [record], window, final: false }, record.at));
  const callsBy = new Map<string, OriginCall>();
  for (const { function: fn, trigger } of triggers) {
    if (trigger.window === undefined) continue;
    const rules = windowRulesOf(trigger.window);
    const start = windowStarts(record.at, rules)[0]!;
    callsBy.set(fn, callIn({ start, end: start + rules.sizeMs, state: undefined }));
  }
  const functions = triggers.map((one) => one.function);
  return { source: `stream/${stream}`, functions, call: callIn(undefined), callsBy, redacted: [], answered: undefined };
}

/** What an asynchronous invocation does not keep of its request. */
const CREDENTIALS = ['header.authorization', 'header.cookie', 'header.x-api-key'];

function ofRequest(recorded: Recorded): Origin {
  const request = readRequest(recorded.content);
  if (request === undefined) throw impossible(recorded.id, 'its recording cannot be read');
  if (request.cut === true)
    throw impossible(recorded.id, 'the body of the request was larger than the 64 KiB that are kept, or came without its length');
  const { answer, answerBody, version, redacted, source, id } = recorded;
  return {
    ...ofAsync(recorded.function ?? '', request),
    source,
    redacted,
    answered: answer === null ? undefined : { version, invocation: id, answer: { ...answer, body: answerBody ?? Buffer.alloc(0) } },
  };
}

function ofAsync(fn: string, { contentType, body, http }: AsyncRequest): Origin {
  const call = { contentType, body, ...(http === undefined ? {} : { http }) };
  return { source: `async/${fn}`, functions: [fn], call, redacted: [], answered: undefined };
}

function ofMessage(
  { project, consumers }: Topology,
  source: string,
  message: RecordedMessage & { id: string },
  now: number,
  redacted: string[],
): Origin {
  const [kind = '', name = ''] = source.split('/');
  const functions = consumers.flatMap((one) =>
    one.kind === kind && one.source === name && one.function !== undefined ? [one.function] : [],
  );
  const { id, body, attributes, subject, group, sentAt } = message;
  const event =
    kind === 'topic'
      ? topicEvent(project, { topic: name, id, body, attributes, sentAt, ...(subject === undefined ? {} : { subject }) })
      : batchEvent({ project, queue: name, now }, [
          {
            id,
            body,
            attributes,
            sentAt,
            group: group ?? null,
            deduplicationId: null,
            sequence: '0',
            firstReceivedAt: now,
            attempt: 1,
            lastError: null,
            state: 'held',
            dueAt: now,
            died: null,
            receipt: '',
          },
        ]);
  return { source, functions, call: eventCall(event), redacted, answered: undefined };
}

function topicEvent(project: string, data: TopicMessage): CloudEvent<TopicMessage> {
  return {
    specversion: '1.0',
    id: data.id,
    source: `/projects/${project}/topics/${data.topic}`,
    type: EventType.topic,
    time: new Date(data.sentAt).toISOString(),
    subject: data.topic,
    datacontenttype: 'application/json',
    data,
  };
}

function eventCall(event: CloudEvent): Origin['call'] {
  return { contentType: CLOUD_EVENT_TYPE, body: Buffer.from(JSON.stringify(event)) };
}

/** Dead letters first: what died is what people look into. */
async function onBus({ bus, now }: OriginParts, topology: Topology, { id, keys: all }: { id: string; keys: string[] }): Promise<Origin[]> {
  const keys = all.filter(mayHaveCalls);
  const dead = (key: string): boolean => keyParts(key).kind === 'dead';
  for (const key of [...keys.filter(dead), ...keys.filter((one) => !dead(one))]) {
    const message = await bus.find(key, id);
    if (message !== undefined) return [ofStored(topology, message.died?.from ?? key, message, now())];
  }
  return [];
}

function mayHaveCalls(key: string): boolean {
  return keyParts(key).kind !== 'redrive' && !isStreamKey(key);
}

function ofStored(topology: Topology, key: string, message: StoredMessage, now: number): Origin {
  const { kind, name } = keyParts(key);
  const [first = '', second = ''] = name.split('/');
  const { id, body, attributes, sentAt, group } = message;
  switch (kind) {
    case 'queue':
      return ofMessage(topology, `queue/${name}`, { id, body, attributes, sentAt, ...(group === null ? {} : { group }) }, now, []);
    case 'topic':
    case 'schedule':
    case 'stream':
      return { source: `${kind}/${first}`, functions: [second], call: eventText(body), redacted: [], answered: undefined };
    case 'event':
      return { source: `event/${first}`, functions: [first], call: eventText(body), redacted: [], answered: undefined };
    case 'async': {
      const request = readRequest(body);
      if (request !== undefined) return ofAsync(first, request);
      throw impossible(id, 'its message cannot be read');
    }
    default:
      throw impossible(id, `what goes to a ${kind} is not a call of a function`);
  }
}

function eventText(body: string): Origin['call'] {
  return { contentType: CLOUD_EVENT_TYPE, body: Buffer.from(body) };
}

function impossible(id: string, why: string): VirgaError {
  return new VirgaError('replay_impossible', `${id} cannot be run again: ${why}`);
}
