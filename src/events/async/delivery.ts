// Runs asynchronous invocations: the kind `async` of the delivery engine. Of each message: claim its row, call the function, write what
// became of it, tell the destination, and only then let the message go. A crash anywhere in between makes it come again, and it goes on
// from what is written.
//
//   message ─▶ claim ─▶ call ─┬─ good ──────▶ succeeded ─▶ onSuccess ─▶ done
//                │            ├─ failed ────▶ queued, message due after a backoff … the last time ▶ failed ─▶ onFailure ─▶ dead
//                │            └─ refused ───▶ queued, not counted
//                ├─ ended already: the destination again, done or dead
//                └─ no row: it was never acknowledged; dropped once it cannot be any more
//
// Invariants: deliver() never rejects; at most one outcome is kept. Made by server/edge.ts.
import { timeOfId } from '../../lib/ids.ts';
import { VirgaError } from '../../protocol/errors.ts';
import type { AsyncRules } from '../../protocol/sources/async.ts';
import type { ReceivedMessage } from '../bus.ts';
import type { DeliveryKind, Verdict } from '../deliver/delivery-kind.ts';
import type { EventOutcome, Invoker } from '../invoker.ts';
import { ASYNC_RETRY, retryOf } from '../topology.ts';
import type { Consumer } from '../topology.ts';
import { keyParts } from '../queue-keys.ts';
import { keepMs, maxAgeMs, requestLine } from './accept.ts';
import type { Destinations } from './destinations.ts';
import type { AsyncRecords, AsyncRow, Outcome } from './records.ts';
import { readRequest, withoutSecrets, writeRequest } from './request.ts';
import type { AsyncRequest } from './request.ts';

export interface AsyncDeliveryParts {
  invoker: Pick<Invoker, 'invoke'>;
  records: AsyncRecords;
  destinations: Destinations;
  rulesOf: (project: string, fn: string) => AsyncRules | undefined | Promise<AsyncRules | undefined>;
  answerBytesMax: number;
  log: (level: 'warn', message: string, fields?: Record<string, unknown>) => void;
  /** Unix ms. */
  now: () => number;
  random: () => number;
  sleep: (ms: number) => Promise<unknown>;
}

/** A row is written right after its message: one that is not there by then will never be. */
const UNKNOWN_KEPT_MS = 60_000;
const ROW_WAITS_MS = [1, 2, 4, 8, 16, 32];
/** One that a crash of the node cut off so often is not tried again: it may be what makes it crash. */
const INTERRUPTIONS_MAX = 5;
const TROUBLE_DELAY_MS = 1_000;
const FULL_DELAY_MS = 5_000;

type Failure = { code: string; message: string };

export class AsyncDelivery implements DeliveryKind {
  readonly #parts: AsyncDeliveryParts;

  constructor(parts: AsyncDeliveryParts) {
    this.#parts = parts;
  }

  deliver(consumer: Consumer, messages: ReceivedMessage[], signal: AbortSignal): Promise<Verdict[]> {
    return Promise.all(
      messages.map(async (message): Promise<Verdict> => {
        try {
          return await this.#one(consumer, message, signal);
        } catch (error) {
          const reason = error instanceof Error ? error.message : String(error);
          this.#parts.log('warn', 'an asynchronous invocation is tried again later', { id: message.id, reason });
          return { as: 'later', delayMs: TROUBLE_DELAY_MS };
        }
      }),
    );
  }

