// CloudEvents by HTTP: what the official SDK writes is read, what is written the SDK reads, and what the specification forbids is refused.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CloudEvent, HTTP } from 'cloudevents';
import fc from 'fast-check';
import type { CloudEvent as Event } from '../../protocol/events.ts';
import { receivedEvents } from './http-in.ts';
import { binary, structured } from './http-out.ts';
import { completeEvent, eventAsMessage } from './messages.ts';

const NOW = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
const REQUIRED = { specversion: '1.0', id: 'e-1', source: '/shop', type: 'order.placed' };

function read(headers: Record<string, string>, body: unknown): Event[] {
  const bytes = Buffer.isBuffer(body) ? body : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
  return receivedEvents({ headers, body: bytes }, completeEvent('shop', NOW));
}
const inStructured = (event: unknown) => read({ 'content-type': 'application/cloudevents+json' }, event)[0]!;
const inBinary = (headers: Record<string, string>, body: unknown = '') =>
  read({ 'ce-specversion': '1.0', 'ce-id': 'e-1', 'ce-source': '/shop', 'ce-type': 't', ...headers }, body)[0]!;

describe('what the SDK writes', () => {
  const event = new CloudEvent({
    id: 'e-1',
    source: 'https://example.com/shop?x=1#y',
    type: 'order.placed',
    subject: 'ü "100%" ☕',
    time: '2026-01-02T03:04:05.678Z',
    datacontenttype: 'application/json',
    dataschema: 'https://example.com/schema',
    data: { total: 12, items: ['tea'] },
    tenant: 'a-1',
    count: 7,
    vip: true,
  });

  test('structured', () => {
    const { headers, body } = HTTP.structured(event);
    assert.deepEqual(read(headers as Record<string, string>, body), [JSON.parse(JSON.stringify(event))]);
  });

  test('binary: extensions are texts', () => {
    const { headers, body } = HTTP.binary(new CloudEvent({ ...event.toJSON(), subject: 'plain' }));
    const lower = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), String(value)]));
    const expected = { ...(JSON.parse(JSON.stringify(event)) as object), subject: 'plain', count: '7', vip: 'true' } as Record<
      string,
      unknown
    >;
    const { datacontenttype, ...rest } = read(lower, body)[0]!;
    assert.match(datacontenttype!, /^application\/json/);
    delete expected['datacontenttype'];
    assert.deepEqual(rest, expected);
  });
});

test('what is written the SDK reads, and reads the same here', () => {
  const text = fc.string({ unit: fc.constantFrom('a', ' ', '"', '%', 'ü', '☕', '😀', '\\', '~'), minLength: 1, maxLength: 12 });
  // Data with such a key is refused (below).
  const json = fc.jsonValue().filter((value) => !JSON.stringify(value).includes('__proto__'));
  fc.assert(
    fc.property(text, fc.oneof(json, fc.constant(undefined)), text, (subject, data, extension) => {
      const event: Event = {
        ...REQUIRED,
        specversion: '1.0',
        subject,
        tenant: extension,
        ...(data === undefined ? {} : { datacontenttype: 'application/json', data }),
      };
      const same = JSON.parse(JSON.stringify(event)) as unknown;
      const whole = structured(JSON.stringify(event));
      assert.deepEqual(read(whole.headers, whole.body), [same]);
      const parts = binary(event);
      assert.deepEqual(read(parts.headers, parts.body), [same]);
      for (const value of Object.values(parts.headers)) assert.match(value, /^[\x21-\x7e]+$/);
      // The SDK takes false, 0 and the empty text for no data.
      if (!data) return;
      const sdk = HTTP.toEvent({ headers: whole.headers, body: whole.body.toString() }) as CloudEvent<unknown>;
      assert.deepEqual([sdk.id, sdk.subject, sdk['tenant'], sdk.data], ['e-1', subject, extension, (same as Event).data]);
    }),
    { numRuns: 300 },
  );
});

test('bytes stay bytes', () => {
  const bytes = Buffer.from([0, 255, 128]);
  const event = inBinary({ 'content-type': 'image/png' }, bytes);
  assert.deepEqual([event.data_base64, event.data, event.datacontenttype], ['AP+A', undefined, 'image/png']);
  const out = binary(event);
  assert.deepEqual([out.body, out.headers['content-type']], [bytes, 'image/png']);
  assert.equal(inBinary({ 'content-type': 'text/plain' }, 'ü').data, 'ü');
  assert.equal(inBinary({ 'content-type': 'application/xml' }, '<a/>').data, '<a/>');
  assert.deepEqual(inBinary({ 'content-type': 'application/vnd.x+json; charset=utf-8' }, '{"a":1}').data, { a: 1 });
  assert.equal('data' in inBinary({}), false);
});

