// Records what passes queues and topics with `record`: when it is sent, and what became of each delivery. Invariant: a delivery goes as
// it would without. Used by whoever has a Publisher, and by server/edge.ts around the kinds of delivery.
import { storableText } from '../../lib/storable-text.ts';
import type { TopicMessage } from '../../protocol/events.ts';
import type { Recording } from '../../protocol/sources/recording.ts';
import type { ReceivedMessage } from '../bus.ts';
import type { DeliveryKind, Verdict } from '../deliver/delivery-kind.ts';
import { keyParts } from '../queue-keys.ts';
import type { Consumer, Topology } from '../topology.ts';
import type { DeliveryNote, RecordingBuffer } from './recordings.ts';
import { recordedForMs, Redaction } from './redaction.ts';

export interface PassedMessage {
  id: string;
  body: string;
  attributes: Record<string, string>;
  subject?: string | undefined;
  group?: string | undefined;
  /** Unix ms. */
  sentAt: number;
}

/** As it is stored. */
export type RecordedMessage = Omit<PassedMessage, 'id'>;

export class EventRecorder {
  readonly #buffer: RecordingBuffer;
  readonly #now: () => number;
  /** By rules, which are made once for each deployment. */
  readonly #redactions = new WeakMap<object, Redaction>();

  constructor(parts: { buffer: RecordingBuffer; now: () => number }) {
    this.#buffer = parts.buffer;
    this.#now = parts.now;
  }

  passed(
    { project, source, rules }: { project: string; source: string; rules: Recording },
    message: PassedMessage,
    outcomes: Record<string, DeliveryNote> = {},
  ): void {
    const redaction = this.#redactionOf(rules);
    const left = new Set<string>();
    const attributes = redaction.attributes(message.attributes, left);
    const body = redaction.body(Buffer.from(message.body), left)?.toString() ?? '';
    const { id, subject, group, sentAt } = message;
    const content: RecordedMessage = {
      body,
      attributes,
      ...(subject === undefined ? {} : { subject }),
      ...(group === undefined ? {} : { group }),
      sentAt,
    };
    this.#buffer.add({
      project,
      id,
      source,
      at: sentAt,
      expiresAt: sentAt + recordedForMs(rules),
      function: null,
      version: null,
      summary: subject ?? null,
      content: JSON.stringify(content),
      answer: null,
      answerBody: null,
      outcomes,
      redacted: [...left],
    });
  }

  /** The kind, which notes what becomes of what it delivers. */
  around(kind: DeliveryKind, topologyOf: (project: string) => Topology | undefined): DeliveryKind {
    return {
      deliver: async (consumer, messages, signal) => {
        const rules = rulesOf(consumer, topologyOf);
        const verdicts = await kind.deliver(consumer, messages, signal);
        if (rules !== undefined) this.#noted(consumer, rules, messages, verdicts);
        return verdicts;
      },
    };
  }

  #noted(consumer: Consumer, rules: Recording, messages: ReceivedMessage[], verdicts: Verdict[]): void {
    const { queue, kind, source, function: fn = '', retry } = consumer;
    for (const [index, message] of messages.entries()) {
      const verdict = verdicts[index];
      if (verdict === undefined || verdict.as === 'later') continue;
      const isLast = verdict.as === 'dead' || message.attempt >= retry.attempts;
      const note: DeliveryNote = {
        state: verdict.as === 'done' ? 'done' : isLast ? 'dead' : 'failed',
        at: this.#now(),
        ...(verdict.as === 'done' ? {} : { error: storableText(verdict.error, ERROR_CHARACTERS_MAX) }),
      };
      const passed = kind === 'topic' ? ofTopic(message) : ofQueue(message);
      if (passed !== undefined)
        this.passed({ project: keyParts(queue.key).project, source: `${kind}/${source}`, rules }, passed, { [fn]: note });
    }
  }

  #redactionOf(rules: Recording): Redaction {
    if (rules === true) return EVERYTHING;
    let redaction = this.#redactions.get(rules);
    if (redaction === undefined) this.#redactions.set(rules, (redaction = Redaction.of(rules)));
    return redaction;
  }
}

const EVERYTHING = Redaction.of(true);
const ERROR_CHARACTERS_MAX = 500;

function rulesOf({ kind, source, queue }: Consumer, topologyOf: (project: string) => Topology | undefined): Recording | undefined {
  if (kind !== 'queue' && kind !== 'topic') return undefined;
  const topology = topologyOf(keyParts(queue.key).project);
  return kind === 'queue' ? topology?.queues.get(source)?.rules.record : topology?.topics.get(source)?.record;
}

function ofQueue({ id, body, attributes, group, sentAt }: ReceivedMessage): PassedMessage {
  return { id, body, attributes, sentAt, ...(group === null ? {} : { group }) };
}

/** Its body is the event that holds the message. */
function ofTopic({ body }: ReceivedMessage): PassedMessage | undefined {
  try {
    const { data } = JSON.parse(body) as { data: TopicMessage };
    const { id, attributes, subject, sentAt } = data;
    return { id, body: data.body, attributes, sentAt, ...(subject === undefined ? {} : { subject }) };
  } catch {
    return undefined;
  }
}
