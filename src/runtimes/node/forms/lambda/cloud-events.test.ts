// Golden: Virga's events as SQS, SNS, S3, EventBridge, schedules and DynamoDB streams, field by field against the examples in AWS's
// documentation, whose values are written here by hand. The CloudEvents are those that such an example stands for. Types:
// @types/aws-lambda. What exists only at AWS (signatures, ids of its hosts) is an empty text here.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DynamoDBStreamEvent, EventBridgeEvent, S3Event, SNSEvent, SQSEvent, ScheduledEvent } from 'aws-lambda';
import { CLOUD_EVENT_TYPE, EventType } from '../../../../protocol/events.ts';
import type { CloudEvent, ObjectChange, QueueBatch, ScheduleDue, TableChanges, TopicMessage } from '../../../../protocol/events.ts';
import type { EventRequestMeta } from '../../../../protocol/frames.ts';
import { lambdaIdentity } from './environment.ts';
import type { LambdaIdentity } from './environment.ts';
import { fromLambdaResult, toLambdaEvent } from './events.ts';

const meta: EventRequestMeta = { kind: 'event', id: 'inv_1', trace: '', trigger: 'invoke', contentType: CLOUD_EVENT_TYPE };

function identity(region: string, account: string): LambdaIdentity {
  const init = { project: 'shop', function: 'my-function', version: 1, handler: 'a.js', memoryMiB: 128, env: { AWS_REGION: region } };
  return { ...lambdaIdentity(init), account };
}

function cloudEvent<Data>(type: string, data: Data, more: Partial<CloudEvent<Data>> = {}): CloudEvent<Data> {
  return { specversion: '1.0', id: 'evt_1', source: '/projects/shop', type, data, ...more };
}

function eventOf<E>(event: CloudEvent, region = 'us-east-2', account = '123456789012'): E {
  return toLambdaEvent(meta, Buffer.from(JSON.stringify(event)), { identity: identity(region, account) }) as E;
}

// https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html, "Example standard queue message event"
test('a queue, as documented for SQS', () => {
  const expected: SQSEvent = {
    Records: [
      {
        messageId: '059f36b4-87a3-44ab-83d2-661975830a7d',
        receiptHandle: 'bXktcXVldWUvMDU5ZjM2YjQtODdhMy00NGFiLTgzZDItNjYxOTc1ODMwYTdkLzE=',
        body: 'Test message.',
        attributes: {
          ApproximateReceiveCount: '1',
          SentTimestamp: '1545082649183',
          SenderId: '123456789012',
          ApproximateFirstReceiveTimestamp: '1545082649185',
        },
        messageAttributes: {
          myAttribute: { stringValue: 'myValue', stringListValues: [], binaryListValues: [], dataType: 'String' },
        },
        // Left out of the example; Lambda sends it where there are attributes.
        md5OfMessageAttributes: '7c0ce6358e063c1ed17ed00520448716',
        md5OfBody: 'e4e68fb7bd0e697a0ae8f1bb342846b3',
        eventSource: 'aws:sqs',
        eventSourceARN: 'arn:aws:sqs:us-east-2:123456789012:my-queue',
        awsRegion: 'us-east-2',
      },
      {
        messageId: '2e1424d4-f796-459a-8184-9c92662be6da',
        receiptHandle: 'bXktcXVldWUvMmUxNDI0ZDQtZjc5Ni00NTlhLTgxODQtOWM5MjY2MmJlNmRhLzM=',
        body: 'Test message.',
        attributes: {
          ApproximateReceiveCount: '3',
          SentTimestamp: '1545082650636',
          SenderId: '123456789012',
          ApproximateFirstReceiveTimestamp: '1545082650649',
        },
        messageAttributes: {},
        md5OfBody: 'e4e68fb7bd0e697a0ae8f1bb342846b3',
        eventSource: 'aws:sqs',
        eventSourceARN: 'arn:aws:sqs:us-east-2:123456789012:my-queue',
        awsRegion: 'us-east-2',
      },
    ],
  };
  const batch: QueueBatch = {
    queue: 'my-queue',
    messages: [
      {
        id: '059f36b4-87a3-44ab-83d2-661975830a7d',
        body: 'Test message.',
        attributes: { myAttribute: 'myValue' },
        attempt: 1,
        sentAt: 1_545_082_649_183,
        firstReceivedAt: 1_545_082_649_185,
      },
      {
        id: '2e1424d4-f796-459a-8184-9c92662be6da',
        body: 'Test message.',
        attributes: {},
        attempt: 3,
        sentAt: 1_545_082_650_636,
        firstReceivedAt: 1_545_082_650_649,
      },
    ],
  };
  assert.deepEqual(eventOf<SQSEvent>(cloudEvent(EventType.queue, batch)), expected);
});

