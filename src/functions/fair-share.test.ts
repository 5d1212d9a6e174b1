import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FairLine, ProjectLoad, VirtualTime } from './fair-share.ts';

interface Asking {
  project: ProjectLoad;
}

/** Serves whoever is next until `turns` are done; each project asks again at once. */
function serve(costs: number[], turns: number): { project: ProjectLoad; served: number }[] {
  const time = new VirtualTime();
  const line = new FairLine<Asking>(time);
  const all = costs.map((cost, i) => ({ project: new ProjectLoad(`p${i}`), cost, served: 0 }));
  for (const one of all) line.join(one);
  for (let i = 0; i < turns; i++) {
    const one = line.next()! as (typeof all)[number];
    time.serve(one.project, one.cost);
    one.served += one.cost;
  }
  return all;
}

test('projects that always wait are served alike in processor time, whatever a turn of each costs', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 2, maxLength: 8 }),
      fc.integer({ min: 0, max: 2_000 }),
      (costs, turns) => {
        const all = serve(costs, turns);
        for (const one of all) for (const other of all) assert.ok(one.served - other.served <= Math.max(...costs));
      },
    ),
  );
});

test('a project that was quiet comes next, and has saved nothing up', () => {
  const time = new VirtualTime();
  const line = new FairLine<Asking>(time);
  const noisy = { project: new ProjectLoad('noisy') };
  const quiet = { project: new ProjectLoad('quiet') };
  line.join(noisy);
  for (let i = 0; i < 1_000; i++) time.serve(noisy.project, 10);
  line.join(quiet);
  assert.equal(line.next(), quiet);
  time.serve(quiet.project, 10);
  let own = 0;
  for (let i = 0; i < 20; i++) {
    const one = line.next()!;
    if (one === quiet) own++;
    time.serve(one.project, 10);
  }
  assert.ok(own >= 9 && own <= 11, `${own} of 20`);
});

test('what was dearer than estimated is paid back', () => {
  const time = new VirtualTime();
  const line = new FairLine<Asking>(time);
  const [a, b] = [{ project: new ProjectLoad('a') }, { project: new ProjectLoad('b') }];
  line.join(a);
  line.join(b);
  let turnsOfA = 0;
  for (let i = 0; i < 1_000; i++) {
    const one = line.next()!;
    time.serve(one.project, 10);
    if (one !== a) continue;
    turnsOfA++;
    time.correct(a.project, 30);
  }
  assert.ok(Math.abs(turnsOfA - 200) <= 2, String(turnsOfA));
});

test('within a project whoever came first is next; who may not, or has left, is passed over', () => {
  const line = new FairLine<Asking>(new VirtualTime());
  const project = new ProjectLoad('p');
  const [first, second] = [{ project }, { project }];
  line.join(first);
  line.join(second);
  line.join(first);
  assert.equal(line.size, 2);
  assert.equal(line.next(), first);
  assert.equal(
    line.next((one) => one !== first),
    second,
  );
  line.leave(first);
  line.leave(first);
  assert.equal(line.next(), second);
  line.leave(second);
  assert.deepEqual([line.next(), line.size], [undefined, 0]);
});
