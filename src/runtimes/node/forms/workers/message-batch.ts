// A batch of a queue as a Worker gets it. Invariant, as at Cloudflare: what is said of one message goes before what is said of
// all, the first word counts, and what nothing was said of is done if the handler succeeds and comes again if it fails.
// Used by event-call.ts.
import type { QueueBatch, QueueMessage, QueueOutcome } from '../../../../protocol/events.ts';

interface RetryOptions {
  delaySeconds?: number;
}

type Verdict = 'ack' | 'retry';

class Message {
  readonly id: string;
  readonly timestamp: Date;
  readonly attempts: number;
  readonly #message: QueueMessage;
  readonly #batch: MessageBatch;
  #body: { value: unknown } | undefined;

  constructor(message: QueueMessage, batch: MessageBatch) {
    this.id = message.id;
    this.timestamp = new Date(message.sentAt);
    this.attempts = message.attempt;
    this.#message = message;
    this.#batch = batch;
  }

  /** Parsed when it is asked for. */
  get body(): unknown {
    this.#body ??= { value: bodyOf(this.#message) };
    return this.#body.value;
  }

  ack(): void {
    MessageBatch.judge(this.#batch, this.id, 'ack');
  }

  retry(options?: RetryOptions): void {
    MessageBatch.judge(this.#batch, this.id, 'retry', options);
  }
}

export class MessageBatch {
  readonly queue: string;
  readonly messages: readonly Message[];
  readonly #verdicts = new Map<string, Verdict>();
  readonly #warn: (text: string) => void;
  #all: Verdict | undefined;

  constructor({ queue, messages }: QueueBatch, warn: (text: string) => void) {
    this.queue = queue;
    this.messages = messages.map((message) => new Message(message, this));
    this.#warn = warn;
  }

  ackAll(): void {
    this.#all ??= 'ack';
  }

  retryAll(options?: RetryOptions): void {
    this.#all ??= 'retry';
    this.#noteDelay(options);
  }

  static judge(batch: MessageBatch, id: string, verdict: Verdict, options?: RetryOptions): void {
    if (!batch.#verdicts.has(id)) batch.#verdicts.set(id, verdict);
    if (verdict === 'retry') batch.#noteDelay(options);
  }

  static outcomeOf(batch: MessageBatch, { failed }: { failed: boolean }): QueueOutcome {
    const rest: Verdict = batch.#all ?? (failed ? 'retry' : 'ack');
    return { failed: batch.messages.map(({ id }) => id).filter((id) => (batch.#verdicts.get(id) ?? rest) === 'retry') };
  }

  #noteDelay(options: RetryOptions | undefined): void {
    if (options?.delaySeconds !== undefined)
      this.#warn(`retry after ${options.delaySeconds} s: the queue's own delay counts, not delaySeconds`);
  }
}

/** By its `content-type` attribute: text, bytes (base64) or JSON; without one JSON, Cloudflare's default, if it is that. */
function bodyOf({ body, attributes }: QueueMessage): unknown {
  const type = Object.entries(attributes ?? {})
    .find(([name]) => /^content-?type$/i.test(name))?.[1]
    .toLowerCase();
  if (type === 'text' || type?.startsWith('text/') === true) return body;
  if (type === 'bytes' || type === 'application/octet-stream') {
    const bytes = Buffer.from(body, 'base64');
    return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
  }
  try {
    return JSON.parse(body);
  } catch (error) {
    if (type === 'json' || type?.includes('json') === true)
      throw new SyntaxError(`the body of the message is not valid JSON: ${(error as Error).message}`);
    return body;
  }
}