// https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html, "Example FIFO queue message event"
test('an ordered queue, as documented for SQS FIFO', () => {
  const message = {
    id: '11d6ee51-4cc7-4302-9e22-7cd8afdaadf5',
    body: 'Test message.',
    attributes: {},
    attempt: 1,
    sentAt: 1_573_251_510_774,
    firstReceivedAt: 1_573_251_510_774,
    sequence: '18849496460467696128',
    group: '1',
    deduplicationId: '1',
  };
  const [record] = eventOf<SQSEvent>(cloudEvent<QueueBatch>(EventType.queue, { queue: 'fifo.fifo', messages: [message] })).Records;
  assert.deepEqual(record!.attributes, {
    ApproximateReceiveCount: '1',
    SentTimestamp: '1573251510774',
    SequenceNumber: '18849496460467696128',
    MessageGroupId: '1',
    SenderId: '123456789012',
    MessageDeduplicationId: '1',
    ApproximateFirstReceiveTimestamp: '1573251510774',
  });
  assert.equal(record!.eventSourceARN, 'arn:aws:sqs:us-east-2:123456789012:fifo.fifo');
});

test('a queue without order has no sequence numbers, as at AWS', () => {
  const message = { id: 'm', body: '', attributes: {}, attempt: 1, sentAt: 0, firstReceivedAt: 0, sequence: '17' };
  const [record] = eventOf<SQSEvent>(cloudEvent<QueueBatch>(EventType.queue, { queue: 'q', messages: [message] })).Records;
  assert.equal('SequenceNumber' in record!.attributes, false);
});

// https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html
test('a topic, as documented for SNS', () => {
  const expected: SNSEvent = {
    Records: [
      {
        EventVersion: '1.0',
        EventSubscriptionArn: 'arn:aws:sns:us-east-2:123456789012:sns-lambda:my-function',
        EventSource: 'aws:sns',
        Sns: {
          SignatureVersion: '1',
          Timestamp: '2019-01-02T12:45:07.000Z',
          Signature: '',
          SigningCertUrl: '',
          MessageId: '95df01b4-ee98-5cb9-9903-4c221d41eb5e',
          Message: 'Hello from SNS!',
          MessageAttributes: { Test: { Type: 'String', Value: 'TestString' } },
          Type: 'Notification',
          UnsubscribeUrl: '',
          TopicArn: 'arn:aws:sns:us-east-2:123456789012:sns-lambda',
          Subject: 'TestInvoke',
        },
      },
    ],
  };
  const message: TopicMessage = {
    topic: 'sns-lambda',
    id: '95df01b4-ee98-5cb9-9903-4c221d41eb5e',
    subject: 'TestInvoke',
    body: 'Hello from SNS!',
    attributes: { Test: 'TestString' },
    sentAt: Date.UTC(2019, 0, 2, 12, 45, 7),
  };
  assert.deepEqual(eventOf<SNSEvent>(cloudEvent(EventType.topic, message)), expected);
});

