// The resolver that sandboxes have at 127.0.0.1:53 (and wherever else they send DNS to): asks the node's resolvers, for
// the names that the sandbox may know, and tells only addresses that it might connect to.
// Invariant: an answer with an address that is not public becomes "there is no such name", whole; what is told is pinned
// to the sandbox first. A name outside of a list never leaves the node. Queries are written anew (the node's resolvers never
// see bytes of a guest), answers go on as they are but for their id.
// Caller: namespace.ts.
import { decode, encode, AUTHENTIC_DATA, CHECKING_DISABLED, DNSSEC_OK, RECURSION_AVAILABLE, RECURSION_DESIRED } from 'dns-packet';
import type { Answer, DecodedPacket, OptAnswer, Packet, Question } from 'dns-packet';
import { reservedAs } from '../../protocol/reserved-addresses.ts';
import type { Tenant } from './tenant.ts';
import type { Upstream } from './upstream.ts';

const RCODE = { formatError: 1, serverFailure: 2, noSuchName: 3, notImplemented: 4 } as const;
/** The bits of the header that say what is wanted; 0 is a query. */
const OPCODE = 0x7800;
/** Records of one answer that are looked at. */
const RECORDS_MAX = 500;
/** Of an answer over UDP that is sure to pass everywhere (dnsflagday.net/2020). */
const UDP_BYTES_MAX = 1_232;

export class Resolver {
  readonly #upstream: Pick<Upstream, 'ask'>;
  readonly #hasIpv6: () => boolean;

  /** `hasIpv6`: of the node. Without it, IPv6 addresses are not told: a connection to one would be taken, then fail. */
  constructor(upstream: Pick<Upstream, 'ask'>, hasIpv6: () => boolean) {
    this.#upstream = upstream;
    this.#hasIpv6 = hasIpv6;
  }

  /** null: it is not even a query. */
  async answer(query: Buffer, tenant: Tenant, transport: 'tcp' | 'udp'): Promise<Buffer | null> {
    const asked = decoded(query);
    if (asked === undefined || asked.type !== 'query') return null;
    const [question, ...more] = asked.questions ?? [];
    if (question === undefined || more.length > 0 || !isPlain(question, query)) return reply(asked, RCODE.formatError);
    if (((asked.flags ?? 0) & OPCODE) !== 0 || (question.class ?? 'IN') !== 'IN') return reply(asked, RCODE.notImplemented);
    const name = question.name.toLowerCase().replace(/\.$/, '');
    const verdict = tenant.policy.mayResolve(name);
    if (!verdict.allowed) {
      tenant.refused(`the name '${name}'`, verdict);
      return reply(asked, RCODE.noSuchName);
    }
    if (isReverseOfReserved(name)) return reply(asked, RCODE.noSuchName);
    if (question.type === 'AAAA' && !this.#hasIpv6()) return reply(asked, 0);
    const answer = await this.#upstream.ask(rewritten(asked, question), transport);
    const told = answer === undefined ? undefined : decoded(answer);
    if (answer === undefined || told === undefined) {
      if (!tenant.ended) tenant.failed(`the name '${name}'`, "the node's resolvers do not answer");
      return reply(asked, RCODE.serverFailure);
    }
    if (!this.#learn(name, told, tenant)) return reply(asked, RCODE.noSuchName);
    answer.writeUInt16BE(asked.id ?? 0, 0);
    return answer;
  }

  /** What a query gets that is one too many. */
  busy(query: Buffer): Buffer | null {
    const asked = decoded(query);
    return asked === undefined ? null : reply(asked, RCODE.serverFailure);
  }

  /** false: it holds an address that is not to be told. */
  #learn(name: string, told: Packet, tenant: Tenant): boolean {
    const records = [...(told.answers ?? []), ...(told.additionals ?? [])];
    if (records.length > RECORDS_MAX) return false;
    for (const record of records.filter(isAddress)) {
      const verdict = tenant.policy.mayLearn(name, record.data);
      if (verdict.allowed) continue;
      tenant.refused(`the name '${name}'`, verdict);
      return false;
    }
    const nowMs = performance.now();
    for (const record of (told.answers ?? []).filter(isAddress)) tenant.policy.learn(name, record.data, record.ttl ?? 0, nowMs);
    return true;
  }
}

function isAddress(record: Answer): record is Answer & { type: 'A' | 'AAAA'; data: string; ttl?: number } {
  return (record.type === 'A' || record.type === 'AAAA') && typeof record.data === 'string';
}

/** Whether the name is written in the one way there is (no pointer, no dot inside of a label), and in characters that show. */
function isPlain(question: Question, query: Buffer): boolean {
  if (!/^[\x21-\x7e]*$/.test(question.name)) return false;
  const plain = encode({ type: 'query', questions: [question] }).subarray(12);
  return plain.equals(query.subarray(12, 12 + plain.length));
}

function rewritten(asked: Packet, question: Question): Buffer {
  const extension = (asked.additionals ?? []).find((record): record is OptAnswer => record.type === 'OPT');
  const flags = (asked.flags ?? 0) & (RECURSION_DESIRED | AUTHENTIC_DATA | CHECKING_DISABLED);
  const additionals: OptAnswer[] = [];
  if (extension !== undefined) {
    const udpPayloadSize = Math.min(UDP_BYTES_MAX, Math.max(512, extension.udpPayloadSize));
    const { flags: own } = extension;
    additionals.push({
      type: 'OPT',
      name: '.',
      udpPayloadSize,
      extendedRcode: 0,
      ednsVersion: 0,
      flags: own & DNSSEC_OK,
      flag_do: false,
      options: [],
    });
  }
  return encode({ type: 'query', flags, questions: [question], additionals });
}

function decoded(message: Buffer): DecodedPacket | undefined {
  try {
    return decode(message);
  } catch {
    return undefined;
  }
}

function reply(asked: Packet, rcode: number): Buffer {
  const flags = RECURSION_AVAILABLE | ((asked.flags ?? 0) & RECURSION_DESIRED) | rcode;
  return encode({ type: 'response', id: asked.id ?? 0, flags, questions: asked.questions ?? [] });
}

/** What an address of a private network is called there is nobody's business. */
function isReverseOfReserved(name: string): boolean {
  const four = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.in-addr\.arpa$/.exec(name);
  if (four !== null) {
    const bytes = four.slice(1).map(Number).toReversed();
    return bytes.some((byte) => byte > 255) || reservedAs(bytes.join('.')) !== null;
  }
  const six = /^((?:[0-9a-f]\.){32})ip6\.arpa$/.exec(name);
  if (six === null) return name.endsWith('.arpa');
  const digits = six[1]!.replaceAll('.', '').split('').toReversed().join('');
  return reservedAs(digits.match(/.{4}/g)!.join(':')) !== null;
}
