// What no client should send, against a real Virga over raw sockets: each case is answered as it says or its connection closes,
// the function sees nothing but what it should, and Virga serves on, with nothing left behind.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { LAST } from './abuse/case.ts';
import type { AbuseCase } from './abuse/case.ts';
import { framingCases } from './abuse/framing-cases.ts';
import { headCases } from './abuse/head-cases.ts';
import { exchange } from './abuse/raw-client.ts';
import { startTarget } from './abuse/target.ts';
import type { Seen, Target } from './abuse/target.ts';
import { targetCases } from './abuse/target-cases.ts';

const TABLES = { 'where a request ends': framingCases, 'what a request is': headCases, 'where a request goes': targetCases };

let target: Target;
before(async () => {
  target = await startTarget();
});
after(() => target[Symbol.asyncDispose]());

test('there are more than 200 cases, each with a name of its own', () => {
  const names = Object.values(TABLES).flatMap((cases) => cases.map(({ name }) => name));
  assert.equal(new Set(names).size, names.length);
  assert.ok(names.length > 200, String(names.length));
});

for (const [title, cases] of Object.entries(TABLES)) {
  describe(title, () => {
    for (const one of cases) test(one.name, () => check(one));
    test('afterwards nothing is under way and no descriptor was kept', () => target.clean());
  });
}

async function check(one: AbuseCase): Promise<void> {
  await target.seen();
  const pieces = typeof one.send === 'string' || Buffer.isBuffer(one.send) ? [one.send] : [...one.send];
  if (one.goesOn) pieces.push(`${pieces.pop()!.toString()}${LAST}`);
  const { answers, rest } = await exchange(target.port, pieces, { halfClose: one.halfClose });
  const statuses = answers.map(({ status }) => status);
  const shown = JSON.stringify({ statuses, rest: rest.slice(0, 200), bodies: answers.map(({ body }) => body.slice(0, 200)) });
  const wanted = [...one.answers, ...(one.goesOn ? [200] : [])];
  assert.equal(statuses.length, wanted.length, shown);
  for (const [index, status] of statuses.entries()) assert.ok([wanted[index]].flat().includes(status), shown);
  assert.equal(rest, '');
  const params = one.seen?.some((line) => line.endsWith('}')) === true;
  const lines = (await target.seen()).filter(({ target: path }) => path !== '/echo?last').map((seen) => lineOf(seen, params));
  if (!one.seenOrNot || lines.length > 0) assert.deepEqual(lines, one.seen ?? []);
  await target.works();
}

function lineOf({ method, target: path, params, body }: Seen, withParams: boolean): string {
  return [method, path, ...(body === '' ? [] : [body]), ...(withParams ? [JSON.stringify(params)] : [])].join(' ');
}