// https://docs.aws.amazon.com/lambda/latest/dg/with-s3.html
test('an object that was created, as documented for S3', () => {
  const expected: S3Event = {
    Records: [
      {
        eventVersion: '2.1',
        eventSource: 'aws:s3',
        awsRegion: 'us-east-2',
        eventTime: '2019-09-03T19:37:27.192Z',
        eventName: 'ObjectCreated:Put',
        userIdentity: { principalId: '123456789012' },
        requestParameters: { sourceIPAddress: '' },
        responseElements: { 'x-amz-request-id': 'evt_1', 'x-amz-id-2': '' },
        s3: {
          s3SchemaVersion: '1.0',
          configurationId: 'my-function',
          bucket: {
            name: 'DOC-EXAMPLE-BUCKET',
            ownerIdentity: { principalId: '123456789012' },
            arn: 'arn:aws:s3:::DOC-EXAMPLE-BUCKET',
          },
          object: {
            key: 'b21b84d653bb07b05b1e6b33684dc11b',
            size: 1_305_107,
            eTag: 'b21b84d653bb07b05b1e6b33684dc11b',
            sequencer: '0C0F6F405D6ED209E1',
          },
        },
      },
    ],
  };
  const change: ObjectChange = {
    bucket: 'DOC-EXAMPLE-BUCKET',
    key: 'b21b84d653bb07b05b1e6b33684dc11b',
    bytes: 1_305_107,
    etag: '"b21b84d653bb07b05b1e6b33684dc11b"',
    sequence: '0C0F6F405D6ED209E1',
  };
  const time = '2019-09-03T19:37:27.192Z';
  assert.deepEqual(eventOf<S3Event>(cloudEvent(EventType.objectCreated, change, { time })), expected);
});

// https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html: "The s3 key provides information
// about the bucket and object involved in the event. The object key name value is URL encoded. For example, 'red flower.jpg'
// becomes 'red+flower.jpg'."
test('an object that was removed; keys are encoded as in a form', () => {
  const change: ObjectChange = { bucket: 'b', key: "a/red flower+(1)*'ü.jpg", bytes: 0, etag: '', version: 'v1', sequence: '1' };
  const [record] = eventOf<S3Event>(cloudEvent(EventType.objectRemoved, change)).Records;
  assert.equal(record!.eventName, 'ObjectRemoved:Delete');
  assert.deepEqual(record!.s3.object, { key: 'a/red+flower%2B%281%29*%27%C3%BC.jpg', versionId: 'v1', sequencer: '1' });
  assert.equal(decodeURIComponent(record!.s3.object.key.replaceAll('+', ' ')), change.key);
});

// https://docs.aws.amazon.com/lambda/latest/dg/services-cloudwatchevents.html, "scheduled event"
test('a schedule, as documented for EventBridge', () => {
  const expected: ScheduledEvent = {
    version: '0',
    account: '123456789012',
    region: 'us-east-2',
    detail: {},
    'detail-type': 'Scheduled Event',
    source: 'aws.events',
    time: '2019-03-01T01:23:45Z',
    id: 'cdc73f9d-aea9-11e3-9d5a-835b769c0d9c',
    resources: ['arn:aws:events:us-east-2:123456789012:rule/my-schedule'],
  };
  const due: ScheduleDue = { schedule: 'my-schedule', cron: '23 1 1 3 *', timezone: 'UTC', dueAt: Date.UTC(2019, 2, 1, 1, 23, 45) };
  const event = cloudEvent(EventType.schedule, due, { id: 'cdc73f9d-aea9-11e3-9d5a-835b769c0d9c' });
  assert.deepEqual(eventOf<ScheduledEvent>(event), expected);
});

// https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_Target.html, Input: "Valid JSON text passed to the target. In this case,
// nothing from the event itself is passed to the target."
test('a schedule with an input is that input, whatever JSON it is', () => {
  for (const input of [{ report: 'sales' }, 'text', 7, null, []]) {
    const due: ScheduleDue = { schedule: 's', cron: '', timezone: 'UTC', dueAt: 0, input };
    const event = eventOf(cloudEvent(EventType.schedule, due));
    assert.deepEqual(event, input);
    assert.equal(fromLambdaResult({ batchItemFailures: [] }, { meta, event }).status, 200);
  }
});

