// Reading JSON of clients, parameters as values, and answers held to their schemas, over real HTTP with a scripted guest.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Guest } from '../../functions/testing.ts';
import type { ValidateRules } from '../../protocol/policies/validate.ts';
import { Flag, FrameType, encodeFrame, encodeMetaFrame } from '../../protocol/frames.ts';
import type { HttpRequestMeta } from '../../protocol/frames.ts';
import { setUp } from '../gateway-under-test.ts';
import { readJson } from './json-body.ts';
import { jsonFault } from './json-fault.ts';
import { ParameterCheck } from './parameters.ts';
import type { RequestProblem } from './parameters.ts';
import { ValidateFeature } from './validate.ts';

const LIMITS = { problemsMax: 100, stepsMax: 100_000 };
const OPTIONS = { checkResponses: true, bodyBytesMax: 1 << 20, stepsMax: 100_000, log: () => {} };

test('JSON is read as JSON.parse reads it, whatever it is', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.json(),
        fc.json().map((text) => text.replace(/[\]}",:0-9]/, '')),
        fc.string({ unit: 'binary' }),
      ),
      (text) => {
        let value: unknown;
        let sound = text.isWellFormed();
        try {
          value = JSON.parse(text);
        } catch {
          sound = false;
        }
        const read = readJson(Buffer.from(text), 100);
        assert.equal(read.problem === undefined, sound || (!text.isWellFormed() && read.problem === undefined), text);
        if (sound && read.problem === undefined) assert.deepEqual(read.value, value);
        if (text.isWellFormed()) assert.equal(jsonFault(text) === undefined, sound, text);
      },
    ),
    { numRuns: 200 },
  );
});

test('a member that is there twice is found wherever it is, and text that only looks like one is not', () => {
  const pointerOf = (text: string) => readJson(Buffer.from(text), 10).problem?.pointer;
  assert.equal(pointerOf('{"a": 1, "\\u0061": 2}'), '#/a');
  assert.equal(pointerOf('[0, [{"x": {"a": 1}}, {"x": {"b": 1, "b": 1}}]]'), '#/1/1/x/b');
  assert.equal(pointerOf('{"__proto__": 1, "__proto__": 2}'), '#/__proto__');
  assert.equal(pointerOf('{"a": "\\"a\\": 1, {", "b": {"a": ":"}, "__proto__": {"a": 1}}'), undefined);
});

test('text of parameters becomes what the schema asks for', () => {
  const check = (rules: object, texts: string[], location: 'query' | 'header' | 'path' = 'query') => {
    const found: RequestProblem[] = [];
    new ParameterCheck(location, 'p', rules).problems(texts, LIMITS, found);
    return found.map(({ pointer, message }) => `${pointer} ${message}`).join('; ');
  };
  for (const number of ['1', '-0.5', '1e3', '0']) assert.equal(check({ type: 'number' }, [number]), '', number);
  for (const text of ['', '01', '0x1', 'Infinity', '1e999', 'NaN', ' 1', '+1', '1_000'])
    assert.equal(check({ type: 'number' }, [text]), '#/p must be a number', text);
  assert.equal(check({ enum: [1, 2] }, ['2']), '');
  assert.equal(check({ anyOf: [{ type: 'integer' }, { const: 'all' }] }, ['all']), '');
  assert.equal(check({ type: ['integer', 'string'], maxLength: 3 }, ['12345']), '');
  assert.equal(check({ $ref: '#/$defs/n', $defs: { n: { type: 'integer' } } }, ['5']), '');
  assert.equal(check({ type: 'boolean' }, ['TRUE']), '#/p must be true or false');
  assert.equal(check({ type: 'array', items: { type: 'integer' } }, ['1', 'x']), '#/p/1 must be a whole number');
  assert.equal(check({ type: 'array', items: { type: 'integer' } }, ['1, 2'], 'header'), '');
  assert.equal(check({ type: 'string', const: 'secret' }, ['guess'], 'header'), '#/p is not what it must be');
  assert.equal(check({ type: 'integer' }, ['x'], 'header'), '#/p must be a whole number');
  assert.equal(check({ type: 'string' }, [], 'path'), '#/p is missing');
});

