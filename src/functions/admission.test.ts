import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Admission } from './admission.ts';
import { ProjectLoad } from './fair-share.ts';
import { testVersion } from './testing.ts';

const limits = {
  queueCallsMax: 30,
  queueBytesMax: 3_000,
  projectQueueCallsMax: 20,
  projectQueueBytesMax: 2_000,
  functionQueueBytesMax: 1_000,
};
const version = testVersion();

test('whatever comes and goes, no limit is passed, and a refusal says which was reached and when to come again', () => {
  const step = fc.record({ leave: fc.boolean(), which: fc.nat(3), bytes: fc.integer({ min: 0, max: 500 }) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const admission = new Admission(limits);
      const projects = [new ProjectLoad('a'), new ProjectLoad('b')];
      const functions = projects.flatMap((project) => [0, 1].map(() => ({ project, waiting: [] as number[] })));
      const sum = (values: number[]): number => values.reduce((total, one) => total + one, 0);
      for (const { leave, which, bytes } of steps) {
        const { project, waiting } = functions[which]!;
        if (leave) {
          const gone = waiting.shift();
          if (gone !== undefined) admission.leave(project, gone);
          continue;
        }
        const refused = admission.join(version, project, bytes, { bytes: sum(waiting), retryAfterS: 7 });
        if (refused === undefined) waiting.push(bytes);
        else {
          assert.equal(refused.retryAfterS, 7);
          assert.match(refused.message, /VIRGA_LIMIT_[A-Z_]+/);
          assert.ok([429, 503].includes(refused.status));
        }
        const all = functions.flatMap((one) => one.waiting);
        assert.ok(all.length <= 30 && sum(all) <= 3_000);
        for (const one of projects) {
          const own = functions.filter((other) => other.project === one).flatMap((other) => other.waiting);
          assert.deepEqual([one.queued, one.queuedBytes], [own.length, sum(own)]);
          assert.ok(own.length <= 20 && sum(own) <= 2_000);
        }
        for (const one of functions) assert.ok(sum(one.waiting) <= 1_000);
      }
    }),
  );
});

test('one call may wait however large it is: what waits would never make room for it', () => {
  const admission = new Admission(limits);
  const project = new ProjectLoad('a');
  assert.equal(admission.join(version, project, 50_000, { bytes: 0, retryAfterS: 1 }), undefined);
  assert.ok(admission.join(version, project, 1, { bytes: 50_000, retryAfterS: 1 }) instanceof Error);
  admission.leave(project, 50_000);
  assert.deepEqual([admission.calls, project.queuedBytes], [0, 0]);
});
