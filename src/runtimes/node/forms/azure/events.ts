// Events for an Azure app: finds the functions that an event is for, and calls each as Azure's host would. One call for each message
// of a queue's batch, whose failures are answered as QueueOutcome. Invariant: an event that no function takes is an error
// that says which there are. Called by azure.ts.
import { EventType } from '../../../../protocol/events.ts';
import type { CloudEvent, QueueBatch, QueueMessage, ScheduleDue } from '../../../../protocol/events.ts';
import type { EventRequestMeta, HttpRequestMeta } from '../../../../protocol/frames.ts';
import { describe } from '../../failure.ts';
import type { Invocation } from '../../invocation.ts';
import { wholeBody } from '../in-process-http.ts';
import { runBatch } from '../queue-batch.ts';
import { receivedEvent } from '../received-event.ts';
import type { AppFunction } from './app.ts';
import type { HostSettings } from './app-files.ts';
import { bindBlobPath } from './blob-path.ts';
import { callFunction } from './call.ts';
import type { Input } from './call.ts';
import type { InvocationResponse } from './core-types.ts';
import { EventNotTaken } from './event-not-taken.ts';
import { bytesOf, callHttp } from './http.ts';
import type { HttpParts } from './http.ts';
import { isTrigger } from './support.ts';
import { blobInput, changeOf, messageInput, timerInput } from './trigger-inputs.ts';

/** Types that a trigger of their own takes. */
const TRANSLATED: readonly string[] = [EventType.queue, EventType.schedule, EventType.objectCreated];
const JSON_TYPE = /^application\/(?:[\w.+-]+\+)?json\b/i;
const JSON_HEADERS = ['content-type', 'application/json'];

export interface EventParts extends HttpParts {
  functions: AppFunction[];
  /** `handler` names it: then it takes what comes, whatever its trigger's queue or path. */
  picked: boolean;
  host: HostSettings;
}

export async function serveEvent(parts: EventParts, invocation: Invocation, meta: EventRequestMeta): Promise<void> {
  const payload = await invocation.body.readAll();
  const event = receivedEvent(meta.contentType, payload, TRANSLATED);
  if (event === undefined) return servePayload(parts, invocation, { meta, payload });
  if (event.type === EventType.queue) return serveBatch(parts, invocation, event.data as QueueBatch);
  const calls = callsOf(parts, event);
  const responses: InvocationResponse[] = [];
  for (const { fn, input } of calls) responses.push(await callFunction(parts.app, fn, input, invocation));
  return answerValue(invocation, responses.length === 1 ? responses[0]! : {});
}

/** Which functions get the event, and what. On Azure too each blob trigger that fits is called. */
function callsOf(parts: EventParts, event: CloudEvent): { fn: AppFunction; input: Input }[] {
  if (event.type === EventType.schedule) {
    const due = event.data as ScheduleDue;
    return [{ fn: timerOf(parts, due), input: timerInput(due, Date.now()) }];
  }
  if (event.type === EventType.objectCreated) {
    const change = changeOf(event);
    const blobs = parts.functions.filter((fn) => isTrigger(fn, 'blob'));
    const calls = blobs.flatMap((fn) => {
      const bound = bindBlobPath(setting(fn.trigger['path']), { container: change.bucket, name: change.key });
      return bound === undefined ? [] : [{ fn, input: blobInput(event, change, bound) }];
    });
    if (calls.length > 0) return calls;
    if (blobs.length > 0) throw notTaken(parts, `the object '${change.bucket}/${change.key}'`, 'path');
  }
  const input: Input = { data: { json: JSON.stringify(event) }, triggerMetadata: {} };
  const calls = parts.functions.filter((fn) => isTrigger(fn, 'eventgrid')).map((fn) => ({ fn, input }));
  if (calls.length > 0) return calls;
  throw notTaken(parts, `events of the type '${event.type}'`, undefined);
}

/** By its name, by its schedule, or because there is but one. */
function timerOf(parts: EventParts, due: ScheduleDue): AppFunction {
  const timers = parts.functions.filter((fn) => isTrigger(fn, 'timer'));
  const named = timers.find(({ name }) => name.toLowerCase() === due.schedule.toLowerCase());
  const found = named ?? (timers.length === 1 ? timers[0] : timers.find((fn) => sameCron(setting(fn.trigger['schedule']), due.cron)));
  if (found === undefined) throw notTaken(parts, `the schedule '${due.schedule}' (${due.cron})`, 'schedule');
  return found;
}

/** Azure's expressions begin with the seconds. */
function sameCron(azure: string, cron: string): boolean {
  const fields = azure.trim().split(/\s+/);
  return (fields.length === 6 && fields[0] === '0' ? fields.slice(1) : fields).join(' ') === cron;
}

