// The form `lambda` in Python against the expectations that all languages share (src/runtimes/golden): events field by field, as
// a handler in the real guest gets them, and what results mean.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { RequestMeta } from '../../protocol/frames.ts';
import { bytesOf, events, masked, results } from '../golden/expectations.ts';
import { GuestUnderTest } from './guest-under-test.ts';

const all = events();

/** The handler keeps the event and answers with what is next in line. */
const CODE = `
import json, os
LINE = iter(json.load(open(os.path.join(os.path.dirname(__file__), "line.json"))))
seen = None
def handler(event, context):
    global seen
    if isinstance(event, dict) and event.get("ask") == "seen":
        return seen
    seen = [event, context.aws_request_id, os.environ["_X_AMZN_TRACE_ID"]]
    return next(LINE)
`;

for (const httpEvent of [undefined, '2.0', '1.0', 'function-url']) {
  describe(`httpEvent ${httpEvent ?? 'absent'}`, { concurrency: 1 }, () => {
    const given = all.cases.filter((one) => one.httpEvent === httpEvent);
    const wanted = results().filter((one) => one.httpEvent === httpEvent);
    const plain = { ...all.cases[0]!.meta, headers: [] } as RequestMeta;
    let guest: GuestUnderTest;
    before(async () => {
      guest = await GuestUnderTest.start({
        code: {
          'app.py': CODE,
          'line.json': JSON.stringify([...given.map(() => ({ statusCode: 200 })), ...wanted.map(({ result }) => result)]),
        },
        init: { ...all.init, handler: 'app.py', form: 'lambda', ...(httpEvent === undefined ? {} : { httpEvent }) },
      });
    });
    after(() => guest[Symbol.asyncDispose]());

    for (const { name, meta, body, event } of given) {
      test(name, async () => {
        const { error } = await guest.call(meta, bytesOf(body)).outcome;
        assert.equal(error, undefined);
        // The handler is asked by a direct invocation, whose result is JSON whatever httpEvent says.
        const [seen, requestId, trace] = (await guest.result({ ask: 'seen' })) as unknown[];
        assert.deepEqual(masked(seen), event);
        assert.deepEqual([requestId, trace], [all.requestId, all.trace]);
      });
    }
    if (httpEvent === undefined)
      for (const { name, meta, body, error } of all.refused) {
        test(name, async () => {
          const outcome = await guest.call(meta, bytesOf(body)).outcome;
          assert.match(outcome.error!.message, new RegExp(error));
        });
      }

    for (const { name, method = 'GET', event, answer, error } of wanted) {
      test(name, async () => {
        const caused = all.cases.find((one) => one.name === event);
        assert.equal(caused === undefined, event === undefined, `no event is called ${event}`);
        const meta = caused?.meta ?? ({ ...plain, method } as RequestMeta);
        const outcome = await guest.call(meta, bytesOf(caused?.body ?? '')).outcome;
        if (answer === undefined) {
          assert.equal(outcome.error?.name, 'BadResponse');
          return assert.match(outcome.error.message, new RegExp(error!));
        }
        assert.equal(outcome.error, undefined);
        assert.deepEqual([outcome.status, outcome.headers], [answer.status, answer.headers]);
        assert.deepEqual(outcome.body, bytesOf(answer.body));
      });
    }
  });
}
