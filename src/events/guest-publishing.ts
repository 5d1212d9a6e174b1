// What functions send to their own project: the SERVICE requests `events.publish`, `queues.send`, `topics.publish` and `streams.append`,
// with the messages as JSON behind them. Invariant: the project is the calling instance's, never one that a request names; whatever a
// guest sends, the answer is a value or an error of the table, and a value means that it is stored. Made by server/edge.ts.
import { newId } from '../lib/ids.ts';
import { VirgaError } from '../protocol/errors.ts';
import type { CloudEvent } from '../protocol/events.ts';
import type { ServiceAnswer, ServiceRequest } from '../protocol/frames.ts';
import { checkedEvent } from './cloud-events/attributes.ts';
import { jsonOf } from './cloud-events/http-in.ts';
import { completeEvent } from './cloud-events/messages.ts';
import type { Publisher } from './publish.ts';
import { listOf, sentMessages, sentPublications, sentRecords } from './sent-input.ts';

export class GuestPublishing {
  readonly #publisher: Publisher;
  readonly #now: () => number;

  constructor({ publisher, now }: { publisher: Publisher; now: () => number }) {
    this.#publisher = publisher;
    this.#now = now;
  }

  /** `data` is read before it returns. */
  serve({ project }: { project: string }, request: ServiceRequest, data: Buffer, answer: (answer: ServiceAnswer) => void): void {
    this.#serve(project, request, data).then(
      (value) => answer({ value }),
      (error: unknown) => answer({ error: knownError(error) }),
    );
  }

  async #serve(project: string, request: ServiceRequest, data: Buffer): Promise<unknown> {
    const input = jsonOf(data);
    const publisher = this.#publisher;
    switch (request.op) {
      case 'events.publish': {
        const complete = completeEvent(project, this.#now());
        const events = listOf(input, 'events').map((one, index) => checkedEvent(completed(one, complete), `events.${index}.`));
        return await publisher.publishEvents(project, traced(events, request.trace));
      }
      case 'queues.send':
        return await publisher.send(project, nameOf('queue', request.queue), sentMessages(input));
      case 'topics.publish':
        return await publisher.publish(project, nameOf('topic', request.topic), sentPublications(input), traceOf(request.trace));
      case 'streams.append':
        return await publisher.append(
          project,
          nameOf('stream', request.stream),
          sentRecords(input, () => newId('rec')),
        );
      default:
        throw new VirgaError('invalid_request', `there is no operation '${String((request as { op: unknown }).op).slice(0, 40)}'`);
    }
  }
}

const TRACEPARENT = /^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;

function traceOf(trace: unknown): { traceparent?: string } {
  return typeof trace === 'string' && TRACEPARENT.test(trace) ? { traceparent: trace } : {};
}

/** By CloudEvents' extension for distributed tracing. */
function traced(events: CloudEvent[], trace: unknown): CloudEvent[] {
  const { traceparent } = traceOf(trace);
  return traceparent === undefined ? events : events.map((event) => ({ traceparent, ...event }));
}

function completed(one: unknown, complete: (event: Record<string, unknown>) => Record<string, unknown>): unknown {
  return typeof one === 'object' && one !== null && !Array.isArray(one) ? complete(one as Record<string, unknown>) : one;
}

function nameOf(kind: string, name: unknown): string {
  if (typeof name === 'string') return name;
  throw new VirgaError('invalid_request', `the name of the ${kind} is no text`);
}

function knownError(error: unknown): { code: string; message: string } {
  if (error instanceof VirgaError) return { code: error.code, message: error.message };
  return { code: 'internal', message: `it could not be stored: ${error instanceof Error ? error.message : String(error)}` };
}
