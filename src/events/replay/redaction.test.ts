// What is left out of recordings.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Redaction, recordedForMs } from './redaction.ts';

function bodyOf(places: string[], body: unknown): { body: unknown; left: string[] } {
  const left = new Set<string>();
  const kept = new Redaction(places).body(Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)), left);
  return { body: kept === undefined ? undefined : JSON.parse(kept.toString()), left: [...left] };
}

test('credentials always, whatever the rules say', () => {
  const left = new Set<string>();
  const headers = ['Authorization', 'x', 'COOKIE', 'x', 'x-api-key', 'x', 'Set-Cookie', 'x', 'x-virga-principal', 'x', 'x-kept', 'y'];
  assert.deepEqual(Redaction.of(true).headers(headers, left), ['x-kept', 'y']);
  assert.deepEqual([...left].sort(), [
    'header.authorization',
    'header.cookie',
    'header.set-cookie',
    'header.x-api-key',
    'header.x-virga-principal',
  ]);
});

test('parameters of the query by name, all else stays as it was written', () => {
  const left = new Set<string>();
  const redaction = Redaction.of({ redact: ['query.token', 'query.a b'] });
  assert.equal(
    redaction.url('http://h/p?x=%20&token=1&to%6ben=2&a+b=3&tokens=4&token', left),
    'http://h/p?x=%20&token=redacted&to%6ben=redacted&a+b=redacted&tokens=4&token=redacted',
  );
  assert.deepEqual([...left], ['query.token', 'query.a b']);
  assert.equal(redaction.url('http://h/p', left), 'http://h/p');
});

test('places in a JSON body, with any key or index', () => {
  assert.deepEqual(
    bodyOf(['body.card.number', 'body.people.*.mail', 'body.nowhere'], { card: { number: 1, name: 'a' }, people: [{ mail: 1 }, {}, 7] }),
    {
      body: { card: { number: '[redacted]', name: 'a' }, people: [{ mail: '[redacted]' }, {}, 7] },
      left: ['body.card.number', 'body.people.*.mail'],
    },
  );
  assert.deepEqual(bodyOf(['body.*'], { a: { b: 1 } }), { body: { a: '[redacted]' }, left: ['body.*'] });
  assert.deepEqual(bodyOf(['body.constructor.name'], {}), { body: {}, left: [] });
});

test('a body that rules speak of and that is no JSON is left out whole', () => {
  assert.deepEqual(bodyOf(['body.a'], 'a=1&b=2'), { body: undefined, left: ['body'] });
  assert.deepEqual(bodyOf(['body'], { a: 1 }), { body: undefined, left: ['body'] });
  assert.equal(new Redaction([]).body(Buffer.from('a=1'), new Set())?.toString(), 'a=1');
});

test('what stands twice in a body, of which readers see the last, is not kept either', () => {
  const kept = new Redaction(['body.card.number']).body(Buffer.from('{"card": {"number": "4111"}, "card": 1}'), new Set());
  assert.equal(kept?.toString(), '{"card":1}');
});

test('numbers that no double can hold stay what they are', () => {
  const kept = new Redaction(['body.card', 'body.*.pin']).body(Buffer.from('{"card":1,"id":12345678901234567890}'), new Set());
  assert.equal(kept?.toString(), '{"card":"[redacted]","id":12345678901234567890}');
});

test('a body that is too deep to be looked through is left out whole', () => {
  const left = new Set<string>();
  const deep = `${'['.repeat(200_000)}12345678901234567890${']'.repeat(200_000)}`;
  assert.equal(new Redaction(['body.card']).body(Buffer.from(`{"card":1,"x":${deep}}`), left), undefined);
  assert.deepEqual([...left], ['body']);
});

test('attributes by name; and how long all is kept', () => {
  const left = new Set<string>();
  assert.deepEqual(Redaction.of({ redact: ['attribute.card'] }).attributes({ card: '1', size: 'L' }, left), { size: 'L' });
  assert.deepEqual([...left], ['attribute.card']);
  assert.deepEqual([recordedForMs(true), recordedForMs({ for: '90m' })], [604_800_000, 5_400_000]);
});
