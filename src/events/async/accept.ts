// Takes asynchronous invocations: the message first, then the row, then the caller hears of it. A crash between the two leaves a message
// without a row, which delivery.ts drops after a while, and nothing that was promised to anybody. Invariants: what resolved is durable and
// will run; of one idempotency key there is one invocation, also when two processes are asked at the same instant.
// Callers: the gateway (`Prefer: respond-async`), control (invoke-async), destinations.
import { newSecretId } from '../../lib/ids.ts';
import { durationMs } from '../../lib/units.ts';
import type { AsyncState } from '../../protocol/async-api.ts';
import { VirgaError } from '../../protocol/errors.ts';
import type { AsyncRules } from '../../protocol/sources/async.ts';
import type { Bus } from '../bus.ts';
import { asyncQueue } from '../topology.ts';
import type { AsyncRecords, NewRow } from './records.ts';
import { fingerprintOf, writeRequest } from './request.ts';
import type { AsyncRequest } from './request.ts';

export interface AsyncCall {
  project: string;
  function: string;
  rules: AsyncRules;
  request: AsyncRequest;
  source: NewRow['source'];
  /** Who asked over HTTP. */
  principal?: string;
  /** Keys of different scopes have nothing to do with each other. */
  idempotency?: { scope: string; key: string };
}

export interface Accepted {
  id: string;
  state: AsyncState;
  /** There was one of this idempotency key. */
  again: boolean;
}

export interface AsyncParts {
  bus: Pick<Bus, 'send' | 'purge'>;
  records: AsyncRecords;
  requestBytesMax: number;
  /** Unix ms. */
  now: () => number;
}

const KEEP_MS = 86_400_000;
const MAX_AGE_MS = 6 * 3_600_000;
/** Between its message and its row; whoever delivers gives up a message without a row after twice as long (delivery.ts). */
const WRITE_MS_MAX = 30_000;
const KEY = /^[\x21-\x7e][\x20-\x7e]{0,254}$/;

export class AsyncAcceptor {
  readonly #parts: AsyncParts;
  /** By key, while it is being taken. */
  readonly #taking = new Map<string, Promise<{ accepted: Accepted; fingerprint: Buffer }>>();

  constructor(parts: AsyncParts) {
    this.#parts = parts;
  }

  get requestBytesMax(): number {
    return this.#parts.requestBytesMax;
  }

