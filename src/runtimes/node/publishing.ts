// What a function sends to its own project: events, messages of queues and topics, records of streams. Invariant: a promise resolves
// when the bus has it on disk; bodies that are no text travel as JSON. The shape is published in the SDK (sdk/src/publishing.ts).
// Made by service-calls.ts.
import type { ServiceRequest } from '../../protocol/frames.ts';
import { running } from './invocation.ts';

interface Calls {
  call(request: ServiceRequest, data: Uint8Array, options: { patient: boolean }): Promise<unknown>;
}

type Fields = Record<string, unknown>;
type Published = { id: string; deliveries: number };

export class Publishing {
  readonly #calls: Calls;

  constructor(calls: Calls) {
    this.#calls = calls;
  }

  /** One event, or several in one step. */
  readonly publish = async (events: Fields | readonly Fields[]): Promise<Published | Published[]> => {
    const several = Array.isArray(events);
    const list = (several ? events : [events]) as readonly Fields[];
    const answers = (await this.#ask({ op: 'events.publish', ...traced() }, list.map(withoutBytes))) as Published[];
    return several ? answers : answers[0]!;
  };

  readonly queue = (name: string): QueueClient => new QueueClient((list) => this.#ask({ op: 'queues.send', queue: name }, list));
  readonly topic = (name: string): TopicClient =>
    new TopicClient((list) => this.#ask({ op: 'topics.publish', topic: name, ...traced() }, list));
  readonly stream = (name: string): StreamClient => new StreamClient((list) => this.#ask({ op: 'streams.append', stream: name }, list));

  async #ask(request: ServiceRequest, list: readonly unknown[]): Promise<unknown[]> {
    if (list.length === 0) return [];
    return (await this.#calls.call(request, Buffer.from(JSON.stringify(list)), { patient: true })) as unknown[];
  }
}

type Ask = (list: readonly Fields[]) => Promise<unknown[]>;

export class QueueClient {
  readonly #ask: Ask;

  constructor(ask: Ask) {
    this.#ask = ask;
  }

  async send(body: unknown, options: Fields = {}): Promise<unknown> {
    return (await this.#ask([{ ...options, body: textOf(body) }]))[0];
  }

  async sendBatch(messages: readonly Fields[]): Promise<unknown[]> {
    return await this.#ask(messages.map((one) => ({ ...one, body: textOf(one['body']) })));
  }
}

export class TopicClient {
  readonly #ask: Ask;

  constructor(ask: Ask) {
    this.#ask = ask;
  }

  async publish(body: unknown, options: Fields = {}): Promise<unknown> {
    return (await this.#ask([{ ...options, body: textOf(body) }]))[0];
  }

  async publishBatch(messages: readonly Fields[]): Promise<unknown[]> {
    return await this.#ask(messages.map((one) => ({ ...one, body: textOf(one['body']) })));
  }
}

export class StreamClient {
  readonly #ask: Ask;

  constructor(ask: Ask) {
    this.#ask = ask;
  }

  async append(data: unknown, options: Fields = {}): Promise<unknown> {
    return (await this.#ask([{ ...options, data: textOf(data) }]))[0];
  }

  async appendBatch(records: readonly Fields[]): Promise<unknown[]> {
    return await this.#ask(records.map((one) => ({ ...one, data: textOf(one['data']) })));
  }
}

/** So that whoever gets it goes on in the same trace. */
function traced(): { trace?: string } {
  const trace = running.getStore()?.meta.trace;
  return trace === undefined ? {} : { trace };
}

/** Bytes as CloudEvents have them: JSON would make an object of their numbers. */
function withoutBytes(event: Fields): Fields {
  if (!isBytes(event?.['data'])) return event;
  const { data, ...rest } = event;
  const bytes = ArrayBuffer.isView(data) ? Buffer.from(data.buffer, data.byteOffset, data.byteLength) : Buffer.from(data);
  return { ...rest, data_base64: bytes.toString('base64') };
}

function isBytes(value: unknown): value is ArrayBuffer | ArrayBufferView {
  return ArrayBuffer.isView(value) || value instanceof ArrayBuffer;
}

function textOf(body: unknown): string {
  if (typeof body === 'string') return body;
  if (isBytes(body)) throw new TypeError('a message is a text or JSON; send bytes in base64');
  const text = JSON.stringify(body) as string | undefined;
  if (text === undefined) throw new TypeError(`a message is a text or JSON, not ${typeof body}`);
  return text;
}