// https://docs.aws.amazon.com/lambda/latest/dg/services-cloudwatchevents.html, "Example Amazon RDS event"
test('a CloudEvent of any other type, as documented for EventBridge', () => {
  const detail = { EventCategories: ['backup'], SourceType: 'DB_INSTANCE', Message: 'Finished DB Instance backup' };
  const expected: EventBridgeEvent<'RDS DB Instance Event', typeof detail> = {
    version: '0',
    id: 'fe8d3c65-xmpl-c5c3-2c87-81584709a377',
    'detail-type': 'RDS DB Instance Event',
    source: 'aws.rds',
    account: '123456789012',
    time: '2020-04-28T07:20:20Z',
    region: 'us-east-2',
    resources: [],
    detail,
  };
  const more = { id: 'fe8d3c65-xmpl-c5c3-2c87-81584709a377', source: 'aws.rds', time: '2020-04-28T07:20:20.112Z' };
  assert.deepEqual(eventOf(cloudEvent('RDS DB Instance Event', detail, more)), expected);
  const bytes = eventOf<{ detail: unknown }>(cloudEvent('x', undefined, { data_base64: 'AQI=' }));
  assert.deepEqual(bytes.detail, { data_base64: 'AQI=' });
  assert.deepEqual(eventOf<{ detail: unknown }>(cloudEvent('x', undefined)).detail, {});
});

// https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html; userIdentity is there for expired items alone. eventVersion and
// the field ApproximateCreationDateTime: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_Record.html
test('changes of a table, as documented for DynamoDB streams', () => {
  const eventSourceARN = 'arn:aws:dynamodb:us-west-2:111122223333:table/TestTable/stream/1970-01-01T00:00:00.000';
  const common = { eventVersion: '1.1', awsRegion: 'us-west-2', eventSource: 'aws:dynamodb', eventSourceARN };
  const expected: DynamoDBStreamEvent = {
    Records: [
      {
        ...common,
        eventID: '1',
        eventName: 'INSERT',
        dynamodb: {
          ApproximateCreationDateTime: 1_428_537_600,
          Keys: { Id: { N: '101' } },
          NewImage: { Message: { S: 'New item!' }, Id: { N: '101' } },
          StreamViewType: 'NEW_AND_OLD_IMAGES',
          SequenceNumber: '111',
          SizeBytes: 26,
        },
      },
      {
        ...common,
        eventID: '2',
        eventName: 'MODIFY',
        dynamodb: {
          ApproximateCreationDateTime: 1_428_537_600,
          OldImage: { Message: { S: 'New item!' }, Id: { N: '101' } },
          SequenceNumber: '222',
          Keys: { Id: { N: '101' } },
          SizeBytes: 59,
          NewImage: { Message: { S: 'This item has changed' }, Id: { N: '101' } },
          StreamViewType: 'NEW_AND_OLD_IMAGES',
        },
      },
      {
        ...common,
        eventID: '3',
        eventName: 'REMOVE',
        dynamodb: {
          ApproximateCreationDateTime: 1_428_537_600,
          Keys: { Id: { N: '101' } },
          SizeBytes: 38,
          SequenceNumber: '333',
          OldImage: { Message: { S: 'This item has changed' }, Id: { N: '101' } },
          StreamViewType: 'NEW_AND_OLD_IMAGES',
        },
      },
    ],
  };
  const changes: TableChanges = {
    table: 'TestTable',
    changes: [
      { id: '1', operation: 'insert', keys: { Id: 101 }, after: { Message: 'New item!', Id: 101 }, at: 1_428_537_600_250, sequence: '111' },
      {
        id: '2',
        operation: 'update',
        keys: { Id: 101 },
        before: { Message: 'New item!', Id: 101 },
        after: { Message: 'This item has changed', Id: 101 },
        at: 1_428_537_600_500,
        sequence: '222',
      },
      {
        id: '3',
        operation: 'delete',
        keys: { Id: 101 },
        before: { Message: 'This item has changed', Id: 101 },
        at: 1_428_537_600_750,
        sequence: '333',
      },
    ],
  };
  assert.deepEqual(eventOf<DynamoDBStreamEvent>(cloudEvent(EventType.table, changes), 'us-west-2', '111122223333'), expected);
});

// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_AttributeValue.html
test('every value of a row has its DynamoDB encoding', () => {
  const after = { text: 'Joe', whole: 35, part: 2.5, yes: true, none: null, list: ['Cookies', 'Coffee', 2.5], map: { Age: -35 } };
  const change = { id: '1', operation: 'insert' as const, keys: {}, after, at: 0, sequence: '1' };
  const [record] = eventOf<DynamoDBStreamEvent>(cloudEvent(EventType.table, { table: 't', changes: [change] })).Records;
  assert.deepEqual(record!.dynamodb!.NewImage, {
    text: { S: 'Joe' },
    whole: { N: '35' },
    part: { N: '2.5' },
    yes: { BOOL: true },
    none: { NULL: true },
    list: { L: [{ S: 'Cookies' }, { S: 'Coffee' }, { N: '2.5' }] },
    map: { M: { Age: { N: '-35' } } },
  });
});

test('a payload that is no CloudEvent is given as it is; one that only says so is an error', () => {
  const shaped = { Records: [{ eventSource: 'aws:sqs', messageId: '1' }] };
  const plain = { ...meta, contentType: 'application/json' };
  const options = { identity: identity('us-east-1', '1') };
  assert.deepEqual(toLambdaEvent(plain, Buffer.from(JSON.stringify(shaped)), options), shaped);
  assert.equal(toLambdaEvent({ ...meta, contentType: 'text/plain' }, Buffer.from('text'), options), 'text');
  assert.throws(
    () => toLambdaEvent(meta, Buffer.from('{"id":"1"}'), options),
    /is no CloudEvent 1\.0: it needs specversion "1\.0", id, source and type/,
  );
  assert.throws(
    () => eventOf(cloudEvent(EventType.queue, { queue: 'q' })),
    /the event 'evt_1' of type virga\.queue\.batch lacks data\.messages/,
  );
  assert.throws(
    () => eventOf(cloudEvent(EventType.queue, { queue: 'q', messages: [{ id: '1', body: '{}', attributes: {} }] })),
    /lacks data\.messages\[0\]\.attempt \(a number\), data\.messages\[0\]\.sentAt \(a number\)/,
  );
});

// https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html: "id2" and "id4" of five messages failed.
test('batchItemFailures are what has to come again', () => {
  const ids = ['id1', 'id2', 'id3', 'id4', 'id5'];
  const messages = ids.map((id) => ({ id, body: '', attributes: {}, attempt: 1, sentAt: 0, firstReceivedAt: 0 }));
  const queue = eventOf(cloudEvent<QueueBatch>(EventType.queue, { queue: 'q', messages }));
  const outcome = (result: unknown, event = queue, of = meta) => {
    try {
      return fromLambdaResult(result, { meta: of, event }).body.toString();
    } catch (error) {
      return `${(error as Error).name}: ${(error as Error).message}`;
    }
  };
  const failed = (...names: string[]) => ({ batchItemFailures: names.map((itemIdentifier) => ({ itemIdentifier })) });
  assert.equal(outcome(failed('id4', 'id2')), '{"failed":["id2","id4"]}');
  assert.equal(outcome(failed()), '{"failed":[]}');
  assert.equal(outcome({ batchItemFailures: null }), '{"failed":[]}');
  assert.equal(outcome({}), '{}');
  assert.equal(outcome({ processed: 5, failed: 0 }), '{"failed":[]}', 'a word of its own');
  assert.equal(outcome(undefined), 'null');
  // AWS takes these for a batch that failed as a whole, and so does whoever gets an error.
  assert.match(outcome(failed('id9')), /^BadResponse: its batchItemFailures name 'id9' as itemIdentifier, which is none of the batch/);
  assert.match(outcome(failed('')), /name '' as itemIdentifier/);
  assert.match(outcome({ batchItemFailures: [{ id: 'id1' }] }), /name an object as itemIdentifier/);
  assert.match(outcome({ batchItemFailures: 'id1' }), /they must be an array/);
  // A stream goes on from the first change that failed.
  const changes = ['a', 'b', 'c'].map((id, at) => ({ id, operation: 'delete' as const, keys: {}, at, sequence: `s${id}` }));
  assert.equal(outcome(failed('sc', 'sb'), eventOf(cloudEvent(EventType.table, { table: 't', changes }))), '{"failed":["b","c"]}');
  // What came in AWS's shape is answered in it.
  assert.equal(outcome(failed('id2'), queue, { ...meta, contentType: 'application/json' }), JSON.stringify(failed('id2')));
});
