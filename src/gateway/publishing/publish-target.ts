// Routes that lead to a queue, a topic or the events of the project: the body is stored, and the client has 202 with the id when it is on
// disk. Invariants: what stands before a target (auth, throttle, validate) has let the request pass; nobody from outside publishes an event
// of Virga's own types. Made by targets.ts.
import { hash } from 'node:crypto';
import { idempotencyKeyOf } from '../../events/async/accept.ts';
import { checkedEvent } from '../../events/cloud-events/attributes.ts';
import { dataOf, isEventRequest, receivedEvents } from '../../events/cloud-events/http-in.ts';
import { completeEvent, eventAsMessage } from '../../events/cloud-events/messages.ts';
import type { Publisher } from '../../events/publish.ts';
import { VirgaError } from '../../protocol/errors.ts';
import type { CloudEvent } from '../../protocol/events.ts';
import type { Route } from '../../protocol/settings.ts';
import { readerOf } from '../auth/places.ts';
import type { Reader } from '../auth/places.ts';
import { principalText } from '../respond-async/status-routes.ts';
import type { GatewayRequest, LocalAnswer, LocalTarget, Refusal } from '../stage.ts';

export interface PublishingNeeds {
  publisher: Publisher;
  limits: { messageBytesMax: number };
  /** Unix ms. */
  now: () => number;
}

/** Of the JSON around a message, where it is an event. */
const ENVELOPE_BYTES = 64 * 1_024;
const OWN_TYPE = /^virga\./;

type Send = (request: GatewayRequest, body: Buffer) => Promise<object>;

export class PublishTarget implements LocalTarget {
  readonly bodyBytesMax: number;
  readonly #send: Send;

  /** undefined: the route leads elsewhere. */
  static of(route: Route, needs: PublishingNeeds): PublishTarget | undefined {
    const send = sendOf(route, needs);
    return send === undefined ? undefined : new PublishTarget(send, needs.limits.messageBytesMax + ENVELOPE_BYTES);
  }

  private constructor(send: Send, bodyBytesMax: number) {
    this.#send = send;
    this.bodyBytesMax = bodyBytesMax;
  }

  async answer(request: GatewayRequest, body: Buffer): Promise<LocalAnswer | Refusal> {
    try {
      const text = Buffer.from(JSON.stringify(await this.#send(request, body)));
      return { status: 202, headers: ['content-type', 'application/json', 'content-length', String(text.length)], body: text };
    } catch (error) {
      if (error instanceof VirgaError) return { error };
      throw error;
    }
  }
}

function sendOf({ queue, topic, event }: Route, { publisher, now }: PublishingNeeds): Send | undefined {
  if (queue !== undefined) {
    const { name, group } = typeof queue === 'string' ? { name: queue } : queue;
    const groupOf = optional(group);
    return async (request, body) => {
      const message = { ...messageOf(request, body, now()), ...given('group', groupOf?.(request)), ...deduplication(request) };
      return { messages: await publisher.send(request.project, name, [message]) };
    };
  }
  if (topic !== undefined) {
    const { name, group, subject } = typeof topic === 'string' ? { name: topic } : topic;
    const [groupOf, subjectOf] = [optional(group), optional(subject)];
    return async (request, body) => {
      const message = {
        ...messageOf(request, body, now()),
        ...given('group', groupOf?.(request)),
        ...given('subject', subjectOf?.(request)),
        ...deduplication(request),
      };
      return { published: await publisher.publish(request.project, name, [message]) };
    };
  }
  if (event === undefined) return undefined;
  return async (request, body) => {
    const events = event === true ? ownEvents(request, body, now()) : [eventOf(event.type, request, body, now())];
    return { published: await publisher.publishEvents(request.project, events) };
  };
}

/** A CloudEvent as its data; anything else as it is, with what the gateway knows of the request. */
function messageOf(
  request: GatewayRequest,
  body: Buffer,
  nowMs: number,
): { id?: string; body: string; attributes: Record<string, string> } {
  const { incoming, project, principal, route, params } = request;
  // Without the query, in which keys may stand.
  const about: Record<string, string> = { route, method: request.method, path: request.target.replace(/\?.*$/, '') };
  if (principal !== undefined) about['principal'] = principal.id;
  for (const [name, value] of Object.entries(params)) about[`param.${name}`] = value;
  if (isEventRequest(incoming.headers)) {
    const [first, ...more] = receivedEvents({ headers: incoming.headers, body }, completeEvent(project, nowMs));
    if (first === undefined || more.length > 0) throw new VirgaError('invalid_request', 'send one event in a request here');
    const message = eventAsMessage(first);
    return { ...message, attributes: { ...message.attributes, ...about } };
  }
  const type = request.header('content-type');
  return { body: textOf(body), attributes: { ...(type === undefined ? {} : { 'content-type': type }), ...about } };
}

/** As the client wrote it; but who it is, nobody says of himself. */
function ownEvents({ incoming, project, principal }: GatewayRequest, body: Buffer, nowMs: number): CloudEvent[] {
  const events = receivedEvents({ headers: incoming.headers, body }, completeEvent(project, nowMs));
  const own = events.find(({ type }) => OWN_TYPE.test(type));
  if (own !== undefined)
    throw new VirgaError('invalid_request', `'type': '${own.type.slice(0, 100)}' begins with virga., which only Virga's own events do`);
  for (const event of events) {
    delete event['principal'];
    Object.assign(event, given('principal', principal?.id));
  }
  return events;
}

function eventOf(type: string, request: GatewayRequest, body: Buffer, nowMs: number): CloudEvent {
  const { project, principal, route } = request;
  const media = request.header('content-type') ?? 'application/json';
  const event = { type, subject: route, datacontenttype: media, ...given('principal', principal?.id), ...dataOf(media, body) };
  return checkedEvent(completeEvent(project, nowMs)(event), '');
}

/** Of one caller: another's request with the same key is another request. */
function deduplication(request: GatewayRequest): { deduplicationId?: string } {
  const key = idempotencyKeyOf(request.header('idempotency-key'));
  if (key === undefined || request.principal === undefined) return given('deduplicationId', key);
  return { deduplicationId: hash('sha256', JSON.stringify([principalText(request.principal), key]), 'hex') };
}

function given<K extends string>(key: K, value: string | undefined): { [P in K]?: string } {
  return (value === undefined ? {} : { [key]: value }) as { [P in K]?: string };
}

function optional(place: string | undefined): Reader | undefined {
  return place === undefined ? undefined : readerOf(place);
}

function textOf(body: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body);
  } catch {
    throw new VirgaError('invalid_request', 'the body is not valid UTF-8; send bytes in base64');
  }
}
