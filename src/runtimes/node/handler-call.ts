// Handler style: `handler(event, context)` that returns a value or a promise, or AWS Lambda's older form with a
// callback. Over HTTP the event and the result are API Gateway's (api-gateway.ts), else plain JSON.
// Invariant: what cannot be sent as JSON is an error that says so, never an empty answer. Called by serve.ts.
import { inspect } from 'node:util';
import type { EventRequestMeta } from '../../protocol/frames.ts';
import { fromResult, toEvent } from './api-gateway.ts';
import type { Context } from './context.ts';
import { BadResponse } from './failure.ts';
import type { Invocation } from './invocation.ts';
import { socketAnswer } from './socket-answer.ts';

export type Handler = (event: unknown, context: Context, callback?: LambdaCallback) => unknown;
type LambdaCallback = (error?: unknown, result?: unknown) => void;

const JSON_HEADERS = ['content-type', 'application/json'];
const JSON_TYPE = /^application\/(?:[\w.+-]+\+)?json\b/i;
const TEXT_TYPE = /^text\/|^application\/(?:[\w.+-]+\+)?xml\b/i;

export async function callHandler(handler: Handler, invocation: Invocation, context: Context): Promise<void> {
  const { meta, answer } = invocation;
  const body = await invocation.body.readAll();
  if (meta.kind === 'event') {
    const result = await settle(handler, payloadOf(meta, body), context);
    if (meta.trigger === 'websocket') {
      const { meta: head, body: reply } = socketAnswer(result, toJson);
      return answer.whole(head, reply);
    }
    return answer.whole({ status: 200, headers: JSON_HEADERS }, Buffer.from(toJson(result)));
  }
  const result = await settle(handler, toEvent(meta, body), context);
  const response = fromResult(result, toJson);
  if (meta.method === 'HEAD' || response.status === 204 || response.status === 304) return answer.empty(response);
  return answer.whole({ status: response.status, headers: response.headers }, response.body);
}

/** Runs any of the three forms. The callback counts if it is called before a value is returned, or if it is declared. */
function settle(handler: Handler, event: unknown, context: Context): unknown {
  return new Promise((resolve, reject) => {
    const callback: LambdaCallback = (error, result) => {
      if (error === undefined || error === null) resolve(result);
      else reject(error instanceof Error ? error : new Error(typeof error === 'string' ? error : inspect(error)));
    };
    const returned = handler(event, context, callback);
    if (isThenable(returned) || returned !== undefined || handler.length < 3) resolve(returned);
  });
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | undefined)?.then === 'function';
}

/** JSON as its value, text as a text, anything else as the bytes. */
export function payloadOf(meta: EventRequestMeta, body: Buffer): unknown {
  if (JSON_TYPE.test(meta.contentType)) {
    if (body.length === 0) return {};
    try {
      return JSON.parse(body.toString('utf8'));
    } catch (error) {
      throw new SyntaxError(`the payload is not valid JSON: ${(error as Error).message}`);
    }
  }
  return TEXT_TYPE.test(meta.contentType) ? body.toString('utf8') : body;
}

export function toJson(result: unknown): string {
  if (result === undefined) return 'null';
  let json: string | undefined;
  try {
    json = JSON.stringify(result);
  } catch (error) {
    const why = error instanceof Error ? error.message.replace(/\s*\n\s*/g, ' ') : String(error);
    throw new BadResponse(`its result cannot be sent as JSON: ${why}`);
  }
  if (json === undefined) throw new BadResponse(`its result is a ${typeof result}, which JSON cannot hold`);
  return json;
}