test('a text of another charset is bytes, and a media type outlives data that is missing', () => {
  for (const [type, text] of [
    ['text/plain; charset=UTF-8', 'ü'],
    ['text/plain;charset="utf-8"; format=flowed', 'ü'],
    ['text/plain; charset=us-ascii', 'u'],
    ['image/svg+xml', '<svg/>'],
  ] as const)
    assert.deepEqual([inBinary({ 'content-type': type }, text).data, type], [text, type]);
  for (const [type, bytes] of [
    ['text/plain; charset=iso-8859-1', Buffer.from([0xfc])],
    ['text/plain; charset=utf-16', Buffer.from('ab', 'utf16le')],
    ['text/csv', Buffer.from([0xff])],
  ] as const) {
    const event = inBinary({ 'content-type': type }, bytes);
    assert.deepEqual([event.data, event.data_base64, binary(event).body], [undefined, bytes.toString('base64'), bytes]);
  }
  const event: Event = { ...REQUIRED, specversion: '1.0', datacontenttype: 'text/csv' };
  const { headers, body } = binary(event);
  assert.deepEqual(read(headers, body), [event]);
});

test('numbers stay as they were written', () => {
  const text = '{"specversion":"1.0","id":"e-1","source":"/x","type":"t","data":{"id":9007199254740993,"much":1e400}}';
  const [event] = read({ 'content-type': 'application/cloudevents+json' }, text);
  assert.equal(JSON.stringify(event), text);
  assert.equal(binary(event!).body.toString(), '{"id":9007199254740993,"much":1e400}');
  assert.equal(eventAsMessage(event!).body, '{"id":9007199254740993,"much":1e400}');
  assert.throws(() => inStructured(text.replace('"data"', '"ext":9007199254740993,"data"')), /'ext': the value of an extension/);
});

test('headers are unescaped once: quotes, then percent', () => {
  assert.equal(inBinary({ 'ce-subject': 'Euro%20%E2%82%AC%20%F0%9F%98%80' }).subject, 'Euro € 😀');
  assert.equal(inBinary({ 'ce-subject': '"a \\"b\\""' }).subject, 'a "b"');
  assert.equal(inBinary({ 'ce-subject': '%2525' }).subject, '%25');
  assert.equal(inBinary({ 'ce-subject': '100%' }).subject, '100%');
  assert.throws(() => inBinary({ 'ce-subject': '%FF' }), /'ce-subject': it is not UTF-8/);
});

test('a batch, and plain JSON in which what is missing is filled in', () => {
  const batch = read({ 'content-type': 'application/cloudevents-batch+json' }, [REQUIRED, { ...REQUIRED, id: 'e-2' }]);
  assert.deepEqual(
    batch.map(({ id }) => id),
    ['e-1', 'e-2'],
  );
  const json = { 'content-type': 'application/json; charset=utf-8' };
  const [{ id, ...filled }] = read(json, { type: 'x', data: null }) as [Event];
  assert.match(id, /^evt_/);
  assert.deepEqual(filled, { specversion: '1.0', source: '/projects/shop', time: '2026-01-02T03:04:05.678Z', type: 'x', data: null });
  assert.equal(read(json, [{ type: 'x' }, { type: 'y' }]).length, 2);
  assert.equal(read(json, { events: [{ type: 'x' }, { type: 'y', id: 'own' }] })[1]!.id, 'own');
  assert.throws(() => read(json, { events: [{ type: 'x' }, { typ: 'y' }] }), /'events\.1\.type': is missing/);
});

