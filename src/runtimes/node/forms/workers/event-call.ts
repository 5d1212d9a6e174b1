// Events as a Worker gets them: a schedule that is due calls `scheduled`, a batch of a queue calls `queue`. Invariant: any other
// payload is an error that says what a Worker takes. Called by workers.ts.
import { CLOUD_EVENT_TYPE, EventType, isCloudEvent } from '../../../../protocol/events.ts';
import type { CloudEvent, QueueBatch, QueueOutcome, ScheduleDue } from '../../../../protocol/events.ts';
import type { EventRequestMeta } from '../../../../protocol/frames.ts';
import type { Context } from '../../context.ts';
import { describe } from '../../failure.ts';
import type { Invocation } from '../../invocation.ts';
import type { LogRecords } from '../../log-records.ts';
import { missingHint } from './environment.ts';
import type { WorkerEnvironment } from './environment.ts';
import { ExecutionContext } from './execution-context.ts';
import { MessageBatch } from './message-batch.ts';
import type { Worker } from './worker.ts';

interface Parts {
  worker: Worker;
  environment: WorkerEnvironment;
  log: LogRecords;
}

const TAKEN = `a Worker takes HTTP requests, and CloudEvents (${CLOUD_EVENT_TYPE}) of the types ${EventType.schedule} and ${EventType.queue}`;
const HEADERS = ['content-type', 'application/json'];

export async function serveEvent(
  { worker, environment, log }: Parts,
  { invocation, meta, context }: { invocation: Invocation; meta: EventRequestMeta; context: Context },
): Promise<void> {
  const event = parsed(meta, await invocation.body.readAll());
  const execution = new ExecutionContext(invocation, context);
  const warn = (text: string): void => log.write(invocation.stream, 'warn', text);
  try {
    const result =
      event.type === EventType.schedule
        ? await scheduled(worker, event as CloudEvent<ScheduleDue>, { environment, execution, warn })
        : await queue(worker, event as CloudEvent<QueueBatch>, { environment, execution, warn });
    await invocation.answer.whole({ status: 200, headers: HEADERS }, Buffer.from(JSON.stringify(result)));
  } catch (error) {
    const hint = missingHint(error, environment);
    if (hint !== undefined) warn(hint);
    throw error;
  }
}

interface Call {
  environment: WorkerEnvironment;
  execution: ExecutionContext;
  warn: (text: string) => void;
}

/** What `scheduled` gets first. */
class ScheduledController {
  readonly type = 'scheduled';
  readonly cron: string;
  readonly scheduledTime: number;
  #retried = true;

  constructor({ cron, dueAt }: ScheduleDue) {
    this.cron = cron;
    this.scheduledTime = dueAt;
  }

  noRetry(): void {
    this.#retried = false;
  }

  static isRetried(controller: ScheduledController): boolean {
    return controller.#retried;
  }
}

/** Failed, and the code has said that trying again is of no use: done, with the error in the log. */
async function scheduled(worker: Worker, { data }: CloudEvent<ScheduleDue>, { environment, execution, warn }: Call): Promise<unknown> {
  if (!worker.has('scheduled')) throw new TypeError(`the Worker has no scheduled(), and got ${EventType.schedule}`);
  if (typeof data?.cron !== 'string' || typeof data.dueAt !== 'number') throw malformed(EventType.schedule, 'cron and dueAt');
  const controller = new ScheduledController(data);
  try {
    await worker.work('scheduled', controller, environment, execution);
    return { outcome: 'ok' };
  } catch (error) {
    if (ScheduledController.isRetried(controller)) throw error;
    warn(`scheduled() failed after noRetry(), and is not tried again: ${describe(error)}`);
    return { outcome: 'exception' };
  }
}

async function queue(worker: Worker, { data }: CloudEvent<QueueBatch>, { environment, execution, warn }: Call): Promise<QueueOutcome> {
  if (!worker.has('queue')) throw new TypeError(`the Worker has no queue(), and got ${EventType.queue}`);
  if (typeof data?.queue !== 'string' || !Array.isArray(data.messages)) throw malformed(EventType.queue, 'queue and messages');
  const batch = new MessageBatch(data, warn);
  try {
    await worker.work('queue', batch, environment, execution);
  } catch (error) {
    // What it has acknowledged is done all the same.
    const outcome = MessageBatch.outcomeOf(batch, { failed: true });
    if (outcome.failed.length === data.messages.length) throw error;
    warn(`queue() failed after some messages were acknowledged; the other ${outcome.failed.length} come again: ${describe(error)}`);
    return outcome;
  }
  return MessageBatch.outcomeOf(batch, { failed: false });
}

function parsed(meta: EventRequestMeta, body: Buffer): CloudEvent {
  if (!meta.contentType.toLowerCase().startsWith(CLOUD_EVENT_TYPE)) throw new TypeError(`the payload is ${meta.contentType}; ${TAKEN}`);
  let event: unknown;
  try {
    event = JSON.parse(body.toString('utf8'));
  } catch (error) {
    throw new SyntaxError(`the payload is not valid JSON: ${(error as Error).message}`);
  }
  if (!isCloudEvent(event)) throw new TypeError('the payload is no CloudEvent: it needs specversion 1.0, id, source and type');
  if (event.type !== EventType.schedule && event.type !== EventType.queue)
    throw new TypeError(`the event is of the type ${event.type}; ${TAKEN}`);
  return event;
}

function malformed(type: string, needed: string): TypeError {
  return new TypeError(`the data of the event ${type} has not the ${needed} that it needs`);
}
