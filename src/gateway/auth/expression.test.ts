import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { GatewayRequest } from '../stage.ts';
import { BEARER, PENDING } from './authenticator.ts';
import type { Authenticator, Finding } from './authenticator.ts';
import { AllOf, AnyOf, Use } from './expression.ts';
import type { Expression, Outcome } from './expression.ts';
import { requirementOf } from './requirements.ts';

const request = {} as GatewayRequest;
const BODY = Buffer.from('');

const known = (id: string, scopes: string[] = []): Finding => ({
  kind: 'known',
  scheme: BEARER,
  principal: { kind: 'jwt', id, scopes, claims: { role: ['a', 'b'], deep: { er: 1 } } },
});
const unknown: Finding = { kind: 'unknown', scheme: BEARER };

/** `needsBody`: tells only when the body is there. `later`: by a promise. */
function leaf(finding: Finding, { later = false, needsBody = false } = {}): Expression & { asked: number } {
  const authenticator: Authenticator = {
    check: (_request, body) => {
      use.asked++;
      const found = needsBody && body === undefined ? PENDING : finding;
      return later ? Promise.resolve(found) : found;
    },
  };
  const use = Object.assign(new Use(authenticator, []), { asked: 0 });
  return use;
}

const idOf = (outcome: Outcome): string =>
  Array.isArray(outcome) ? 'refused' : outcome.kind === 'pending' ? 'pending' : outcome.principal.id;

test('any of: the first that knows the caller, and no further one is asked', async () => {
  for (const later of [false, true]) {
    const last = leaf(known('c'));
    const any = new AnyOf([leaf(unknown, { later }), leaf(known('b'), { later }), last], undefined);
    assert.equal(idOf(await any.evaluate(request, undefined)), 'b');
    assert.equal(last.asked, 0);
  }
});

test('all of: the first is who calls, and nobody is asked after one that does not know the caller', async () => {
  for (const later of [false, true]) {
    assert.equal(idOf(await new AllOf([leaf(known('a'), { later }), leaf(known('b'))], undefined).evaluate(request, undefined)), 'a');
    const last = leaf(known('c'));
    const refused = await new AllOf([leaf(known('a'), { later }), leaf(unknown, { later }), last], undefined).evaluate(request, undefined);
    assert.deepEqual([idOf(refused), last.asked], ['refused', 0]);
  }
});

test('what needs the body waits for it, unless the head tells', async () => {
  const signed = (finding: Finding) => leaf(finding, { needsBody: true });
  assert.equal(idOf(await new AnyOf([signed(known('s')), leaf(known('b'))], undefined).evaluate(request, undefined)), 'b');
  assert.equal(idOf(await new AnyOf([signed(known('s')), leaf(unknown)], undefined).evaluate(request, undefined)), 'pending');
  assert.equal(idOf(await new AnyOf([signed(known('s')), leaf(unknown)], undefined).evaluate(request, BODY)), 's');
  assert.equal(idOf(await new AllOf([signed(known('s')), leaf(unknown)], undefined).evaluate(request, undefined)), 'refused');
  assert.equal(idOf(await new AllOf([leaf(known('a')), signed(unknown)], undefined).evaluate(request, undefined)), 'pending');
  assert.equal(idOf(await new AllOf([leaf(known('a')), signed(unknown)], undefined).evaluate(request, BODY)), 'refused');
});

test('scopes and claims are asked of the principal', async () => {
  const ask = async (scopes: string[], claims: Record<string, string | number | (string | number)[]> = {}) =>
    idOf(await new AnyOf([leaf(known('a', ['read', 'list']))], requirementOf({ scopes, claims })).evaluate(request, undefined));
  assert.deepEqual(
    [
      await ask(['read']),
      await ask(['read', 'write']),
      await ask([], { role: 'b' }),
      await ask([], { role: ['x', 'a'] }),
      await ask([], { role: 'x' }),
      await ask([], { 'deep.er': 1 }),
      await ask([], { 'deep.er': '1' }),
      await ask([], { constructor: 'x' }),
      await ask([], { absent: 'x' }),
    ],
    ['a', 'refused', 'a', 'a', 'refused', 'a', 'refused', 'refused', 'refused'],
  );
});

type Tree = { any: Tree[] } | { all: Tree[] } | { known: boolean; later: boolean; needsBody: boolean };

test('with the body there, any and all mean what they say, sync or not', async () => {
  const tree = fc.letrec<{ tree: Tree }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 3 },
      fc.record({ known: fc.boolean(), later: fc.boolean(), needsBody: fc.boolean() }),
      fc.record({ any: fc.array(tie('tree'), { minLength: 1, maxLength: 3 }) }),
      fc.record({ all: fc.array(tie('tree'), { minLength: 1, maxLength: 3 }) }),
    ),
  })).tree;
  const build = (at: Tree): Expression => {
    if ('any' in at) return new AnyOf(at.any.map(build), undefined);
    if ('all' in at) return new AllOf(at.all.map(build), undefined);
    return leaf(at.known ? known('x') : unknown, at);
  };
  const holds = (at: Tree): boolean => ('any' in at ? at.any.some(holds) : 'all' in at ? at.all.every(holds) : at.known);
  await fc.assert(
    fc.asyncProperty(tree, async (at) => {
      const expression = build(at);
      assert.equal(idOf(await expression.evaluate(request, BODY)), holds(at) ? 'x' : 'refused');
      const before = idOf(await expression.evaluate(request, undefined));
      assert.ok(before === 'pending' || before === (holds(at) ? 'x' : 'refused'));
    }),
  );
});
