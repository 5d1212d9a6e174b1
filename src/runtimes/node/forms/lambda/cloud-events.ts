// Virga's events (protocol/events.ts) as AWS Lambda gives them to functions: queues as SQS, topics as SNS, objects as S3, schedules
// as EventBridge's scheduled events, table changes as a DynamoDB stream, records of streams as Kinesis, and every other type as an event of
// EventBridge.
// Invariant: an event has the fields that AWS documents, with values of the same type; what exists only at AWS (signatures,
// host ids) is an empty text. Called by events.ts. Sources of the shapes: docs.aws.amazon.com/lambda/latest/dg/with-sqs.html,
// with-sns.html, with-s3.html, with-ddb.html, with-kinesis.html, services-kinesis-windows.html, with-eventbridge-scheduler.html, and @types/aws-lambda.
import { EventType } from '../../../../protocol/events.ts';
import type {
  CloudEvent,
  ObjectChange,
  QueueBatch,
  QueueMessage,
  ScheduleDue,
  SocketConnect,
  SocketDisconnect,
  SocketMessage,
  StreamBatch,
  StreamItem,
  TableChanges,
  TopicMessage,
} from '../../../../protocol/events.ts';
import { attributeValues, sizeBytes } from './attribute-values.ts';
import type { LambdaIdentity } from './environment.ts';
import { toSocketEvent } from './web-socket.ts';

type Owner = Pick<LambdaIdentity, 'region' | 'account' | 'functionName' | 'project'>;

export function fromCloudEvent(event: CloudEvent, owner: Owner): unknown {
  switch (event.type) {
    case EventType.queue: {
      const { queue, messages } = dataOf<QueueBatch>(event, 'queue', 'messages');
      return { Records: messages.map((message) => sqsRecord(message, queue, owner)) };
    }
    case EventType.topic:
      return { Records: [snsRecord(dataOf<TopicMessage>(event, 'topic', 'body'), owner)] };
    case EventType.objectCreated:
    case EventType.objectRemoved:
      return { Records: [s3Record(event, dataOf<ObjectChange>(event, 'bucket', 'key'), owner)] };
    case EventType.table: {
      const { table, changes } = dataOf<TableChanges>(event, 'table', 'changes');
      return { Records: changes.map((change) => streamRecord(change, table, owner)) };
    }
    case EventType.stream:
      return kinesisEvent(dataOf<StreamBatch>(event, 'stream', 'records'), owner);
    case EventType.schedule: {
      const { schedule, dueAt, input } = dataOf<ScheduleDue>(event, 'schedule', 'dueAt');
      // A target with an input gets that alone (EventBridge's Input, the payload of EventBridge Scheduler).
      if (input !== undefined) return input;
      const resource = `arn:aws:events:${owner.region}:${owner.account}:rule/${schedule}`;
      const scheduled = { id: event.id, type: 'Scheduled Event', source: 'aws.events', time: new Date(dueAt).toISOString() };
      return eventBridgeEvent(scheduled, { resources: [resource], detail: {} }, owner);
    }
    case EventType.socketConnect:
      dataOf<SocketConnect>(event, 'connectionId', 'query');
      return toSocketEvent(event, owner.project);
    case EventType.socketMessage:
      dataOf<SocketMessage>(event, 'connectionId', 'isBinary');
      return toSocketEvent(event, owner.project);
    case EventType.socketDisconnect:
      dataOf<SocketDisconnect>(event, 'connectionId', 'code');
      return toSocketEvent(event, owner.project);
    default: {
      const detail = event.data_base64 === undefined ? (event.data ?? {}) : { data_base64: event.data_base64 };
      return eventBridgeEvent({ ...event, time: event.time ?? new Date().toISOString() }, { resources: [], detail }, owner);
    }
  }
}

