// Runs on AWS Lambda, not here: lets a function that was written for Virga, web style or handler style, be called by Lambda's
// Node.js runtime. Invariants: it imports nothing, since `virga export` puts it into the zip alone, its types taken away; what the
// function gets and gives means what it means in Virga, but for what the report of the export names. Put there by adapter-files.ts.

interface Facts {
  project: string;
  function: string;
  /** Name of the export to call. */
  handler?: string;
}

interface AwsContext {
  awsRequestId: string;
  functionVersion?: string;
  getRemainingTimeInMillis(): number;
}

interface HttpEvent {
  version: '2.0';
  rawPath: string;
  rawQueryString: string;
  cookies?: string[];
  headers: Record<string, string>;
  pathParameters?: Record<string, string>;
  requestContext: { domainName: string; http: { method: string } };
  body?: string;
  isBase64Encoded?: boolean;
}

type Exports = Record<string, unknown>;
type Callable = (event: unknown, context: unknown, callback?: (error?: unknown, result?: unknown) => void) => unknown;

interface Target {
  fetch?: Callable;
  event?: Callable;
  handler?: Callable;
}

/** AWS freezes the instance with its answer, and ends it at the deadline: the signal comes so much sooner. */
const SIGNAL_EARLY_MS = 100;
const TEXT_TYPE =
  /^(?:text\/|application\/(?:[\w.+-]+\+)?(?:json|xml)\b|application\/(?:javascript|graphql|x-www-form-urlencoded|x-ndjson)\b)/i;
const JSON_TYPE = /^application\/(?:[\w.+-]+\+)?json\b/i;

export function adapt(code: Exports, facts: Facts): (event: unknown, aws: AwsContext) => Promise<unknown> {
  const target = targetOf(code, facts.handler);
  return async (event, aws) => {
    const http = isHttp(event) ? event : undefined;
    const background: Promise<unknown>[] = [];
    const timers: NodeJS.Timeout[] = [];
    const context = contextOf({ aws, http, facts, background, timers });
    try {
      if (http === undefined && target.event !== undefined) return await settle(target.event, event, context);
      if (target.fetch === undefined) return await settle(target.handler!, event, context);
      const response = (await target.fetch(http === undefined ? posted(event, facts) : requestOf(http), context)) as Response;
      return await (http === undefined ? payloadOf(response) : resultOf(response, http.requestContext.http.method));
    } finally {
      // What waitUntil was given is done before the answer: afterwards nothing runs here.
      for (let waited = 0; waited < background.length;) {
        const batch = background.slice(waited);
        waited = background.length;
        await Promise.allSettled(batch);
      }
      for (const timer of timers) clearTimeout(timer);
    }
  };
}

function isHttp(event: unknown): event is HttpEvent {
  const { version, requestContext } = (event ?? {}) as Partial<HttpEvent>;
  return version === '2.0' && requestContext?.http !== undefined;
}

interface ContextParts {
  aws: AwsContext;
  http: HttpEvent | undefined;
  facts: Facts;
  background: Promise<unknown>[];
  timers: NodeJS.Timeout[];
}

/** Virga's context over that of AWS. */
function contextOf({ aws, http, facts, background, timers }: ContextParts): object {
  const endsAt = Date.now() + aws.getRemainingTimeInMillis();
  let controller: AbortController | undefined;
  return Object.create(aws, {
    ...values({
      invocationId: aws.awsRequestId,
      traceparent: http?.headers['traceparent'] ?? traceparent(aws.awsRequestId),
      project: facts.project,
      function: facts.function,
      version: Number(aws.functionVersion) || 0,
      params: http?.pathParameters ?? {},
      log: { debug: logger('debug'), info: logger('info'), warn: logger('warn'), error: logger('error') },
      remainingMs: () => aws.getRemainingTimeInMillis(),
      getRemainingTimeInMillis: () => aws.getRemainingTimeInMillis(),
      waitUntil(promise: Promise<unknown>) {
        background.push(
          Promise.resolve(promise).catch((error: unknown) => console.error('a promise given to waitUntil was rejected:', error)),
        );
      },
    }),
    deadline: { enumerable: true, get: () => new Date(endsAt) },
    signal: {
      enumerable: true,
      get() {
        if (controller === undefined) {
          const made = new AbortController();
          controller = made;
          const abort = (): void => made.abort(new DOMException('the deadline is near', 'TimeoutError'));
          timers.push(setTimeout(abort, Math.max(0, endsAt - Date.now() - SIGNAL_EARLY_MS)));
        }
        return controller.signal;
      },
    },
  }) as object;
}

function values(fields: Record<string, unknown>): PropertyDescriptorMap {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, { value, enumerable: true, writable: true }]));
}

function logger(level: 'debug' | 'info' | 'warn' | 'error'): (text: string, fields?: Record<string, unknown>) => void {
  return (text, fields) => console[level](fields === undefined ? String(text) : `${text} ${JSON.stringify(fields)}`);
}

