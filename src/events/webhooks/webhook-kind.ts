// Subscriptions of topics with a `url`: each message is POSTed as a CloudEvent, signed, and what the receiver answers says what becomes of
// it. 2xx: done. 410: it is gone, so no further attempt. 429 and 503 with Retry-After: nothing of the subscription is sent until then.
// All else: again, with backoff. Invariants: no verdict quotes an answer; what this node lacks (its database) is no attempt.
// Made by server/control.ts for the Deliveries engine.
import { parseExactly } from '../../lib/exact-json.ts';
import { durationMs } from '../../lib/units.ts';
import { VirgaError } from '../../protocol/errors.ts';
import type { CloudEvent } from '../../protocol/events.ts';
import type { ReceivedMessage } from '../bus.ts';
import { binary, structured } from '../cloud-events/http-out.ts';
import type { DeliveryKind, Verdict } from '../deliver/delivery-kind.ts';
import { keyParts } from '../queue-keys.ts';
import type { Consumer, Topology } from '../topology.ts';
import { signatureHeaders } from './signature.ts';
import type { WebhookClient } from './webhook-client.ts';

export interface WebhookParts {
  client: Pick<WebhookClient, 'post'>;
  topologyOf: (project: string) => Topology | undefined | Promise<Topology | undefined>;
  /** Values of a project's secrets. Fails with VirgaError `secret_not_found` where one is missing or does not open, else while the database is away. */
  secretsOf: (project: string, names: readonly string[]) => Promise<Buffer[]>;
  /** Unix ms. */
  now: () => number;
}

const TIMEOUT_MS = 10_000;
const RETRY_AFTER_MS_MAX = 3_600_000;
const GONE_MS = 1_000;
const AWAY_MS = 1_000;

export class WebhookKind implements DeliveryKind {
  readonly #parts: WebhookParts;

  constructor(parts: WebhookParts) {
    this.#parts = parts;
  }

  async deliver(consumer: Consumer, messages: ReceivedMessage[], signal: AbortSignal): Promise<Verdict[]> {
    return await Promise.all(messages.map((message) => this.#one(consumer, message, signal)));
  }

  async #one({ queue: { key }, source }: Consumer, message: ReceivedMessage, signal: AbortSignal): Promise<Verdict> {
    const { project } = keyParts(key);
    const { client, topologyOf, now } = this.#parts;
    try {
      const topology = await topologyOf(project);
      const found = topology?.topics.get(source)?.subscriptions.find(({ queue }) => queue.key === key);
      // It was taken away by a deployment at this very moment.
      if (found === undefined || !('webhook' in found.to))
        return { as: 'later', delayMs: GONE_MS, error: 'the topic has no such subscription any more' };
      const { url, headers = {}, secret = [], timeout = '', mode } = found.to.webhook;
      const secrets = await this.#secrets(project, typeof secret === 'string' ? [secret] : secret);
      if (!Array.isArray(secrets)) return secrets;
      const sent = mode === 'binary' ? binary(parseExactly(message.body) as CloudEvent) : structured(message.body);
      const signed = signatureHeaders({ id: message.id, timestamp: Math.floor(now() / 1_000), body: sent.body }, secrets);
      const { status, retryAfter } = await client.post({
        url: url!,
        headers: { 'user-agent': 'virga', accept: '*/*', ...headers, ...sent.headers, ...signed },
        body: sent.body,
        timeoutMs: durationMs(timeout) ?? TIMEOUT_MS,
        signal,
      });
      return verdictOf(status, retryAfter, now());
    } catch (error) {
      // The process is stopping: that was no fault of the receiver.
      if (signal.aborted) return { as: 'later', delayMs: 0 };
      return { as: 'failed', error: reasonOf(error) };
    }
  }

  /** Or what it means that they cannot be had. */
  async #secrets(project: string, names: readonly string[]): Promise<Buffer[] | Verdict> {
    try {
      return await this.#parts.secretsOf(project, names);
    } catch (error) {
      const { message } = error as Error;
      if (error instanceof VirgaError && error.code === 'secret_not_found') return { as: 'failed', error: message };
      return { as: 'later', delayMs: AWAY_MS, error: `its secrets cannot be read now: ${message}` };
    }
  }
}

function verdictOf(status: number, retryAfter: string | undefined, nowMs: number): Verdict {
  if (status >= 200 && status < 300) return { as: 'done' };
  if (status === 410) return { as: 'dead', error: 'the receiver answered 410: it is gone' };
  const error =
    status >= 300 && status < 400
      ? `the receiver answered ${status}; webhooks follow no redirects, so give the URL that it leads to`
      : `the receiver answered ${status}`;
  const quietMs = status === 429 || status === 503 ? retryAfterMs(retryAfter, nowMs) : undefined;
  return { as: 'failed', error, ...(quietMs === undefined ? {} : { quietMs }) };
}

/** Seconds or a date (RFC 9110 §10.2.3). */
function retryAfterMs(text: string | undefined, nowMs: number): number | undefined {
  if (text === undefined) return undefined;
  const ms = /^\d{1,10}$/.test(text) ? Number(text) * 1_000 : /^[A-Z][a-z]{2}/.test(text) ? Date.parse(text) - nowMs : NaN;
  return Number.isNaN(ms) ? undefined : Math.min(RETRY_AFTER_MS_MAX, Math.max(0, ms));
}

/** Node's words for what went wrong with a connection, and ours. */
function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === undefined || !(error instanceof Error)) return error instanceof Error ? message : String(error);
  return `the receiver cannot be reached: ${code}`;
}