/** An event of our own types without what makes it one is said to be so, since anybody may send it by hand. */
function dataOf<D extends object>(event: CloudEvent, ...needed: (keyof D & string)[]): D {
  const data = event.data as D | undefined;
  const missing = needed.filter(
    (name) => data?.[name] === undefined || (['messages', 'changes', 'records'].includes(name) && !Array.isArray(data[name])),
  );
  if (data === undefined || missing.length > 0) {
    throw new TypeError(`the event '${event.id}' of type ${event.type} lacks ${missing.map((name) => `data.${name}`).join(', ')}`);
  }
  return data;
}

function sqsRecord(message: QueueMessage, queue: string, { region, account }: Owner): Record<string, unknown> {
  const { id, body, attempt, sentAt, firstReceivedAt, group, deduplicationId, sequence } = message;
  const sent = Object.entries(message.attributes ?? {});
  const attributes: Record<string, string> = {
    ApproximateReceiveCount: String(attempt),
    SentTimestamp: String(sentAt),
    SenderId: account,
    ApproximateFirstReceiveTimestamp: String(firstReceivedAt),
  };
  // Of FIFO queues alone.
  if (sequence !== undefined && group !== undefined) attributes['SequenceNumber'] = sequence;
  if (group !== undefined) attributes['MessageGroupId'] = group;
  if (deduplicationId !== undefined) attributes['MessageDeduplicationId'] = deduplicationId;
  return {
    messageId: id,
    // Another one for each time that it is received.
    receiptHandle: Buffer.from(`${queue}/${id}/${attempt}`).toString('base64'),
    body,
    attributes,
    messageAttributes: Object.fromEntries(
      sent.map(([name, stringValue]) => [name, { stringValue, stringListValues: [], binaryListValues: [], dataType: 'String' }]),
    ),
    ...(sent.length === 0 ? {} : { md5OfMessageAttributes: md5(attributesDigest(sent)) }),
    md5OfBody: md5(body),
    eventSource: 'aws:sqs',
    eventSourceARN: `arn:aws:sqs:${region}:${account}:${queue}`,
    awsRegion: region,
  };
}

/** docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html, calculating the MD5 message digest. */
function attributesDigest(attributes: [name: string, value: string][]): Buffer {
  const sorted = attributes.toSorted(([a], [b]) => (a < b ? -1 : 1));
  // 1: the value is a text.
  return Buffer.concat(sorted.flatMap(([name, value]) => [...measured(name), ...measured('String'), Buffer.of(1), ...measured(value)]));
}

function measured(text: string): Buffer[] {
  const bytes = Buffer.from(text);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return [length, bytes];
}

function md5(data: string | Buffer): string {
  return process.getBuiltinModule('node:crypto').hash('md5', data);
}

function snsRecord(message: TopicMessage, { region, account, functionName }: Owner): Record<string, unknown> {
  const topicArn = `arn:aws:sns:${region}:${account}:${message.topic}`;
  return {
    EventVersion: '1.0',
    EventSubscriptionArn: `${topicArn}:${functionName}`,
    EventSource: 'aws:sns',
    Sns: {
      SignatureVersion: '1',
      Timestamp: new Date(message.sentAt).toISOString(),
      Signature: '',
      SigningCertUrl: '',
      MessageId: message.id,
      Message: message.body,
      MessageAttributes: Object.fromEntries(
        Object.entries(message.attributes ?? {}).map(([name, value]) => [name, { Type: 'String', Value: value }]),
      ),
      Type: 'Notification',
      UnsubscribeUrl: '',
      TopicArn: topicArn,
      Subject: message.subject ?? null,
    },
  };
}

function s3Record(event: CloudEvent, change: ObjectChange, { region, account, functionName }: Owner): Record<string, unknown> {
  const created = event.type === EventType.objectCreated;
  const object: Record<string, unknown> = { key: encodedKey(change.key) };
  // Of an object that is gone S3 tells neither.
  if (created) Object.assign(object, { size: change.bytes, eTag: change.etag.replaceAll('"', '') });
  if (change.version !== undefined) object['versionId'] = change.version;
  object['sequencer'] = change.sequence ?? '';
  return {
    eventVersion: '2.1',
    eventSource: 'aws:s3',
    awsRegion: region,
    eventTime: new Date(event.time ?? Date.now()).toISOString(),
    eventName: created ? 'ObjectCreated:Put' : 'ObjectRemoved:Delete',
    userIdentity: { principalId: account },
    requestParameters: { sourceIPAddress: '' },
    responseElements: { 'x-amz-request-id': event.id, 'x-amz-id-2': '' },
    s3: {
      s3SchemaVersion: '1.0',
      configurationId: functionName,
      bucket: { name: change.bucket, ownerIdentity: { principalId: account }, arn: `arn:aws:s3:::${change.bucket}` },
      object,
    },
  };
}