describe('what is refused', () => {
  for (const [what, change, message] of [
    ['no id', { id: undefined }, /'id': is missing/],
    ['an id that is empty', { id: '' }, /'id': must not be empty/],
    ['an id that is null', { id: null }, /'id': is missing/],
    ['an id that is a number', { id: 7 }, /'id': expected a text/],
    ['another version', { specversion: '0.3' }, /'specversion': expected '1\.0'/],
    ['a source that is no URI', { source: 'a b' }, /'source': expected a URI reference/],
    ['a type that is empty', { type: '' }, /'type': must not be empty/],
    ['a control character', { type: 'a\nb' }, /'type': it holds a control character/],
    ['half of a pair', { subject: '\ud800' }, /'subject': it holds/],
    ['a time without offset', { time: '2026-01-02T03:04:05' }, /'time': expected a time of RFC 3339/],
    ['a day that does not exist', { time: '2026-02-30T03:04:05Z' }, /'time': expected/],
    ['a schema that is relative', { dataschema: '/x' }, /'dataschema': expected an absolute URI/],
    ['a media type that is none', { datacontenttype: 'json' }, /'datacontenttype': expected a media type/],
    ['names with other letters', { 'my-ext': 'x' }, /'my-ext': names of attributes/],
    ['names in capitals', { myExt: 'x' }, /'myExt': names of attributes/],
    ['an extension that is an object', { ext: {} }, /'ext': the value of an extension/],
    ['an extension of 33 bits', { ext: 2 ** 31 }, /'ext': the value of an extension/],
    ['both kinds of data', { data: 1, data_base64: 'AA==' }, /not both/],
    ['base64 that is none', { data_base64: 'A' }, /'data_base64': expected base64/],
  ] as const)
    test(what, () => assert.throws(() => inStructured({ ...REQUIRED, ...change }), { code: 'invalid_request', message }));

  test('the lengths and the ends of what is allowed', () => {
    for (const change of [
      { ext: -(2 ** 31) },
      { ext: true },
      { time: '2024-02-29T23:59:60+23:59' },
      { time: '2024-02-29T23:59:59.123456789012Z' },
      { data_base64: 'AAA='.padStart(16 * 1_024 ** 2, 'A') },
      { data_base64: '' },
      { id: 'x'.repeat(256) },
      { subject: null },
    ])
      assert.equal(inStructured({ ...REQUIRED, ...change }).type, 'order.placed');
    assert.throws(() => inStructured({ ...REQUIRED, id: 'x'.repeat(257) }), /257 characters/);
  });

  test('other bodies, and other types', () => {
    const type = 'application/cloudevents+json';
    assert.throws(() => read({ 'content-type': type }, '{'), /not valid JSON/);
    assert.throws(() => read({ 'content-type': type }, Buffer.from([0xff])), /not valid UTF-8/);
    assert.throws(() => read({ 'content-type': type }, [REQUIRED]), /expected a CloudEvent: an object/);
    assert.throws(() => read({ 'content-type': type }, '{"__proto__":{}}'), /not allowed as a key/);
    assert.throws(() => read({ 'content-type': 'application/cloudevents-batch+json' }, REQUIRED), /expected a list/);
    assert.throws(() => read({ 'content-type': 'application/cloudevents-batch+json' }, [REQUIRED, {}]), /'1\.specversion': is missing/);
    assert.throws(() => read({ 'content-type': 'application/cloudevents+avro' }, ''), { code: 'unsupported_media_type' });
    assert.throws(() => read({ 'content-type': 'text/plain' }, 'x'), { code: 'unsupported_media_type' });
    assert.throws(() => read({}, 'x'), /content-type is missing/);
    assert.throws(() => inBinary({ 'ce-datacontenttype': 'x/y' }), /'ce-datacontenttype'/);
    assert.throws(() => inBinary({ 'ce-data': 'x' }), /'ce-data': the data is the body/);
    assert.throws(() => inBinary({ 'ce-a-b': 'x' }), /'ce-a-b': names of attributes/);
    assert.throws(() => read({ 'ce-specversion': '1.0', 'ce-id': '1', 'ce-type': 't' }, ''), /'ce-source': is missing/);
  });
});

test('what an event of our own JSON leaves out, or says to be null, is filled in', () => {
  const [plain] = read({ 'content-type': 'application/json' }, { type: 't' });
  const [nulls] = read({ 'content-type': 'application/json' }, { type: 't', id: null, source: null, time: null, specversion: null });
  for (const event of [plain!, nulls!]) {
    const { id, ...rest } = event;
    assert.match(id, /^evt_/);
    assert.deepEqual(rest, { specversion: '1.0', source: '/projects/shop', type: 't', time: new Date(NOW).toISOString() });
  }
});

test('an event as a message of a queue', () => {
  const { body, attributes } = eventAsMessage({ ...REQUIRED, specversion: '1.0', data_base64: 'AP8=' });
  assert.deepEqual([body, attributes['content-transfer-encoding']], ['AP8=', 'base64']);

  const event: Event = { ...REQUIRED, specversion: '1.0', datacontenttype: 'application/json', data: { a: 1 }, count: 7 };
  assert.deepEqual(eventAsMessage(event), {
    id: 'e-1',
    body: '{"a":1}',
    attributes: {
      'ce-specversion': '1.0',
      'ce-id': 'e-1',
      'ce-source': '/shop',
      'ce-type': 'order.placed',
      'content-type': 'application/json',
      'ce-count': '7',
    },
  });
});
