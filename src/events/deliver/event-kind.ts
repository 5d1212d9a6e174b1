// Topics, events and schedules: the body of a message is the CloudEvent that the function gets, one call for each. Made by server/edge.ts.
import { CLOUD_EVENT_TYPE } from '../../protocol/events.ts';
import type { ReceivedMessage } from '../bus.ts';
import type { Invoker } from '../invoker.ts';
import { keyParts } from '../queue-keys.ts';
import type { Consumer } from '../topology.ts';
import { verdictOf } from './called.ts';
import type { DeliveryKind, Verdict } from './delivery-kind.ts';

/** As CloudEvents' extension for distributed tracing names it. */
const TRACEPARENT = /"traceparent"\s*:\s*"([0-9a-f-]{55})"/;

export class EventKind implements DeliveryKind {
  readonly #invoker: Pick<Invoker, 'invoke'>;

  constructor(invoker: Pick<Invoker, 'invoke'>) {
    this.#invoker = invoker;
  }

  async deliver(consumer: Consumer, messages: ReceivedMessage[], signal: AbortSignal): Promise<Verdict[]> {
    return await Promise.all(messages.map((message) => this.#one(consumer, message, signal)));
  }

  async #one({ queue, kind, source, function: fn }: Consumer, { body }: ReceivedMessage, signal: AbortSignal): Promise<Verdict> {
    const traceparent = TRACEPARENT.exec(body)?.[1];
    const outcome = await this.#invoker.invoke({
      project: keyParts(queue.key).project,
      function: fn!,
      trigger: kind,
      requestLine: `${kind.toUpperCase()} ${source}`,
      contentType: CLOUD_EVENT_TYPE,
      body: Buffer.from(body),
      ...(traceparent === undefined ? {} : { traceparent }),
      signal,
    });
    return verdictOf(outcome);
  }
}