function answer(guest: Guest, stream: number, chunks: string[], type = 'application/json'): void {
  const [first = '', ...rest] = chunks;
  const flags = rest.length === 0 ? Flag.END : 0;
  guest.send(
    encodeMetaFrame(FrameType.RESPONSE, { status: 200, headers: ['content-type', type] }, Buffer.from(first), { flags, stream, arg: 0 }),
  );
  rest.forEach((chunk, index) =>
    guest.send(encodeFrame(FrameType.BODY, { payload: Buffer.from(chunk), flags: index === rest.length - 1 ? Flag.END : 0, stream })),
  );
}

const ANSWERS: Record<string, [chunks: string[], type?: string]> = {
  '/fits': [['{"id": 1}']],
  '/in-parts': [['{"id"', ': 1', '}']],
  '/broken': [['{"id": "x"}']],
  '/no-json': [['{"id": ']],
  '/text': [['{"id": "x"}'], 'text/plain'],
};

test('answers are held to their schema, whole or in parts, if they are JSON', async () => {
  const validate: ValidateRules = { response: { '2XX': { type: 'object', properties: { id: { type: 'integer' } } } } };
  const logged: string[] = [];
  await using up = await setUp(
    { onRequest: (guest, stream, meta) => answer(guest, stream, ...ANSWERS[new URL((meta as HttpRequestMeta).url).pathname]!) },
    {
      routes: [{ path: '/{all+}', methods: null, function: 'f', policy: { validate } }],
      features: [new ValidateFeature({ ...OPTIONS, log: (_level, message) => logged.push(message) })],
    },
  );
  for (const path of ['/fits', '/in-parts', '/text']) assert.equal((await up.get(path)).status, 200, path);
  assert.equal((await up.get('/in-parts')).body.toString(), '{"id": 1}');
  assert.equal((await up.get('/broken', { method: 'HEAD' })).status, 200);
  for (const [path, message] of [
    ['/broken', '#/id must be a whole number'],
    ['/no-json', '# is not JSON from line 1, column 8 on'],
  ] as const) {
    const answered = await up.get(path);
    assert.equal(answered.status, 502);
    assert.equal((JSON.parse(answered.body.toString()) as { error: { code: string } }).error.code, 'response_not_valid');
    assert.ok(logged.at(-1)!.endsWith(`(200) does not fit its schema: ${message}`), logged.join());
  }
});

test('a request without a body waits for none, and one in parts is checked whole', async () => {
  const validate: ValidateRules = { body: { type: 'array', maxItems: 3 }, maxBody: '64 B' };
  await using up = await setUp(
    { onRequest: (guest, stream, _meta, body) => answer(guest, stream, [body.length === 0 ? 'nothing' : body.toString()], 'text/plain') },
    { routes: [{ path: '/x', methods: null, function: 'f', policy: { validate } }], features: [new ValidateFeature(OPTIONS)] },
  );
  assert.equal((await up.get('/x')).body.toString(), 'nothing');
  const headers = { 'content-type': 'application/json', 'transfer-encoding': 'chunked' };
  assert.equal((await up.get('/x', { method: 'POST', headers, body: '[1, 2, 3]' })).body.toString(), '[1, 2, 3]');
  assert.equal((await up.get('/x', { method: 'POST', headers, body: '[1, 2, 3, 4]' })).status, 400);
  assert.equal((await up.get('/x', { method: 'POST', headers, body: `["${'x'.repeat(100)}"]` })).status, 413);
  assert.equal((await up.get('/x', { method: 'GET', headers, body: '{}' })).status, 400);
});
