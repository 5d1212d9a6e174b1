// The Response of a sandbox beside Node's own: what user code can ask of one, it is told by the other.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { installResponse, takeWhole } from './response.ts';

const Standard = globalThis.Response;
installResponse();
const Late = globalThis.Response;

type Make = (R: typeof Response) => Response;
const MAKES: Record<string, Make> = {
  text: (R) => new R('héllo'),
  empty: (R) => new R(''),
  none: (R) => new R(),
  null: (R) => new R(null, { status: 204 }),
  'lone surrogate': (R) => new R('a\ud800b'),
  'own type': (R) =>
    new R('{}', {
      status: 201,
      statusText: 'Made',
      headers: [
        ['Content-Type', 'application/json'],
        ['set-cookie', 'a=1'],
        ['set-cookie', 'b=2'],
      ],
    }),
  bytes: (R) => new R(new Uint8Array([1, 2, 255]).subarray(1)),
  buffer: (R) => new R(new Uint8Array([7, 8]).buffer),
  view: (R) => new R(new DataView(new ArrayBuffer(3))),
  blob: (R) => new R(new Blob(['b'], { type: 'text/x' })),
  form: (R) => new R(new URLSearchParams({ a: '1' })),
  json: (R) => R.json({ a: [1, 'é'] }, { headers: { 'x-a': '1' } }),
  'json with a type': (R) => R.json(1, { headers: { 'content-type': 'text/x' } }),
  redirect: (R) => R.redirect('http://a.example/', 302),
  error: (R) => R.error(),
  subclass: (R) => new (class extends R {})('sub'),
  number: (R) => new R(7 as unknown as string),
};

async function told(response: Response): Promise<unknown> {
  const copy = response.status === 0 ? response : response.clone();
  return {
    status: [response.status, response.statusText, response.ok, response.type, response.url, response.redirected],
    headers: [...response.headers],
    before: [response.bodyUsed, response.body === null, response.body === response.body, response.body?.locked],
    bytes: [...(await response.bytes())],
    after: [response.bodyUsed, response.body?.locked],
    again: await response.text().then(String, (error: Error) => [error.name, error.message]),
    cannot: (() => {
      try {
        return String(response.clone() instanceof Response);
      } catch (error) {
        return (error as Error).name;
      }
    })(),
    copy: await copy.blob().then(async (blob) => [blob.type, await blob.text()]),
    kind: [
      Object.prototype.toString.call(response),
      response instanceof Standard,
      response instanceof Late,
      Object.getOwnPropertyNames(response),
    ],
  };
}

test('whatever a Response is made of, it tells what the standard one tells', async () => {
  for (const [name, make] of Object.entries(MAKES)) assert.deepEqual(await told(make(Late)), await told(make(Standard)), name);
  assert.equal(inspect(new Late('x')).replace(/\s+/g, ''), inspect(new Standard('x')).replace(/\s+/g, ''));
});

test('it refuses what the standard one refuses, with the same words', async () => {
  const refused: Make[] = [
    (R) => new R('x', { status: 204 }),
    (R) => new R('x', { status: 99 }),
    (R) => new R(new Uint8Array(1), { status: 304 }),
    (R) => new R('x', { headers: { 'a b': '1' } }),
    (R) => R.json(undefined),
    (R) => R.json(1, { status: 205 }),
    (R) => (R as unknown as () => Response)(),
  ];
  const words = (make: Make, R: typeof Response): unknown => {
    try {
      return make(R);
    } catch (error) {
      return [(error as Error).name, (error as Error).message];
    }
  };
  for (const make of refused) assert.deepEqual(words(make, Late), words(make, Standard), String(make));
  await assert.rejects(Late.prototype.text.call({} as Response), TypeError);
});

test('bytes are those of the moment at which it was made', async () => {
  const bytes = new Uint8Array([1, 2]);
  const response = new Late(bytes);
  bytes[0] = 9;
  assert.deepEqual([...(await response.bytes())], [1, 2]);
});

test('the class looks like the standard one, and other makers of it are its instances', async () => {
  assert.deepEqual([Late.name, Late.length, Late.prototype === Standard.prototype], ['Response', 0, true]);
  assert.equal(new Late('x').constructor, Late);
  assert.ok((await fetch('data:,x')) instanceof Late);
  globalThis.Response = Standard;
  assert.equal(globalThis.Response, Standard);
  globalThis.Response = Late;
});

test('a body that nobody has looked at is taken as bytes, and counts as read', async () => {
  const response = new Late('é');
  assert.deepEqual(takeWhole(response), Buffer.from('é'));
  assert.equal(response.bodyUsed, true);
  await assert.rejects(response.text(), TypeError);
  assert.equal(takeWhole(response), undefined);
  const seen = new Late('x');
  void seen.body;
  assert.equal(takeWhole(seen), undefined);
  assert.equal(await seen.text(), 'x');
  assert.equal(takeWhole(new Late(new Blob(['x']))), undefined);
});