async function serveBatch(parts: EventParts, invocation: Invocation, { queue, messages }: QueueBatch): Promise<void> {
  const queues = parts.functions.filter((fn) => isTrigger(fn, 'queue'));
  const fn = parts.picked ? queues[0] : queues.find(({ trigger }) => setting(trigger['queueName']) === queue);
  if (fn === undefined) throw notTaken(parts, `messages of the queue '${queue}'`, 'queueName');
  const outcome = await runBatch(messages, {
    atOnce: parts.host.queueBatch,
    run: async (message) => {
      await callFunction(parts.app, fn, messageInput(message, Date.now() + invocation.remainingMs), invocation);
    },
    onFailure: ({ id }, error) => parts.app.log('error', 'user', `message ${id} failed: ${describe(error)}`),
  });
  return invocation.answer.whole({ status: 200, headers: JSON_HEADERS }, Buffer.from(JSON.stringify(outcome)));
}

/** A direct invocation: the payload is what triggers the function. */
async function servePayload(
  parts: EventParts,
  invocation: Invocation,
  { meta, payload }: { meta: EventRequestMeta; payload: Buffer },
): Promise<void> {
  const [fn, another] = parts.functions;
  if (fn === undefined || another !== undefined) {
    const names = parts.functions.map(({ name }) => name).join(', ');
    throw new EventNotTaken(
      `the app has several functions (${names}), and a payload says not which is meant: send a CloudEvent, or name one with \`handler\` in virga.yaml`,
    );
  }
  if (isTrigger(fn, 'http')) return callHttp(parts, { fn, params: {}, meta: asRequest(fn, meta), body: wholeBody(payload) }, invocation);
  const response = await callFunction(parts.app, fn, payloadInput(fn, meta, payload, invocation), invocation);
  return answerValue(invocation, response);
}

function payloadInput(fn: AppFunction, meta: EventRequestMeta, payload: Buffer, invocation: Invocation): Input {
  const text = payload.toString();
  const now = Date.now();
  if (isTrigger(fn, 'queue')) {
    const message: QueueMessage = { id: meta.id, body: text, attributes: {}, attempt: 1, sentAt: now, firstReceivedAt: now };
    return messageInput(message, now + invocation.remainingMs);
  }
  if (isTrigger(fn, 'blob')) return { data: { bytes: payload }, triggerMetadata: { BlobTrigger: { string: setting(fn.trigger['path']) } } };
  const nothing = text === '' || text === 'null';
  if (isTrigger(fn, 'timer') && nothing)
    return timerInput({ schedule: fn.name, cron: setting(fn.trigger['schedule']), timezone: 'UTC', dueAt: now }, now);
  return { data: JSON_TYPE.test(meta.contentType) && !nothing ? { json: text } : { string: text }, triggerMetadata: {} };
}

function asRequest(fn: AppFunction, meta: EventRequestMeta): HttpRequestMeta {
  const { methods } = fn.trigger;
  const all = (Array.isArray(methods) ? methods : ['POST']).map((method) => String(method).toUpperCase());
  return {
    kind: 'http',
    id: meta.id,
    trace: meta.trace,
    method: all.includes('POST') ? 'POST' : all[0]!,
    url: `http://${fn.name}.internal/`,
    headers: ['content-type', meta.contentType],
    route: '/',
    params: {},
    client: '',
  };
}

function answerValue({ answer }: Invocation, { returnValue }: InvocationResponse): Promise<void> {
  if (returnValue?.bytes !== undefined)
    return answer.whole({ status: 200, headers: ['content-type', 'application/octet-stream'] }, bytesOf(returnValue));
  const text =
    returnValue === undefined || returnValue === null
      ? 'null'
      : (returnValue.json ?? JSON.stringify(returnValue.string ?? returnValue.int ?? returnValue.double ?? null));
  return answer.whole({ status: 200, headers: JSON_HEADERS }, Buffer.from(text));
}

/** `%NAME%` stands for an app setting. */
function setting(value: unknown): string {
  return typeof value === 'string' ? value.replace(/%([^%]+)%/g, (whole, name: string) => process.env[name] ?? whole) : '';
}

function notTaken({ functions }: EventParts, what: string, by: string | undefined): EventNotTaken {
  const shown = functions.map(({ name, trigger }) => {
    const value = by === undefined ? undefined : trigger[by];
    return `${name} (${trigger.type}${typeof value === 'string' ? ` ${setting(value)}` : ''})`;
  });
  return new EventNotTaken(`no function of this app takes ${what}; there are ${shown.join(', ')}`);
}
