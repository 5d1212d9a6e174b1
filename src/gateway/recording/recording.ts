// `record` of a route as a stage: what the function gets and answers is kept for a while, so that it can be run again. Invariants: the
// client's answer waits for nothing here and is passed on as it is; of either body at most 64 KiB are held; what callers prove
// themselves with is left out, wherever the route takes it from. What the cache answers is not recorded: the function did not see it.
import type { Call, CallRequest, CallSink } from '../../functions/call.ts';
import { writeRequest } from '../../events/async/request.ts';
import type { RecordingBuffer } from '../../events/replay/recordings.ts';
import { recordedForMs, Redaction } from '../../events/replay/redaction.ts';
import type { VirgaError } from '../../protocol/errors.ts';
import type { FlatHeaders } from '../../protocol/frames.ts';
import type { RoutePolicy } from '../../protocol/policies/policy.ts';
import { headerIn } from '../flat-headers.ts';
import type { Feature, GatewayRequest, RouteSource, Stage } from '../stage.ts';

const BODY_BYTES_MAX = 64 * 1024;
const NOTHING = Buffer.alloc(0);

interface Answer {
  status: number;
  headers: FlatHeaders;
  body: Buffer;
  truncated: boolean;
}

export class RecordFeature implements Feature {
  readonly #buffer: Pick<RecordingBuffer, 'add'>;

  constructor(buffer: Pick<RecordingBuffer, 'add'>) {
    this.#buffer = buffer;
  }

  compile({ policy, gateway, route, version }: RouteSource): Stage | undefined {
    const { record } = policy;
    if (record === undefined || version === undefined || policy.websocket !== undefined) return undefined;
    const redaction = Redaction.of(record, credentialPlaces(policy.auth, gateway.auth));
    const forMs = recordedForMs(record);
    const source = `route${route.path}`;
    const open = new WeakMap<GatewayRequest, RecordedCall>();
    return {
      onCall: (request, call) => {
        const at = Date.now();
        const { body, bodyEnds } = call;
        // Taken now: whoever runs the call lets go of its body.
        const own = bodyEnds && (body?.length ?? 0) <= BODY_BYTES_MAX ? Buffer.from(body ?? NOTHING) : undefined;
        const sink = new RecordedCall(call.sink, (answer) =>
          this.#buffer.add(recorded(call, { project: request.project, source, at, expiresAt: at + forMs, body: own, answer, redaction })),
        );
        open.set(request, sink);
        return sink;
      },
      // The client may have left: then nothing ends.
      onEnd: (request) => open.get(request)?.leave(),
    };
  }
}

function recorded(
  { meta, version, requestLine }: CallRequest,
  {
    project,
    source,
    at,
    expiresAt,
    body,
    answer,
    redaction,
  }: {
    project: string;
    source: string;
    at: number;
    expiresAt: number;
    body: Buffer | undefined;
    answer: Answer | undefined;
    redaction: Redaction;
  },
): Parameters<RecordingBuffer['add']>[0] {
  const left = new Set<string>();
  const asked = meta.kind === 'http' ? meta : undefined;
  const headers = redaction.headers(asked?.headers ?? [], left);
  const kept = body === undefined ? undefined : redaction.body(body, left);
  const { method = 'GET', url = '', route = '', params = {}, client = '', principal } = asked ?? {};
  const content = writeRequest({
    contentType: headerIn(headers, 'content-type') ?? 'application/octet-stream',
    traceparent: meta.trace,
    http: { method, url: redaction.url(url, left), headers, route, params, client, ...(principal === undefined ? {} : { principal }) },
    // Not a body that was too large, or of which nobody knew how large it is.
    ...(body === undefined ? { cut: true as const } : {}),
    body: kept ?? NOTHING,
  });
  const answered = answer === undefined ? undefined : { ...answer, headers: redaction.headers(answer.headers, left) };
  const answerBody = answered === undefined ? undefined : redactedAnswer(answered, redaction, left);
  return {
    project,
    id: meta.id,
    source,
    at,
    expiresAt,
    function: version.function,
    version: version.version,
    summary: requestLine,
    content,
    answer:
      answered === undefined
        ? null
        : {
            status: answered.status,
            headers: answered.headers,
            contentType: headerIn(answered.headers, 'content-type') ?? 'application/octet-stream',
            truncated: answered.truncated || answerBody === undefined,
          },
    answerBody: answerBody ?? null,
    outcomes: {},
    redacted: [...left],
  };
}

/** The beginning of a JSON document is none: what rules mean cannot be found in it. */
function redactedAnswer({ body, truncated }: Answer, redaction: Redaction, left: Set<string>): Buffer | undefined {
  return truncated && redaction.hasBodyRules ? undefined : redaction.body(body, left);
}

/** Where the project's authenticators look for credentials: in whatever way they are written, a place is `header:x` or `query:x`. */
function credentialPlaces(...rules: (RoutePolicy['auth'] | object | undefined)[]): string[] {
  const text = JSON.stringify(rules);
  const places = [...text.matchAll(/"(header|query):([^"\\]+)"/g)].map(([, kind, name]) => `${kind}.${name}`);
  const signatures = [...text.matchAll(/"header":"([^"\\:]+)"/g)].map(([, name]) => `header.${name}`);
  return [...places, ...signatures];
}

/** Hears the answer, passes it on as it is, and tells what it was, once; undefined: there was none. */
class RecordedCall implements CallSink {
  readonly #sink: CallSink;
  readonly #done: (answer: Answer | undefined) => void;
  #over = false;
  #status = 0;
  #headers: FlatHeaders = [];
  readonly #chunks: Buffer[] = [];
  #bytes = 0;
  #truncated = false;

  constructor(sink: CallSink, done: (answer: Answer | undefined) => void) {
    this.#sink = sink;
    this.#done = done;
  }

  bodyWanted(call: Call): void {
    this.#sink.bodyWanted(call);
  }

  head(status: number, headers: FlatHeaders, body: Buffer, end: boolean): void {
    this.#status = status;
    this.#headers = [...headers];
    this.#take(body);
    this.#sink.head(status, headers, body, end);
    if (end) this.#ended(false);
  }

  body(chunk: Buffer, end: boolean): void {
    this.#take(chunk);
    this.#sink.body(chunk, end);
    if (end) this.#ended(false);
  }

  failed(error: VirgaError, headSent: boolean): void {
    this.#sink.failed(error, headSent);
    if (!headSent) this.#status = error.status;
    this.#ended(true);
  }

  leave(): void {
    if (this.#over) return;
    this.#over = true;
    setImmediate(this.#done, undefined);
  }

  #take(chunk: Buffer): void {
    if (this.#truncated) return;
    this.#truncated = this.#bytes + chunk.length > BODY_BYTES_MAX;
    const part = chunk.subarray(0, BODY_BYTES_MAX - this.#bytes);
    this.#bytes += part.length;
    // A chunk is a view of what came from the sandbox's socket.
    if (part.length > 0) this.#chunks.push(Buffer.from(part));
  }

  #ended(cut: boolean): void {
    if (this.#over) return;
    this.#over = true;
    const answer = { status: this.#status, headers: this.#headers, body: Buffer.concat(this.#chunks), truncated: this.#truncated || cut };
    // After what is under way: the client has its answer by then.
    setImmediate(this.#done, answer);
  }
}