/** As in a form: `Happy+Face.jpg`; the slashes stay. */
function encodedKey(key: string): string {
  return encodeURIComponent(key)
    .replaceAll('%20', '+')
    .replaceAll('%2F', '/')
    .replace(/[!'()~]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
}

const OPERATIONS = { insert: 'INSERT', update: 'MODIFY', delete: 'REMOVE' } as const;

function streamRecord(change: TableChanges['changes'][number], table: string, { region, account }: Owner): Record<string, unknown> {
  const { keys, before, after } = change;
  return {
    eventID: change.id,
    eventName: OPERATIONS[change.operation],
    eventVersion: '1.1',
    eventSource: 'aws:dynamodb',
    awsRegion: region,
    dynamodb: {
      ApproximateCreationDateTime: Math.floor(change.at / 1000),
      Keys: attributeValues(keys),
      ...(after === undefined ? {} : { NewImage: attributeValues(after) }),
      ...(before === undefined ? {} : { OldImage: attributeValues(before) }),
      SequenceNumber: change.sequence,
      SizeBytes: sizeBytes(keys) + sizeBytes(before) + sizeBytes(after),
      StreamViewType: 'NEW_AND_OLD_IMAGES',
    },
    eventSourceARN: `arn:aws:dynamodb:${region}:${account}:table/${table}/stream/1970-01-01T00:00:00.000`,
  };
}

function kinesisEvent({ stream, partition, records, window, state }: StreamBatch, owner: Owner): Record<string, unknown> {
  const eventSourceARN = `arn:aws:kinesis:${owner.region}:${owner.account}:stream/${stream}`;
  const shardId = `shardId-${String(partition).padStart(12, '0')}`;
  const Records = records.map((record) => kinesisRecord(record, { shardId, eventSourceARN, owner }));
  if (window === undefined) return { Records };
  const [start, end] = [window.start, window.end].map((at) => `${new Date(at).toISOString().slice(0, 19)}Z`);
  const rest = { isFinalInvokeForWindow: window.final, isWindowTerminatedEarly: false };
  return { Records, window: { start, end }, state: state ?? {}, shardId, eventSourceARN, ...rest };
}

function kinesisRecord(
  { key, data, position, at }: StreamItem,
  { shardId, eventSourceARN, owner }: { shardId: string; eventSourceARN: string; owner: Owner },
): Record<string, unknown> {
  const sequenceNumber = String(position);
  return {
    kinesis: {
      kinesisSchemaVersion: '1.0',
      partitionKey: key,
      sequenceNumber,
      data: Buffer.from(data).toString('base64'),
      approximateArrivalTimestamp: at / 1000,
    },
    eventSource: 'aws:kinesis',
    eventVersion: '1.0',
    eventID: `${shardId}:${sequenceNumber}`,
    eventName: 'aws:kinesis:record',
    invokeIdentityArn: `arn:aws:iam::${owner.account}:role/${owner.functionName}`,
    awsRegion: owner.region,
    eventSourceARN,
  };
}

interface Told {
  id: string;
  type: string;
  source: string;
  time: string;
}

function eventBridgeEvent(
  { id, type, source, time }: Told,
  { resources, detail }: { resources: string[]; detail: unknown },
  { region, account }: Owner,
): Record<string, unknown> {
  // To the second, as EventBridge tells it.
  const at = `${new Date(time).toISOString().slice(0, 19)}Z`;
  return { version: '0', id, 'detail-type': type, source, account, time: at, region, resources, detail };
}