  async #one(consumer: Consumer, message: ReceivedMessage, signal: AbortSignal): Promise<Verdict> {
    const { now } = this.#parts;
    const request = readRequest(message.body);
    if (request === undefined) return { as: 'dead', error: 'the message is no asynchronous invocation' };
    const { project } = keyParts(consumer.queue.key);
    const rules = (await this.#parts.rulesOf(project, consumer.source)) ?? {};
    const row = (await this.#claim(message)) ?? (await this.#returned(message, request, { project, function: consumer.source, rules }));
    if (row === undefined) {
      const age = now() - message.sentAt;
      if (age >= UNKNOWN_KEPT_MS) return { as: 'done' };
      return { as: 'failed', error: 'it is not acknowledged yet', delayMs: Math.max(20, age) };
    }
    if (row.state !== 'running') return this.#conclude(row, request, rules);
    if (row.interrupted > INTERRUPTIONS_MAX)
      return this.#fail(row, request, rules, {
        code: 'function_crashed',
        message: `it was cut off ${row.interrupted} times by the end of its node, and is not tried again`,
      });
    if (now() > row.deadlineAt) return this.#fail(row, request, rules, expired(row, rules), { began: false });
    const outcome = await this.#parts.invoker.invoke({
      project,
      function: row.function,
      trigger: 'async',
      requestLine: row.requestLine ?? `ASYNC ${row.id}`,
      contentType: request.contentType,
      body: request.body,
      answerBytesMax: this.#parts.answerBytesMax,
      signal,
      ...(request.version === undefined ? {} : { version: request.version }),
      ...(request.traceparent === undefined ? {} : { traceparent: request.traceparent }),
      ...(request.http === undefined ? {} : { http: { ...request.http, headers: headersOf(request.http.headers, row) } }),
    });
    return this.#ended(row, request, rules, outcome);
  }

  /** A message may be here some ms before its row: less than going back to the bus would take. */
  async #claim({ id, sentAt, sequence }: ReceivedMessage): Promise<AsyncRow | undefined> {
    const { records, now, sleep } = this.#parts;
    for (const waitMs of ROW_WAITS_MS) {
      const row = await records.claim({ id, sentAt, sequence, now: now() });
      if (row !== undefined || now() - sentAt > UNKNOWN_KEPT_MS) return row;
      await sleep(waitMs);
    }
    return undefined;
  }

  /** Of a dead letter that outlived its row and was redriven: it gets a new one. */
  async #returned(
    { id, sentAt, sequence }: ReceivedMessage,
    request: AsyncRequest,
    of: { project: string; function: string; rules: AsyncRules },
  ): Promise<AsyncRow | undefined> {
    const { records, now } = this.#parts;
    const madeAt = timeOfId(id);
    if (madeAt === undefined || sentAt - madeAt < UNKNOWN_KEPT_MS) return undefined;
    const { project, function: fn, rules } = of;
    await records.insert({
      id,
      project,
      function: fn,
      version: request.version ?? null,
      // Not of HTTP: nobody knows any more who may see its answer.
      source: 'control',
      createdAt: Math.floor(sentAt),
      deadlineAt: Math.floor(sentAt) + maxAgeMs(rules),
      keepMs: keepMs(rules),
      principal: null,
      requestLine: requestLine(request),
      idempotency: null,
      sequence,
    });
    return records.claim({ id, sentAt, sequence, now: now() });
  }

  async #ended(row: AsyncRow, request: AsyncRequest, rules: AsyncRules, outcome: EventOutcome): Promise<Verdict> {
    const { records, now } = this.#parts;
    if (!outcome.ok && outcome.refused && outcome.code !== 'version_not_found') {
      await records.pause({ id: row.id, counts: false, invocation: null, error: null });
      return { as: 'later', delayMs: outcome.retryAfterMs ?? TROUBLE_DELAY_MS };
    }
    const failure = failureOf(request, outcome);
    if (failure === undefined) return this.#succeed(row, request, rules, outcome as Answered);
    const { attempts, delayMs, maxDelayMs } = retryOf(rules.retry, ASYNC_RETRY);
    // Half of it is left to chance, so that what failed together does not come back together.
    const waitMs = Math.min(maxDelayMs, delayMs * 2 ** Math.min(row.attempts - 1, 30)) * (0.5 + this.#parts.random() / 2);
    if (row.attempts >= attempts || now() + waitMs > row.deadlineAt || failure.code === 'version_not_found')
      return this.#fail(row, request, rules, failure, { outcome });
    await records.pause({ id: row.id, counts: true, invocation: outcome.invocation, error: failure });
    return { as: 'failed', error: failure.message, delayMs: waitMs };
  }

  async #succeed(row: AsyncRow, request: AsyncRequest, rules: AsyncRules, outcome: Answered): Promise<Verdict> {
    const end: Outcome = {
      id: row.id,
      state: 'succeeded',
      endedAt: this.#parts.now(),
      request: writeRequest(withoutSecrets(request)),
      error: null,
      ...answerOf(outcome),
    };
    return this.#write(row, request, rules, end);
  }

  async #fail(
    row: AsyncRow,
    request: AsyncRequest,
    rules: AsyncRules,
    error: Failure,
    { outcome, began = true }: { outcome?: EventOutcome; began?: boolean } = {},
  ): Promise<Verdict> {
    if (!began) await this.#parts.records.pause({ id: row.id, counts: false, invocation: null, error: null });
    const answered = outcome?.ok === true ? answerOf(outcome) : NO_ANSWER;
    const invocation = outcome?.invocation ?? row.invocation;
    const end: Outcome = {
      ...answered,
      id: row.id,
      state: 'failed',
      endedAt: this.#parts.now(),
      invocation,
      request: writeRequest(withoutSecrets(request)),
      error,
    };
    return this.#write({ ...row, attempts: row.attempts - (began ? 0 : 1) }, request, rules, end);
  }

  async #write(row: AsyncRow, request: AsyncRequest, rules: AsyncRules, end: Outcome): Promise<Verdict> {
    await this.#parts.records.end(end);
    const ended: AsyncRow = {
      ...row,
      ...end,
      version: end.version ?? row.version,
      errorCode: end.error?.code ?? null,
      error: end.error?.message ?? null,
    };
    return this.#conclude(ended, request, rules);
  }

  /** Of one that has ended: its destination hears of it before the message goes. Again after a crash in between, under the same event id. */
  async #conclude(row: AsyncRow, request: AsyncRequest, rules: AsyncRules): Promise<Verdict> {
    if (row.state === 'cancelled') return { as: 'done' };
    if (!(await this.#told(row, request, rules))) return { as: 'failed', error: 'its destination is full', delayMs: FULL_DELAY_MS };
    return row.state === 'succeeded' ? { as: 'done' } : { as: 'dead', error: row.error ?? 'it failed' };
  }

  /** false: there is no room for it at this time. */
  async #told(row: AsyncRow, request: AsyncRequest, rules: AsyncRules): Promise<boolean> {
    try {
      await this.#parts.destinations.send(row, request, rules);
      return true;
    } catch (error) {
      if (error instanceof VirgaError && error.code === 'queue_full') return false;
      throw error;
    }
  }
}