  /** Fails with VirgaError `request_too_large`, `idempotency_key_reused`, `queue_full`, `unavailable`. */
  async accept(call: AsyncCall): Promise<Accepted> {
    const { request, idempotency, project, function: fn } = call;
    if (request.body.length > this.#parts.requestBytesMax) throw tooLarge(this.#parts.requestBytesMax);
    if (idempotency === undefined) return { id: await this.#take(call, null), state: 'queued', again: false };
    const fingerprint = fingerprintOf(request);
    const place = JSON.stringify([project, fn, idempotency.scope, idempotency.key]);
    const other = this.#taking.get(place);
    if (other !== undefined) {
      const first = await other;
      return sameRequest(idempotency.key, first, fingerprint);
    }
    const taken = this.#takeOnce(call, { ...idempotency, fingerprint });
    this.#taking.set(place, taken);
    try {
      const first = await taken;
      return first.accepted.again ? sameRequest(idempotency.key, first, fingerprint) : first.accepted;
    } finally {
      this.#taking.delete(place);
    }
  }

  async #takeOnce(
    call: AsyncCall,
    idempotency: { scope: string; key: string; fingerprint: Buffer },
  ): Promise<{ accepted: Accepted; fingerprint: Buffer }> {
    const { records, bus, now } = this.#parts;
    const of = { project: call.project, function: call.function, ...idempotency };
    const before = await records.findByKey(of);
    if (before !== undefined && (before.expiresAt > now() || before.state === 'queued' || before.state === 'running')) return known(before);
    if (before !== undefined) await records.remove(before.id);
    const id = newSecretId('inv', now());
    if (await this.#write(call, id, idempotency))
      return { accepted: { id, state: 'queued', again: false }, fingerprint: idempotency.fingerprint };
    // Another process was faster. Its row is there, so its message is too; ours is nobody's.
    await bus.purge(asyncQueue(call.project, call.function, call.rules).key, { id }).catch(() => 0);
    const faster = await records.findByKey(of);
    if (faster !== undefined) return known(faster);
    throw new VirgaError('conflict', `the invocation of the idempotency key '${idempotency.key}' was removed at this moment; ask again`);
  }

  async #take(call: AsyncCall, idempotency: NewRow['idempotency']): Promise<string> {
    const id = newSecretId('inv', this.#parts.now());
    if (!(await this.#write(call, id, idempotency))) throw new VirgaError('internal', `the id ${id} was there already`);
    return id;
  }

  /** false: there is one of the same key. */
  async #write(call: AsyncCall, id: string, idempotency: NewRow['idempotency']): Promise<boolean> {
    const { bus, records, now } = this.#parts;
    const { project, function: fn, rules, request, source } = call;
    const createdAt = Math.floor(now());
    const queue = asyncQueue(project, fn, rules);
    const [[sent] = []] = await bus.send([{ queue, messages: [{ id, body: writeRequest(request), attributes: {} }] }]);
    const written = await records.insert({
      id,
      project,
      function: fn,
      version: request.version ?? null,
      source,
      createdAt,
      deadlineAt: createdAt + maxAgeMs(rules),
      keepMs: keepMs(rules),
      principal: call.principal ?? null,
      requestLine: requestLine(request),
      idempotency,
      sequence: sent?.result === 'sent' ? sent.sequence : null,
    });
    // Its message may be gone already: what is not said to be taken need not run.
    if (written && now() - createdAt > WRITE_MS_MAX && (await records.withdraw(id)))
      throw new VirgaError('unavailable', 'the database took too long to store the invocation; ask again');
    return written;
  }
}

export function keepMs(rules: AsyncRules): number {
  return durationMs(rules.keep ?? '') ?? KEEP_MS;
}

export function maxAgeMs(rules: AsyncRules): number {
  return durationMs(rules.maxAge ?? '') ?? MAX_AGE_MS;
}

/**
 * The value of Idempotency-Key (draft-ietf-httpapi-idempotency-key-header): a string in quotes; many clients send it without them.
 * Fails with VirgaError `invalid_request`.
 */
export function idempotencyKeyOf(header: string | undefined): string | undefined {
  if (header === undefined) return undefined;
  const text = header.trim();
  const key = /^"((?:[^"\\]|\\["\\])*)"$/.exec(text)?.[1]?.replaceAll(/\\(["\\])/g, '$1') ?? text;
  if (KEY.test(key)) return key;
  throw new VirgaError(
    'invalid_request',
    `the Idempotency-Key ${JSON.stringify(key.slice(0, 40))} is none: 1 to 255 visible ASCII characters, such as "8e03978e-40d5-43dd-bc93-6894a57f9324"`,
  );
}

export function tooLarge(bytesMax: number): VirgaError {
  return new VirgaError(
    'request_too_large',
    `the body of an asynchronous invocation may have ${bytesMax} bytes (VIRGA_LIMIT_ASYNC_REQUEST_BYTES); put larger ones elsewhere and send where they are`,
  );
}

function known({ id, state, fingerprint }: { id: string; state: AsyncState; fingerprint: Buffer }): {
  accepted: Accepted;
  fingerprint: Buffer;
} {
  return { accepted: { id, state, again: true }, fingerprint };
}

/** Says nothing of the earlier one: to know its id is the right to read its answer. */
function sameRequest(key: string, first: { accepted: Accepted; fingerprint: Buffer }, fingerprint: Buffer): Accepted {
  if (first.fingerprint.equals(fingerprint)) return { ...first.accepted, again: true };
  throw new VirgaError(
    'idempotency_key_reused',
    `the idempotency key '${key}' belongs to an invocation that was asked with another request; use a key once for each request`,
  );
}

export function requestLine({ http }: AsyncRequest): string | null {
  if (http === undefined) return null;
  // No query: that may hold what nobody should see in a list.
  const path = /^https?:\/\/[^/]*([^?]*)/.exec(http.url)?.[1] ?? '/';
  return `${http.method} ${path.slice(0, 512)}`;
}
