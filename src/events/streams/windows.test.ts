import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { StreamRecord } from '../bus.ts';
import { nextTurn } from './turns.ts';
import { nextDue, windowRulesOf, windowStarts } from './windows.ts';
import type { OpenWindow, WindowRules } from './windows.ts';

const rules = fc
  .record({ sizeS: fc.integer({ min: 1, max: 30 }), parts: fc.integer({ min: 1, max: 6 }), lateMs: fc.integer({ min: 0, max: 5_000 }) })
  .map(({ sizeS, parts, lateMs }): WindowRules => ({ sizeMs: sizeS * 1_000, everyMs: Math.ceil((sizeS * 1_000) / parts), lateMs }));

test('windows tumble without `every`, and slide with it', () => {
  const tumbling = windowRulesOf({ size: '1m' });
  assert.deepEqual(tumbling, { sizeMs: 60_000, everyMs: 60_000, lateMs: 0 });
  assert.deepEqual(windowStarts(59_999, tumbling), [0]);
  assert.deepEqual(windowStarts(60_000, tumbling), [60_000]);
  assert.deepEqual(windowStarts(61_000, windowRulesOf({ size: '1m', every: '20s', late: '5s' })), [20_000, 40_000, 60_000]);
});

test('a time is in exactly the windows that begin at a multiple of `every` and contain it', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 1_000_000 }), rules, (at, one) => {
      const expected: number[] = [];
      for (let start = one.everyMs * -200; start <= at; start += one.everyMs) if (at < start + one.sizeMs) expected.push(start);
      assert.deepEqual(windowStarts(at, one), expected);
    }),
  );
});

test('however records are cut into batches, each window gets all that are in it, in order, and ends once, before any later than it was due', () => {
  const gaps = fc.array(fc.tuple(fc.integer({ min: 0, max: 8_000 }), fc.boolean()), { minLength: 1, maxLength: 60 });
  const cuts = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(gaps, cuts, rules, (steps, sizes, windows) => {
      let now = 1_000_000;
      const records = steps.map(([gap, fits], index): StreamRecord => {
        now += gap;
        return { id: fits ? 'fits' : 'not', partitionKey: '', data: '', attributes: {}, partition: 0, position: index + 1, at: now };
      });
      const seen = new Map<string, number[]>();
      const ended: string[] = [];
      let open: OpenWindow[] = [];
      let position = 0;
      for (let call = 0; position < records.length; call++) {
        const size = sizes[call % sizes.length]!;
        const read = records.slice(position, position + size + 2);
        const turn = nextTurn(read, open, { batch: size, windows, fits: ({ id }) => id === 'fits' });
        if (turn.as === 'final') {
          assert.ok(read[0]!.at >= turn.window.end + windows.lateMs);
          ended.push(nameOf(turn.window));
          open = open.filter((one) => one !== turn.window);
          continue;
        }
        assert.ok(turn.last > position && turn.records.length <= size);
        position = turn.last;
        for (const { window, records: own } of turn.parts) {
          const due = nextDue(open);
          if (due !== undefined) assert.ok(own.every(({ at }) => at < due.end + windows.lateMs));
          seen.set(nameOf(window!), [...(seen.get(nameOf(window!)) ?? []), ...own.map((one) => one.position)]);
          if (!open.includes(window!)) open = [...open, window!];
        }
      }
      const expected = new Map<string, number[]>();
      for (const { id, at, position: own } of records)
        for (const start of id === 'fits' ? windowStarts(at, windows) : []) {
          const name = nameOf({ start, end: start + windows.sizeMs });
          expected.set(name, [...(expected.get(name) ?? []), own]);
        }
      assert.deepEqual(seen, expected);
      assert.equal(new Set(ended).size, ended.length);
      assert.deepEqual(new Set([...ended, ...open.map(nameOf)]), new Set(expected.keys()));
    }),
  );
});

function nameOf({ start, end }: { start: number; end: number }): string {
  return `${start}-${end}`;
}
