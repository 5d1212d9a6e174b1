// What a Lambda function gets for an invocation, and what its result means: the one place that knows which shape goes with
// which kind of event. Invariant: a payload that is no CloudEvent reaches the function as it is, so that an event in AWS's shape
// stays what it is; a result that cannot be sent is a BadResponse. Pure. Called by lambda.ts and by the form `provided`.
import { CLOUD_EVENT_TYPE, isCloudEvent } from '../../../../protocol/events.ts';
import type { CloudEvent, QueueOutcome } from '../../../../protocol/events.ts';
import type { RequestMeta } from '../../../../protocol/frames.ts';
import { addCookies, addHeaders, fromResult, show, statusOf, toEvent, withBody } from '../../api-gateway.ts';
import type { GatewayResponse } from '../../api-gateway.ts';
import { BadResponse } from '../../failure.ts';
import { payloadOf, toJson } from '../../handler-call.ts';
import { complete } from '../received-event.ts';
import { fromCloudEvent } from './cloud-events.ts';
import { requestIdOf, traceHeaderOf } from './environment.ts';
import type { LambdaIdentity } from './environment.ts';
import { fromRestResult, toRestEvent } from './rest-api.ts';
import { fromSocketResult } from './web-socket.ts';

export interface LambdaEventOptions {
  identity: LambdaIdentity;
  /** As in VersionSettings; absent: 2.0. */
  httpEvent?: string | undefined;
}

const JSON_HEADERS = ['content-type', 'application/json'];

/** A payload that is neither JSON nor text is given as its bytes (a Buffer). */
export function toLambdaEvent(meta: RequestMeta, body: Buffer, { identity, httpEvent }: LambdaEventOptions): unknown {
  if (meta.kind === 'event') {
    const payload = payloadOf(meta, body);
    return isCloudEventType(meta.contentType) ? fromCloudEvent(checked(payload), identity) : payload;
  }
  const { account: accountId, project: apiId } = identity;
  if (httpEvent === '1.0') return toRestEvent(withTrace(meta), body, { accountId, apiId, requestId: meta.id });
  if (httpEvent === 'function-url') {
    // Without credentials nobody is known to call; fields that a function URL does not use are left out.
    return toEvent(withTrace(meta), body, { accountId: 'anonymous', apiId, requestId: requestIdOf(meta.id), routeKey: '$default' });
  }
  return toEvent(withTrace(meta), body, { accountId, apiId, requestId: meta.id });
}

/**
 * What is to be answered. `event` is what the function got. For kind `event` it is the result as JSON; of a queue's or a table's
 * CloudEvent it is a QueueOutcome, when the result names what failed.
 */
export function fromLambdaResult(
  result: unknown,
  { meta, event, httpEvent }: { meta: RequestMeta; event: unknown; httpEvent?: string | undefined },
): GatewayResponse {
  if (meta.kind === 'http') {
    if (httpEvent === '1.0') return fromRestResult(result);
    return httpEvent === 'function-url' ? fromUrlResult(result) : fromResult(result, toJson);
  }
  if (meta.trigger === 'websocket')
    return { status: 200, headers: JSON_HEADERS, body: Buffer.from(toJson(fromSocketResult(result, event))) };
  const outcome = isCloudEventType(meta.contentType) ? outcomeOf(result, event) : undefined;
  return { status: 200, headers: JSON_HEADERS, body: Buffer.from(toJson(outcome ?? result)) };
}

function isCloudEventType(contentType: string): boolean {
  return contentType.length >= CLOUD_EVENT_TYPE.length && contentType.toLowerCase().startsWith(CLOUD_EVENT_TYPE);
}

function checked(payload: unknown): CloudEvent {
  if (isCloudEvent(payload)) return complete(payload);
  throw new TypeError(
    `the payload has the media type ${CLOUD_EVENT_TYPE} but is no CloudEvent 1.0: it needs specversion "1.0", id, source and type; send any other JSON as application/json`,
  );
}

/** API Gateway and function URLs put AWS X-Ray's header in, where the client did not send one. */
function withTrace<M extends Extract<RequestMeta, { kind: 'http' }>>(meta: M): M {
  if (meta.trace === '' || meta.headers.includes('x-amzn-trace-id')) return meta;
  meta.headers.push('x-amzn-trace-id', traceHeaderOf(meta.trace));
  return meta;
}

/** A function URL sends a result without statusCode as the JSON that it is, also when it is a text. */
function fromUrlResult(result: unknown): GatewayResponse {
  if (typeof result !== 'object' || result === null || !('statusCode' in result))
    return { status: 200, headers: JSON_HEADERS, body: Buffer.from(toJson(result)) };
  const { statusCode, headers, cookies } = result as Record<string, unknown>;
  const flat: string[] = [];
  const status = statusOf(statusCode);
  addHeaders(flat, 'headers', headers);
  addCookies(flat, cookies);
  return withBody(result, status, flat, 'application/json');
}

interface Records {
  Records: {
    eventSource: string;
    messageId: string;
    eventID: string;
    dynamodb?: { SequenceNumber: string };
    kinesis?: { sequenceNumber: string };
  }[];
}

/** undefined: the result says nothing of single messages. */
function outcomeOf(result: unknown, event: unknown): (QueueOutcome & { state?: unknown }) | undefined {
  const records = (event as Partial<Records> | null)?.Records;
  const source = records?.[0]?.eventSource;
  if (records === undefined || (source !== 'aws:sqs' && source !== 'aws:dynamodb' && source !== 'aws:kinesis')) return undefined;
  if (typeof result !== 'object' || result === null) return undefined;
  const state = source === 'aws:kinesis' && 'state' in result ? { state: result.state } : {};
  // AWS reads nothing else of it: a `failed` of the function's own, such as a count, is no word of ours.
  if (!('batchItemFailures' in result)) return 'failed' in result ? { failed: [], ...state } : undefined;
  const failures = result.batchItemFailures ?? [];
  if (!Array.isArray(failures))
    throw new BadResponse(`its batchItemFailures are ${show(failures)}; they must be an array of {itemIdentifier}`);
  const ids = records.map((record) => record.kinesis?.sequenceNumber ?? record.dynamodb?.SequenceNumber ?? record.messageId);
  const failed = new Set(failures.map((failure: unknown) => identifierOf(failure, ids)));
  if (source === 'aws:sqs') return { failed: ids.filter((id) => failed.has(id)) };
  // A stream goes on from the first that failed. A record is named by its position, and the state of a window comes along.
  if (source === 'aws:kinesis') return { failed: ids.filter((id) => failed.has(id)), ...state };
  const first = ids.findIndex((id) => failed.has(id));
  return { failed: first === -1 ? [] : records.slice(first).map((record) => record.eventID) };
}

/** AWS takes a batch with a failure that it cannot place for one that failed as a whole. */
function identifierOf(failure: unknown, ids: string[]): string {
  const id = (failure as { itemIdentifier?: unknown } | null)?.itemIdentifier;
  if (typeof id === 'string' && ids.includes(id)) return id;
  throw new BadResponse(
    `its batchItemFailures name ${id === undefined ? show(failure) : show(id)} as itemIdentifier, which is none of the batch, so all of it comes again`,
  );
}
