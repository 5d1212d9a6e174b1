import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decode, encode, RECURSION_DESIRED, type Answer, type DecodedPacket, type Question } from 'dns-packet';
import type { Egress } from '../../protocol/egress.ts';
import { blockListOf } from '../../protocol/reserved-addresses.ts';
import { Resolver } from './resolver.ts';
import { Tenant } from './tenant.ts';

/** The resolver over an upstream that answers with these records, and what that was asked. */
function resolving(egress: Egress, answers: Answer[] | null, { ipv6 = true } = {}) {
  const log: string[] = [];
  const asked: DecodedPacket[] = [];
  const tenant = new Tenant(
    { project: 'p', function: 'f', version: 1, egress },
    { opened: blockListOf([]), isOwn: () => false, openPort: null },
    (_level, text) => log.push(text),
  );
  const upstream = {
    ask: async (query: Buffer): Promise<Buffer | undefined> => {
      const packet = decode(query);
      asked.push(packet);
      return answers === null ? undefined : encode({ type: 'response', id: 4711, questions: packet.questions!, answers });
    },
  };
  const resolver = new Resolver(upstream, () => ipv6);
  const ask = async (question: Question | Buffer): Promise<(DecodedPacket & { rcode?: string }) | null> => {
    const query = Buffer.isBuffer(question) ? question : encode({ type: 'query', id: 77, flags: RECURSION_DESIRED, questions: [question] });
    const answer = await resolver.answer(query, tenant, 'udp');
    return answer === null ? null : decode(answer);
  };
  return { ask, log, asked, tenant };
}

const A = (data: string, name = 'api.example.com'): Answer => ({ type: 'A', name, data, ttl: 60 });
const question = (name: string, type: Question['type'] = 'A'): Question => ({ type, name });

test('an answer goes on with the id of the asker, and its addresses are known', async () => {
  const { ask, tenant, log } = resolving(
    ['api.example.com'],
    [{ type: 'CNAME', name: 'api.example.com', data: 'x.cdn.net' }, A('198.51.100.7', 'x.cdn.net')],
  );
  const answer = await ask(question('API.example.com'));
  assert.deepEqual([answer!.id, answer!.rcode, answer!.answers!.length], [77, 'NOERROR', 2]);
  assert.ok(tenant.policy.judge('198.51.100.7', 443, performance.now()).allowed);
  assert.deepEqual(log, []);
});

test('a name outside of the list is asked of nobody', async () => {
  const { ask, asked, log } = resolving(['api.example.com'], [A('198.51.100.7')]);
  assert.equal((await ask(question('secret.attacker.net')))!.rcode, 'NXDOMAIN');
  assert.deepEqual(asked, []);
  assert.match(log[0]!, /the name 'secret\.attacker\.net' was refused to function 'f'/);
});

test('one address that is not public takes the whole answer with it', async () => {
  for (const bad of [A('10.0.0.1'), A('127.0.0.1'), { type: 'AAAA', name: 'api.example.com', data: '::ffff:10.0.0.1', ttl: 1 } as Answer]) {
    const { ask, tenant, log } = resolving('internet', [A('198.51.100.7'), bad]);
    assert.equal((await ask(question('api.example.com')))!.rcode, 'NXDOMAIN');
    assert.equal(tenant.policy.nameOf('198.51.100.7', performance.now()), undefined);
    assert.match(log[0]!, /not on the internet/);
  }
});

test('IPv6 addresses are told only where the node has IPv6', async () => {
  const { ask, asked } = resolving('internet', [], { ipv6: false });
  const answer = await ask(question('api.example.com', 'AAAA'));
  assert.deepEqual([answer!.rcode, answer!.answers, asked.length], ['NOERROR', [], 0]);
});

test('what is asked upstream is written anew', async () => {
  const { ask, asked } = resolving('internet', []);
  await ask(
    encode({
      type: 'query',
      id: 1,
      flags: RECURSION_DESIRED,
      questions: [question('a.example.com')],
      answers: [A('1.1.1.1')],
      additionals: [
        { type: 'OPT', name: '.', udpPayloadSize: 65_000, extendedRcode: 0, ednsVersion: 0, flags: 0, flag_do: false, options: [] },
        A('2.2.2.2'),
      ],
    }),
  );
  assert.deepEqual([asked[0]!.answers!.length, asked[0]!.additionals!.length], [0, 1]);
  assert.equal((asked[0]!.additionals![0] as { udpPayloadSize: number }).udpPayloadSize, 1232);
});

test('names in another spelling than the plain one, several questions, other opcodes and noise are not passed on', async () => {
  const { ask, asked } = resolving(['good.example.com'], []);
  const plain = encode({ type: 'query', id: 1, questions: [question('good.example.com')] });
  const dotted = Buffer.from(plain);
  // One label 'good.example' where there were two.
  dotted[12] = 12;
  dotted[17] = 0x2e;
  assert.equal((await ask(dotted))!.rcode, 'FORMERR');
  assert.equal(
    (await ask(encode({ type: 'query', id: 1, questions: [question('good.example.com'), question('good.example.com')] })))!.rcode,
    'FORMERR',
  );
  assert.equal((await ask(question('new\nline.example.com')))!.rcode, 'FORMERR');
  const update = Buffer.from(plain);
  update[2] = 5 << 3;
  assert.equal((await ask(update))!.rcode, 'NOTIMP');
  assert.equal(await ask(Buffer.from('noise')), null);
  assert.equal(await ask(encode({ type: 'response', id: 1, questions: [question('good.example.com')] })), null);
  for (let length = 0; length < plain.length; length++) await ask(plain.subarray(0, length));
  assert.deepEqual(asked, []);
});

test('resolvers that do not answer are a failure of the server, and the log says so', async () => {
  const { ask, log } = resolving('internet', null);
  assert.equal((await ask(question('api.example.com')))!.rcode, 'SERVFAIL');
  assert.match(log[0]!, /the node's resolvers do not answer/);
});

test('addresses of private networks have no names', async () => {
  const { ask, asked } = resolving('internet', []);
  for (const name of [
    '5.0.0.10.in-addr.arpa',
    '1.0.0.127.in-addr.arpa',
    '300.0.0.10.in-addr.arpa',
    `1.${'0.'.repeat(31)}ip6.arpa`,
    'x.arpa',
  ]) {
    assert.equal((await ask(question(name, 'PTR')))!.rcode, 'NXDOMAIN', name);
  }
  assert.deepEqual(asked, []);
  await ask(question('1.1.1.1.in-addr.arpa', 'PTR'));
  assert.equal(asked.length, 1);
});
