// Where the outcome of an asynchronous invocation goes: an event to the queue, topic or function that `onSuccess` or `onFailure` names.
// Invariants: its id is made of the invocation's and of this end of it, so that whoever gets it twice sees so; payloads that are too large for a message are
// left out, and said to be; functions that call each other in a circle come to an end. Callers: delivery.ts, sweep.ts.
import { createHash } from 'node:crypto';
import { stableId } from '../../lib/ids.ts';
import type { CloudEvent, InvocationOutcome, Payload } from '../../protocol/events.ts';
import { CLOUD_EVENT_TYPE, EventType } from '../../protocol/events.ts';
import type { AsyncRules } from '../../protocol/sources/async.ts';
import type { AsyncAcceptor } from './accept.ts';
import type { AsyncRow } from './records.ts';
import type { AsyncRequest } from './request.ts';

export interface DestinationParts {
  publisher: {
    send(project: string, queue: string, messages: Told[]): Promise<unknown>;
    publish(project: string, topic: string, publications: Told[]): Promise<unknown>;
  };
  acceptor: AsyncAcceptor;
  rulesOf: (project: string, fn: string) => AsyncRules | undefined | Promise<AsyncRules | undefined>;
  log: (level: 'warn', message: string, fields?: Record<string, unknown>) => void;
}

interface Told {
  id: string;
  body: string;
  attributes: Record<string, string>;
  deduplicationId: string;
}

/** Of one payload, in an event that may have 256 KiB. */
const PAYLOAD_BYTES_MAX = 64 * 1024;
/** The same as it is written in the event. */
const WRITTEN_BYTES_MAX = 96 * 1024;
const HOPS_MAX = 16;

export class Destinations {
  readonly #parts: DestinationParts;

  constructor(parts: DestinationParts) {
    this.#parts = parts;
  }

  /** Durable when it resolves. A destination that is not there (any more) is logged: waiting for it would not bring it back. */
  async send(row: AsyncRow, request: AsyncRequest, rules: AsyncRules): Promise<void> {
    const to = row.state === 'succeeded' ? rules.onSuccess : rules.onFailure;
    if (to === undefined) return;
    const event = outcomeEvent(row, request);
    const attributes = { type: event.type, function: row.function };
    const message: Told = { id: event.id, body: JSON.stringify(event), attributes, deduplicationId: event.id };
    const { publisher, acceptor, rulesOf, log } = this.#parts;
    try {
      if (to.queue !== undefined) await publisher.send(row.project, to.queue, [message]);
      else if (to.topic !== undefined) await publisher.publish(row.project, to.topic, [message]);
      else if (to.function !== undefined) {
        const hops = (request.hops ?? 0) + 1;
        if (hops > HOPS_MAX) {
          log('warn', `destinations of functions lead to each other: after ${HOPS_MAX} of them no more are called`, { id: row.id });
          return;
        }
        await acceptor.accept({
          project: row.project,
          function: to.function,
          rules: (await rulesOf(row.project, to.function)) ?? {},
          request: { contentType: CLOUD_EVENT_TYPE, hops, body: Buffer.from(message.body) },
          source: 'destination',
          // Told twice, run once.
          idempotency: { scope: 'destination', key: event.id },
        });
      }
    } catch (error) {
      const { code } = error as { code?: unknown };
      if (code !== 'queue_not_found' && code !== 'topic_not_found' && code !== 'request_too_large' && code !== 'idempotency_key_reused')
        throw error;
      log('warn', 'the outcome of an asynchronous invocation could not be sent', { id: row.id, code });
    }
  }
}

export function outcomeEvent(row: AsyncRow, request: AsyncRequest): CloudEvent<InvocationOutcome> {
  const { http } = request;
  const endedAt = row.endedAt ?? row.createdAt;
  const data: InvocationOutcome = {
    invocation: row.id,
    function: row.function,
    version: row.version,
    attempts: row.attempts,
    createdAt: row.createdAt,
    endedAt,
    request: {
      ...(http === undefined ? {} : { method: http.method, url: http.url }),
      ...payloadOf(request.contentType, request.body),
    },
    ...(row.answer === null
      ? {}
      : {
          response: {
            status: row.answer.status,
            ...(row.answer.truncated
              ? { contentType: row.answer.contentType, truncated: true as const }
              : payloadOf(row.answer.contentType, row.answerBody ?? Buffer.alloc(0))),
          },
        }),
    ...(row.errorCode === null ? {} : { error: { code: row.errorCode, message: row.error ?? '' } }),
  };
  return {
    specversion: '1.0',
    id: stableId('evt', row.deadlineAt, createHash('sha256').update(`${row.id}\n${row.state}\n${row.deadlineAt}`).digest()),
    source: `/projects/${row.project}/functions/${row.function}`,
    type: row.state === 'succeeded' ? EventType.invocationSucceeded : EventType.invocationFailed,
    time: new Date(endedAt).toISOString(),
    subject: row.id,
    datacontenttype: 'application/json',
    data,
  };
}

export function payloadOf(contentType: string, body: Buffer): Payload {
  const cut: Payload = { contentType, truncated: true };
  if (body.length > PAYLOAD_BYTES_MAX) return cut;
  const payload = wholePayload(contentType, body);
  return Buffer.byteLength(JSON.stringify(payload)) > WRITTEN_BYTES_MAX ? cut : payload;
}

function wholePayload(contentType: string, body: Buffer): Payload {
  const text = body.toString();
  if (!body.equals(Buffer.from(text))) return { contentType, base64: body.toString('base64') };
  if (/^application\/(?:[\w.+-]+\+)?json\b/i.test(contentType)) {
    try {
      return { contentType, json: JSON.parse(text) as unknown };
    } catch {
      // Not what it says: as text, then.
    }
  }
  return { contentType, text };
}
