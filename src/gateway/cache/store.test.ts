// The store counts exactly what it holds, never holds more than it may, and lets go of what nobody asks for.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CacheStore, costOf } from './store.ts';
import type { Entry } from './store.ts';
import { Unkept } from './unkept.ts';

function entryOf(store: CacheStore, project: string, { path, bytes, tags = [] }: { path: string; bytes: number; tags?: string[] }): Entry {
  const parts = { primary: path, secondary: '', path, tags, headers: [], body: Buffer.alloc(bytes) };
  return {
    ...parts,
    holder: store.project(project),
    forget: () => {},
    status: 200,
    etag: undefined,
    lastModified: undefined,
    canValidate: false,
    bornMs: 0,
    freshUntilMs: 0,
    staleWhileUntilMs: 0,
    staleErrorUntilMs: 0,
    forAuthorized: false,
    bytes: costOf(parts),
    asked: false,
    newer: undefined,
    older: undefined,
    held: false,
  };
}

const step = fc.oneof(
  fc.record({ do: fc.constant('add' as const), project: fc.nat(2), path: fc.nat(5), bytes: fc.nat(4_000), tag: fc.nat(2) }),
  fc.record({ do: fc.constant('ask' as const), pick: fc.nat() }),
  fc.record({ do: fc.constant('remove' as const), pick: fc.nat() }),
  fc.record({ do: fc.constant('hold' as const), project: fc.nat(2), bytes: fc.nat(4_000) }),
  fc.record({ do: fc.constant('letGo' as const), pick: fc.nat() }),
  fc.record({ do: fc.constant('purge' as const), project: fc.nat(2), tag: fc.nat(2) }),
);

test('whatever happens, the bytes are those of what is held, within the budgets, and every index agrees', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const store = new CacheStore({ cacheBytesMax: 20_000, projectCacheBytesMax: 12_000 });
      const made: Entry[] = [];
      let held: { project: string; bytes: number }[] = [];
      for (const one of steps) {
        const present = made.filter((entry) => entry.held);
        if (one.do === 'add') {
          const entry = entryOf(store, `p${one.project}`, { path: `/${one.path}`, bytes: one.bytes, tags: [`t${one.tag}`] });
          if (store.add(entry)) made.push(entry);
        } else if (one.do === 'ask') {
          if (present.length > 0) present[one.pick % present.length]!.asked = true;
        } else if (one.do === 'remove') {
          if (present.length > 0) store.remove(present[one.pick % present.length]!, 'replaced');
        } else if (one.do === 'hold') {
          if (store.hold(store.project(`p${one.project}`), one.bytes)) held.push({ project: `p${one.project}`, bytes: one.bytes });
        } else if (one.do === 'letGo') {
          const which = held[one.pick % Math.max(1, held.length)];
          if (which !== undefined) store.letGo(store.project(which.project), which.bytes);
          held = held.filter((other) => other !== which);
        } else {
          const tagged = present.filter(({ tags, holder }) => tags[0] === `t${one.tag}` && holder.name === `p${one.project}`);
          const before = store.bytes;
          const purged = store.purge(`p${one.project}`, { tag: `t${one.tag}` });
          assert.deepEqual(purged, { entries: tagged.length, bytes: before - store.bytes });
        }
        const now = made.filter((entry) => entry.held);
        const sum = (all: { bytes: number }[]): number => all.reduce((bytes, { bytes: more }) => bytes + more, 0);
        assert.equal(store.bytes, sum(now) + sum(held));
        assert.ok(store.bytes <= 20_000);
        for (const name of ['p0', 'p1', 'p2']) {
          const stats = store.stats(name);
          const own = now.filter(({ holder }) => holder.name === name);
          assert.equal(stats.bytes, sum(own) + sum(held.filter(({ project }) => project === name)));
          assert.ok(stats.bytes <= 12_000);
          assert.equal(stats.entries, own.length);
          assert.deepEqual(new Set(store.project(name).find({})), new Set(own));
        }
      }
    }),
    { numRuns: 300 },
  );
});

test('what was asked for stays, a scan of what is asked for once goes', () => {
  const store = new CacheStore({ cacheBytesMax: 20_000, projectCacheBytesMax: 20_000 });
  const wanted = [0, 1, 2, 3].map((index) => entryOf(store, 'p', { path: `/wanted/${index}`, bytes: 1_000 }));
  for (const entry of wanted) assert.ok(store.add(entry));
  for (let i = 0; i < 100; i++) {
    for (const entry of wanted) entry.asked = true;
    assert.ok(store.add(entryOf(store, 'p', { path: `/scan/${i}`, bytes: 1_000 })));
  }
  assert.ok(wanted.every(({ held }) => held));
  assert.ok(store.stats('p').evictions > 80);
});

test('keys that nobody should wait for are forgotten after a while, and when there are too many', () => {
  const unkept = new Unkept();
  unkept.mark('a', 0);
  assert.deepEqual([unkept.has('a', 9_999), unkept.has('b', 0), unkept.has('a', 10_000), unkept.size], [true, false, false, 0]);
  for (let i = 0; i < 20_000; i++) unkept.mark(`key ${i}`, 0);
  assert.equal(unkept.size, 16_384);
  assert.deepEqual([unkept.has('key 0', 1), unkept.has('key 19999', 1)], [false, true]);
});

test('a project that fills its share pushes out its own, and the one that holds most gives way to others', () => {
  const store = new CacheStore({ cacheBytesMax: 30_000, projectCacheBytesMax: 20_000 });
  const small = entryOf(store, 'small', { path: '/s', bytes: 5_000 });
  assert.ok(store.add(small));
  for (let i = 0; i < 20; i++) assert.ok(store.add(entryOf(store, 'large', { path: `/${i}`, bytes: 3_000 })));
  assert.ok(small.held);
  for (let i = 0; i < 4; i++) assert.ok(store.add(entryOf(store, 'third', { path: `/${i}`, bytes: 3_000 })));
  assert.ok(small.held);
  assert.equal(store.stats('third').entries, 4);
  assert.equal(store.add(entryOf(store, 'large', { path: '/huge', bytes: 21_000 })), false);
  const none = new CacheStore({ cacheBytesMax: 0, projectCacheBytesMax: 0 });
  assert.equal(none.add(entryOf(none, 'p', { path: '/', bytes: 0 })), false);
});
