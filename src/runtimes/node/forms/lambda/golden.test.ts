// The shapes of AWS Lambda's events and results, field by field, against the expectations that all languages share (golden/).
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { HttpRequestMeta } from '../../../../protocol/frames.ts';
import { bytesOf, events, masked, results } from '../../../golden/expectations.ts';
import { lambdaIdentity, requestIdOf, traceHeaderOf } from './environment.ts';
import { fromLambdaResult, toLambdaEvent } from './events.ts';

const all = events();
const identity = lambdaIdentity({ ...all.init, handler: 'app.mjs#handler' });
/** What a function sees of it: JSON knows neither undefined nor properties that do not show. */
const seen = (value: unknown): unknown => JSON.parse(JSON.stringify(value)) as unknown;

function eventOf({ meta, body, httpEvent }: Pick<(typeof all.cases)[number], 'meta' | 'body' | 'httpEvent'>): unknown {
  return toLambdaEvent(structuredClone(meta), bytesOf(body), { identity, httpEvent });
}

describe('events', () => {
  for (const one of all.cases) {
    test(`${one.name}${one.httpEvent === undefined ? '' : ` (${one.httpEvent})`}`, () => {
      assert.deepEqual(masked(seen(eventOf(one))), one.event);
    });
  }
  for (const one of all.refused) test(one.name, () => assert.throws(() => eventOf(one), new RegExp(one.error)));

  test('request ids and trace headers', () => {
    const { id, trace } = all.cases[0]!.meta;
    assert.deepEqual([requestIdOf(id), traceHeaderOf(trace)], [all.requestId, all.trace]);
  });
});

describe('results', () => {
  const plain: HttpRequestMeta = { ...(all.cases[0]!.meta as HttpRequestMeta), headers: [] };
  for (const { name, httpEvent, method = 'GET', event, result, answer, error } of results()) {
    test(`${name}${httpEvent === undefined ? '' : ` (${httpEvent})`}`, () => {
      const given = all.cases.find((one) => one.name === event);
      assert.equal(given === undefined, event === undefined, `no event is called ${event}`);
      const meta = given?.meta ?? { ...plain, method };
      const told = { meta, event: given === undefined ? {} : eventOf(given), httpEvent };
      if (answer === undefined) return assert.throws(() => fromLambdaResult(result, told), new RegExp(error!));
      const { status, headers, body } = fromLambdaResult(result, told);
      assert.deepEqual([status, headers], [answer.status, answer.headers]);
      // The guest leaves it out (lambda.ts).
      if (method !== 'HEAD') assert.deepEqual(body, bytesOf(answer.body));
    });
  }
});
