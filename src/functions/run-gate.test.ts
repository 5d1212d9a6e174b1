import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ProjectLoad, VirtualTime } from './fair-share.ts';
import { RunGate } from './run-gate.ts';
import type { Runner } from './run-gate.ts';

class Pool implements Runner {
  readonly project: ProjectLoad;
  readonly demand: number;
  readonly demandMax = 2;
  readonly gate: RunGate;
  running = 0;
  waiting = 0;
  served = 0;

  constructor(gate: RunGate, project: ProjectLoad, demand: number) {
    this.gate = gate;
    this.project = project;
    this.demand = demand;
  }

  call(): void {
    if (this.gate.enter(this, this.demand, 10)) this.#began();
    else {
      this.waiting++;
      this.gate.wait(this);
    }
  }

  end(): void {
    this.running--;
    this.gate.leave(this.project, this.demand);
    this.gate.letIn();
  }

  runOne(): boolean {
    if (this.waiting === 0 || !this.gate.enter(this, this.demand, 10)) return false;
    this.waiting--;
    this.#began();
    return this.waiting > 0;
  }

  #began(): void {
    this.running++;
    this.served++;
  }
}

const limits = { projectConcurrencyMax: 5, demandMax: 4 };

test('whatever comes and goes, no project runs too many calls, and nobody waits who may run', () => {
  const step = fc.record({ pool: fc.nat(5), end: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const gate = new RunGate(new VirtualTime(), limits);
      const projects = [new ProjectLoad('a'), new ProjectLoad('b')];
      const pools = [1, 0.1, 0.5, 1, 0, 2].map((demand, i) => new Pool(gate, projects[i % 2]!, demand));
      for (const { pool, end } of steps) {
        const one = pools[pool]!;
        if (!end) one.call();
        else if (one.running > 0) one.end();
        for (const project of projects) {
          const own = pools.filter((other) => other.project === project);
          assert.equal(
            project.running,
            own.reduce((sum, other) => sum + other.running, 0),
          );
          assert.ok(project.running <= 5);
          for (const other of own) if (other.waiting > 0 && other.running === 0) assert.equal(project.running, 5);
        }
      }
      // Whoever was let in meanwhile ends as well.
      while (pools.some((one) => one.running > 0)) for (const one of pools) if (one.running > 0) one.end();
      assert.ok(pools.every((one) => one.waiting === 0));
      assert.ok(projects.every(({ running, demand }) => running === 0 && demand === 0));
    }),
  );
});

test('a handler that computes runs as often as there are processors, one that waits as often as it is called', () => {
  const gate = new RunGate(new VirtualTime(), { projectConcurrencyMax: 1_000, demandMax: 8 });
  const project = new ProjectLoad('p');
  const computes = new Pool(gate, project, 1);
  const waits = new Pool(gate, new ProjectLoad('q'), 0.01);
  for (let i = 0; i < 20; i++) {
    computes.call();
    waits.call();
  }
  assert.deepEqual([computes.running, waits.running], [2, 20]);
});

test('a quiet project runs at once beside one with a thousand calls, and its next ones take turns', () => {
  const gate = new RunGate(new VirtualTime(), { projectConcurrencyMax: 1_000, demandMax: 3 });
  const noisy = [1, 2, 3].map(() => new Pool(gate, new ProjectLoad('noisy'), 1));
  for (let i = 0; i < 999; i++) noisy[i % 3]!.call();
  const quiet = new Pool(gate, new ProjectLoad('quiet'), 1);
  quiet.call();
  assert.equal(quiet.running, 1);
  for (let i = 0; i < 9; i++) quiet.call();
  let ends = 0;
  while (quiet.served < 10) {
    const running = [...noisy, quiet].filter((one) => one.running > 0);
    running[ends++ % running.length]!.end();
    assert.ok(ends < 100, `${ends} calls ended before the tenth of the quiet project began`);
  }
});

test('a call that keeps no processor busy any more makes room, and still counts as running', () => {
  const gate = new RunGate(new VirtualTime(), limits);
  const pool = new Pool(gate, new ProjectLoad('a'), 1);
  for (let n = 0; n < 3; n++) pool.call();
  assert.deepEqual([pool.running, pool.waiting], [2, 1]);
  gate.rest(pool.project, pool.demand);
  gate.letIn();
  assert.deepEqual([pool.running, pool.waiting, pool.project.running], [3, 0, 3]);
});