/** X-Ray's header says the same as W3C's: `Root=1-<time>-<id>;Parent=<id>;Sampled=1`. */
function traceparent(requestId: string): string {
  const header = process.env['_X_AMZN_TRACE_ID'] ?? '';
  const [, time, id] = /Root=1-([0-9a-f]{8})-([0-9a-f]{24})/.exec(header) ?? [];
  const parent = /Parent=([0-9a-f]{16})/.exec(header)?.[1];
  const own = requestId.replaceAll(/[^0-9a-f]/g, '').padEnd(32, '1');
  const trace = time === undefined ? own.slice(0, 32) : `${time}${id}`;
  return `00-${trace}-${parent ?? own.slice(0, 16)}-${header.includes('Sampled=1') ? '01' : '00'}`;
}

function requestOf(event: HttpEvent): Request {
  const { method } = event.requestContext.http;
  const { host = event.requestContext.domainName, 'x-forwarded-proto': protocol = 'https' } = event.headers;
  const query = event.rawQueryString === '' ? '' : `?${event.rawQueryString}`;
  const headers = new Headers(event.headers);
  if (event.cookies !== undefined && event.cookies.length > 0) headers.set('cookie', event.cookies.join('; '));
  const bodiless = method === 'GET' || method === 'HEAD' || event.body === undefined;
  const body = bodiless ? null : Buffer.from(event.body!, event.isBase64Encoded === true ? 'base64' : 'utf8');
  return new Request(`${protocol.split(',')[0]}://${host}${event.rawPath}${query}`, { method, headers, body });
}

/** A web-style function without `event` gets events as a POST. */
function posted(event: unknown, facts: Facts): Request {
  const headers = { 'content-type': 'application/json' };
  return new Request(`http://${facts.function}.internal/`, { method: 'POST', headers, body: JSON.stringify(event ?? null) });
}

async function resultOf(response: Response, method: string): Promise<object> {
  check(response);
  const headers: Record<string, string> = {};
  // A Response that came from fetch() has its body decoded, but still the headers of the encoded one.
  const decoded = response.url !== '' && response.url !== undefined && response.headers.has('content-encoding');
  for (const [name, value] of response.headers) {
    if (name === 'set-cookie' || (decoded && (name === 'content-encoding' || name === 'content-length'))) continue;
    headers[name] = value;
  }
  const cookies = response.headers.getSetCookie();
  const bytes = method === 'HEAD' ? Buffer.alloc(0) : Buffer.from(await response.arrayBuffer());
  const text = TEXT_TYPE.test(headers['content-type'] ?? 'text/plain') && headers['content-encoding'] === undefined && isUtf8(bytes);
  return {
    statusCode: response.status,
    headers,
    ...(cookies.length === 0 ? {} : { cookies }),
    body: bytes.toString(text ? 'utf8' : 'base64'),
    isBase64Encoded: !text,
  };
}

function isUtf8(bytes: Buffer): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}

/** Of a direct invocation only the body is the result. */
async function payloadOf(response: Response): Promise<unknown> {
  check(response);
  const text = await response.text();
  return JSON_TYPE.test(response.headers.get('content-type') ?? '') && text !== '' ? (JSON.parse(text) as unknown) : text;
}

function check(response: unknown): void {
  if (response instanceof Response) return;
  const what = response === null || response === undefined ? String(response) : `a value of type ${typeof response}`;
  throw new TypeError(`fetch() returned ${what}; it must return a Response, e.g. new Response('hello') or Response.json({ … })`);
}

/** A value, a promise, or a callback: Lambda's own runtimes take no callbacks since Node.js 24. */
function settle(handler: Callable, event: unknown, context: object): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const returned = handler(event, context, (error, result) => {
      if (error === undefined || error === null) resolve(result);
      else reject(error instanceof Error ? error : new Error(typeof error === 'string' ? error : JSON.stringify(error)));
    });
    if (returned !== undefined || handler.length < 3) resolve(returned);
  });
}

/** As Virga finds it: of a name, or `default` with fetch, then `handler`, then a default function. */
function targetOf(code: Exports, name: string | undefined): Target {
  const inner = code['default'];
  const places = [code, ...((typeof inner === 'object' || typeof inner === 'function') && inner !== null ? [inner as Exports] : [])];
  for (const place of places) {
    if (name !== undefined) {
      const target = !(name in place) ? undefined : name === 'fetch' ? webTarget(place) : callable(place[name]);
      if (target !== undefined) return target;
      continue;
    }
    const web = webTarget(place['default']) ?? webTarget(place);
    if (web !== undefined) return web;
    if (typeof place['handler'] === 'function') return { handler: (place['handler'] as Callable).bind(place) };
  }
  for (const place of name === undefined ? places : []) {
    const target = callable(place['default']);
    if (target !== undefined) return target;
  }
  throw new Error(
    `the code exports ${name === undefined ? 'nothing that can be called' : `no callable '${name}'`}: it exports ${Object.keys(code).join(', ')}`,
  );
}

function callable(value: unknown): Target | undefined {
  return webTarget(value) ?? (typeof value === 'function' ? { handler: value as Callable } : undefined);
}

function webTarget(value: unknown): Target | undefined {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return undefined;
  const { fetch, event } = value as Exports;
  if (typeof fetch !== 'function') return undefined;
  return { fetch: fetch.bind(value) as Callable, ...(typeof event === 'function' ? { event: event.bind(value) as Callable } : {}) };
}