/** Those of a client are not believed. */
const OWN_HEADERS = new Set(['x-virga-async-invocation', 'x-virga-attempt']);

type Answered = Extract<EventOutcome, { ok: true }>;

const NO_ANSWER = { version: null, invocation: null, answer: null, answerBody: null } as const;

function answerOf({ status, headers = [], contentType, truncated, body, version, invocation }: Answered) {
  const answer = { status, headers, contentType, truncated: truncated === true };
  return { version: version ?? null, invocation, answer, answerBody: body };
}

function failureOf({ http }: AsyncRequest, outcome: EventOutcome): Failure | undefined {
  if (!outcome.ok) return outcome;
  if (http === undefined || outcome.status < 500) return undefined;
  return { code: 'function_error', message: `it answered ${outcome.status}` };
}

export function expired(row: Pick<AsyncRow, 'error' | 'attempts'>, rules: AsyncRules): Failure {
  const age = rules.maxAge ?? `${maxAgeMs(rules) / 3_600_000}h`;
  const last = row.error === null ? 'no attempt was made' : `the last attempt failed: ${row.error}`;
  return { code: 'invocation_expired', message: `it had not succeeded within its \`maxAge\` of ${age}; ${last}` };
}

/** What tells the function that this is the same request again. */
function headersOf(headers: string[], row: AsyncRow): string[] {
  const others = headers.flatMap((text, at) => (at % 2 === 0 && !OWN_HEADERS.has(text.toLowerCase()) ? [text, headers[at + 1] ?? ''] : []));
  return [...others, 'x-virga-async-invocation', row.id, 'x-virga-attempt', String(row.attempts)];
}
