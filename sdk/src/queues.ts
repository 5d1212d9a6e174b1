// The part of the client for queues, topics, deliveries and dead letters. Used by control.ts, whose class has these methods too.
import type { PublishAnswer, SendAnswer } from '../../src/protocol/control-api.ts';
import type {
  DeadLetterChoice,
  DeadLetterItem,
  DeliveryDetail,
  DeliveryFilter,
  DeliveryItem,
  QueuedMessage,
  QueueItem,
  ReceivedItem,
  ReceiveRequest,
  RedriveItem,
  RedriveRequest,
  SettleAnswer,
  SettleItem,
  TopicItem,
} from '../../src/protocol/events-api.ts';
import { pathOf } from './calls.ts';
import type { CallOptions, Calls, Listing } from './calls.ts';

/** A message for a queue. A body that is no text is sent as JSON. */
export interface MessageToSend {
  body: unknown;
  attributes?: Record<string, string> | undefined;
  delayMs?: number | undefined;
  /** Of a queue with `fifo`. */
  group?: string | undefined;
  deduplicationId?: string | undefined;
  id?: string | undefined;
}

/** A message for a topic. */
export interface MessageToPublish {
  body: unknown;
  subject?: string | undefined;
  attributes?: Record<string, string> | undefined;
  id?: string | undefined;
}

export class QueuesControl {
  protected readonly calls: Calls;

  protected constructor(calls: Calls) {
    this.calls = calls;
  }

  /** By name; those that virga.yaml does not name any more too, while there is something in them. */
  queues(project: string, options: CallOptions = {}): Listing<QueueItem> {
    return this.calls.list(pathOf(project, 'queues'), {}, options);
  }

  queue(project: string, queue: string, options: CallOptions = {}): Promise<QueueItem> {
    return this.calls.get(pathOf(project, 'queues', queue), options);
  }

  /** Looks at messages without receiving them, oldest first, of long bodies the beginning; `after`: a sequence. */
  messages(
    project: string,
    queue: string,
    filter: { after?: string | undefined; body?: boolean | undefined } = {},
    options: CallOptions = {},
  ): Listing<QueuedMessage> {
    return this.calls.list(pathOf(project, 'queues', queue, 'messages'), { after: filter.after, body: wordOf(filter.body) }, options, 100);
  }

  message(project: string, queue: string, id: string, options: CallOptions = {}): Promise<QueuedMessage> {
    return this.calls.get(pathOf(project, 'queues', queue, 'messages', id), options);
  }

  /** They are stored when it resolves, all or none. */
  sendMessages(project: string, queue: string, messages: readonly MessageToSend[], options: CallOptions = {}): Promise<SendAnswer> {
    return this.calls.post(pathOf(project, 'queues', queue, 'messages'), { messages }, options);
  }

  /** Drops what is not held, or one message. */
  purgeQueue(project: string, queue: string, options: CallOptions & { id?: string | undefined } = {}): Promise<{ purged: number }> {
    const path = pathOf(project, 'queues', queue, 'messages');
    return this.calls.transport.json({ method: 'DELETE', path, query: { id: options.id }, signal: options.signal });
  }

  /** Of a queue that no function takes. Settle each by its receipt, or it comes again. */
  receiveMessages(
    project: string,
    queue: string,
    request: ReceiveRequest = {},
    options: CallOptions = {},
  ): Promise<{ messages: ReceivedItem[] }> {
    return this.calls.post(pathOf(project, 'queues', queue, 'receive'), request, options);
  }

  settleMessages(project: string, queue: string, settlements: readonly SettleItem[], options: CallOptions = {}): Promise<SettleAnswer> {
    return this.calls.post(pathOf(project, 'queues', queue, 'settle'), { settlements }, options);
  }

  /** By name, with who is subscribed. */
  topics(project: string, options: CallOptions = {}): Listing<TopicItem> {
    return this.calls.list(pathOf(project, 'topics'), {}, options);
  }

  topic(project: string, topic: string, options: CallOptions = {}): Promise<TopicItem> {
    return this.calls.get(pathOf(project, 'topics', topic), options);
  }

  /** To all subscriptions whose filter fits; how many is in the answer. */
  publishMessages(
    project: string,
    topic: string,
    messages: readonly MessageToPublish[],
    options: CallOptions = {},
  ): Promise<PublishAnswer> {
    return this.calls.post(pathOf(project, 'topics', topic, 'messages'), { messages }, options);
  }

  /** Messages on their way, and dead ones, queue by queue. */
  deliveries(project: string, filter: DeliveryFilter = {}, options: CallOptions = {}): Listing<DeliveryItem> {
    return this.calls.list(pathOf(project, 'deliveries'), { ...filter }, options);
  }

  /** Where a message is on its way to, and where it died. */
  delivery(project: string, id: string, options: CallOptions & { body?: boolean | undefined } = {}): Promise<DeliveryDetail> {
    const query = { body: options.body };
    return this.calls.get(pathOf(project, 'deliveries', id), options, query);
  }

  /** Takes a message back that nobody holds, from all queues or from one source. */
  cancelDelivery(project: string, id: string, options: CallOptions & { source?: string | undefined } = {}): Promise<{ cancelled: number }> {
    return this.calls.post(pathOf(project, 'deliveries', id, 'cancel'), { source: options.source }, options);
  }

  /** Messages that were given up, place by place. */
  deadLetters(
    project: string,
    filter: { source?: string | undefined; body?: boolean | undefined } = {},
    options: CallOptions = {},
  ): Listing<DeadLetterItem> {
    return this.calls.list(pathOf(project, 'dead-letters'), { source: filter.source, body: wordOf(filter.body) }, options, 100);
  }

  /** A message may have died in several places. */
  async deadLetter(project: string, id: string, options: CallOptions & { body?: boolean | undefined } = {}): Promise<DeadLetterItem[]> {
    const query = { body: options.body };
    const path = pathOf(project, 'dead-letters', id);
    return (await this.calls.get<{ items: DeadLetterItem[] }>(path, options, query)).items;
  }

  purgeDeadLetters(project: string, choice: DeadLetterChoice, options: CallOptions = {}): Promise<{ purged: number }> {
    return this.calls.transport.json({
      method: 'DELETE',
      path: pathOf(project, 'dead-letters'),
      query: { ...choice },
      signal: options.signal,
    });
  }

  /** Sends dead letters back to where they died. Of one `id` it is done when it resolves; else look at it with redrive(). */
  startRedrive(project: string, request: RedriveRequest, options: CallOptions = {}): Promise<RedriveItem> {
    return this.calls.post(pathOf(project, 'dead-letters', 'redrive'), request, options);
  }

  async redrives(project: string, options: CallOptions = {}): Promise<RedriveItem[]> {
    return (await this.calls.get<{ items: RedriveItem[] }>(pathOf(project, 'redrives'), options)).items;
  }

  redrive(project: string, id: string, options: CallOptions = {}): Promise<RedriveItem> {
    return this.calls.get(pathOf(project, 'redrives', id), options);
  }

  cancelRedrive(project: string, id: string, options: CallOptions = {}): Promise<RedriveItem> {
    return this.calls.post(pathOf(project, 'redrives', id, 'cancel'), {}, options);
  }
}

function wordOf(value: boolean | undefined): string | undefined {
  return value === undefined ? undefined : String(value);
}
