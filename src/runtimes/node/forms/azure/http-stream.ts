// `app.setup({ enableHttpStream: true })`: the library then takes HTTP from a server of its own, to which Azure's host is a proxy.
// That server is taken as it is made, before it listens, and given each request without a port (in-process-http.ts).
// Invariant: bodies stream both ways under the edge's credit; a function without a response answers 204. Called by azure.ts, http.ts.
import http from 'node:http';
import type { Server, ServerResponse } from 'node:http';
import type { HttpRequestMeta } from '../../../../protocol/frames.ts';
import { LoadError } from '../../failure.ts';
import type { Invocation } from '../../invocation.ts';
import type { RequestBody } from '../../request-body.ts';
import { exchange } from '../in-process-http.ts';
import type { App, AppFunction } from './app.ts';
import { callFunction } from './call.ts';
import type { ProgrammingModel, TypedData } from './core-types.ts';
import { headersOf, withFields } from './header-fields.ts';

export interface HttpCall {
  fn: AppFunction;
  params: Record<string, string>;
  meta: HttpRequestMeta;
  body: Pick<RequestBody, 'whole' | 'toStream' | 'readAll'>;
}

const INVOCATION_HEADER = 'x-ms-invocation-id';

/** undefined: the app has not asked for streams. Also ends the time for `app.setup`. */
export async function httpStreamOf(model: ProgrammingModel): Promise<HttpStream | undefined> {
  let server: Server | undefined;
  const { createServer } = http;
  http.createServer = ((...args: Parameters<typeof createServer>) => {
    server = unheard(createServer(...args));
    return server;
  }) as typeof createServer;
  let capabilities: Record<string, string> | undefined;
  try {
    capabilities = await model.getCapabilities?.({});
  } finally {
    http.createServer = createServer;
  }
  if (capabilities?.['HttpUri'] === undefined) return undefined;
  if (server === undefined)
    throw new LoadError('this version of @azure/functions streams HTTP in a way that is not known here; leave enableHttpStream out');
  return new HttpStream(server);
}

/** Says that it listens, and does not. */
function unheard(server: Server): Server {
  const listen = (...args: unknown[]): Server => {
    const callback = args.find((arg) => typeof arg === 'function');
    if (callback !== undefined) process.nextTick(callback);
    return server;
  };
  return Object.assign(server, { listen, address: () => ({ address: '127.0.0.1', family: 'IPv4', port: 1 }) });
}

export class HttpStream {
  readonly #server: Server;

  constructor(server: Server) {
    this.#server = server;
  }

  async call(app: App, { fn, params, meta, body }: HttpCall, invocation: Invocation): Promise<void> {
    const { protocol, host } = new URL(meta.url);
    const headers = withFields(meta.headers, {
      [INVOCATION_HEADER]: meta.id,
      'x-forwarded-host': host,
      'x-forwarded-proto': protocol.slice(0, -1),
    });
    let response: ServerResponse | undefined;
    const done = exchange(
      (request, made) => {
        response = made;
        this.#server.emit('request', request, made);
      },
      { incoming: { meta: { ...meta, headers }, body }, answer: invocation.answer },
    );
    // It is waited for below; until then its failure is nobody's.
    done.catch(() => {});
    const triggerMetadata: Record<string, TypedData> = { Headers: { json: JSON.stringify(headersOf(meta.headers)) } };
    for (const [name, value] of Object.entries(params)) triggerMetadata[name] = { string: value };
    await callFunction(app, fn, { data: {}, triggerMetadata }, invocation);
    if (response?.headersSent === false) {
      response.statusCode = 204;
      response.end();
    }
    return done;
  }
}
