// Queues: the messages of a batch are one event, `virga.queue.batch`, and its handler may say which of them failed. Invariant: an answer that
// cannot be understood means that all failed, so that nothing is lost by a typing error; the reason names what was wrong with it. What the trigger's filter
// does not let through is done without a call.
// Made by server/edge.ts.
import { CLOUD_EVENT_TYPE, EventType } from '../../protocol/events.ts';
import type { CloudEvent, QueueBatch, QueueMessage } from '../../protocol/events.ts';
import type { ReceivedMessage } from '../bus.ts';
import type { EventOutcome, Invoker } from '../invoker.ts';
import { messageDocument, passes } from '../filters.ts';
import { keyParts } from '../queue-keys.ts';
import type { Consumer } from '../topology.ts';
import { verdictOf } from './called.ts';
import type { DeliveryKind, Verdict } from './delivery-kind.ts';

const JSON_TYPE = /^application\/(?:[\w.+-]+\+)?json\b/i;
const SHOWN = 80;

export class QueueDeliveries implements DeliveryKind {
  readonly #invoker: Pick<Invoker, 'invoke'>;
  readonly #now: () => number;

  constructor(parts: { invoker: Pick<Invoker, 'invoke'>; now: () => number }) {
    this.#invoker = parts.invoker;
    this.#now = parts.now;
  }

  async deliver(consumer: Consumer, messages: ReceivedMessage[], signal: AbortSignal): Promise<Verdict[]> {
    const { filter } = consumer;
    if (filter === undefined) return await this.#call(consumer, messages, signal);
    const wanted = messages.filter((message) => passes(filter, messageDocument(message)));
    if (wanted.length === messages.length) return await this.#call(consumer, messages, signal);
    const verdicts = wanted.length === 0 ? [] : await this.#call(consumer, wanted, signal);
    const ofWanted = new Map(wanted.map((message, index) => [message, verdicts[index]!]));
    return messages.map((message): Verdict => ofWanted.get(message) ?? { as: 'done' });
  }

  async #call({ queue, source, function: fn }: Consumer, messages: ReceivedMessage[], signal: AbortSignal): Promise<Verdict[]> {
    const { project } = keyParts(queue.key);
    const outcome = await this.#invoker.invoke({
      project,
      function: fn!,
      trigger: 'queue',
      requestLine: `QUEUE ${source} (${messages.length})`,
      contentType: CLOUD_EVENT_TYPE,
      body: Buffer.from(JSON.stringify(batchEvent({ project, queue: source, now: this.#now() }, messages))),
      signal,
    });
    return verdictsOf(outcome, messages);
  }
}

/** Its id is that of its first message: the batch that comes again with the same ones has the same. */
export function batchEvent(
  { project, queue, now }: { project: string; queue: string; now: number },
  messages: ReceivedMessage[],
): CloudEvent<QueueBatch> {
  return {
    specversion: '1.0',
    id: messages[0]!.id,
    source: `/projects/${project}/queues/${queue}`,
    type: EventType.queue,
    time: new Date(now).toISOString(),
    subject: queue,
    data: { queue, messages: messages.map((message) => queueMessage(message, now)) },
  };
}

function queueMessage(message: ReceivedMessage, now: number): QueueMessage {
  const { id, body, attributes, attempt, sentAt, firstReceivedAt, group, deduplicationId, sequence } = message;
  return {
    id,
    body,
    attributes,
    attempt,
    sentAt,
    firstReceivedAt: firstReceivedAt ?? now,
    ...(group === null ? {} : { group }),
    ...(deduplicationId === null ? {} : { deduplicationId }),
    sequence,
  };
}

export function verdictsOf(outcome: EventOutcome, messages: readonly { id: string }[]): Verdict[] {
  const whole = verdictOf(outcome);
  if (!outcome.ok || whole.as !== 'done') return messages.map(() => whole);
  const failed = failedOf(outcome, messages);
  if (typeof failed === 'string') return messages.map(() => ({ as: 'failed', error: failed }));
  return messages.map(({ id }) => (failed.has(id) ? { as: 'failed', error: 'the function named it in `failed`' } : { as: 'done' }));
}

/** The ids that the handler named, or what is wrong with its answer. */
function failedOf(outcome: EventOutcome & { ok: true }, messages: readonly { id: string }[]): ReadonlySet<string> | string {
  if (outcome.body.length === 0 || !JSON_TYPE.test(outcome.contentType)) return new Set();
  let answer: unknown;
  try {
    answer = JSON.parse(outcome.body.toString());
  } catch (error) {
    return `the function's answer is no JSON, though it says that it is: ${(error as Error).message.slice(0, SHOWN)}`;
  }
  if (typeof answer !== 'object' || answer === null || Array.isArray(answer) || !('failed' in answer)) return new Set();
  const { failed } = answer;
  if (failed === null || failed === undefined) return new Set();
  if (!Array.isArray(failed)) return `the function answered with \`failed: ${shown(failed)}\`; it is a list of ids of messages`;
  const ids = new Set(messages.map(({ id }) => id));
  for (const one of failed) {
    if (typeof one !== 'string') return `the function answered with ${shown(one)} in \`failed\`; it is a list of ids of messages`;
    if (!ids.has(one)) return `the function named '${one.slice(0, SHOWN)}' in \`failed\`, which is no message of this batch`;
  }
  return new Set(failed as string[]);
}

function shown(value: unknown): string {
  return (JSON.stringify(value) ?? String(value)).slice(0, SHOWN);
}
