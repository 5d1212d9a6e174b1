// Holds what a function answers in JSON to the schemas of its route: in `virga dev`, and where a route asks for it. An answer that does
// not fit becomes a 502 with what is wrong, and a line in the log. Invariant: nothing leaves before it was checked; an answer that is
// larger than what is held passes unchecked, and streams of other types are not held at all. Made by validate.ts.
import type { Call, CallSink } from '../../functions/call.ts';
import { compileSchema } from '../../lib/json-schema/compile.ts';
import type { CompiledSchema, Limits } from '../../lib/json-schema/compile.ts';
import type { ValueProblem } from '../../lib/json-schema/run.ts';
import { isJsonType } from '../../protocol/body-rules.ts';
import { VirgaError } from '../../protocol/errors.ts';
import { BODY_CHUNK_MAX, CREDIT_WINDOW } from '../../protocol/frames.ts';
import type { FlatHeaders } from '../../protocol/frames.ts';
import { headerIn } from '../flat-headers.ts';
import type { GatewayRequest } from '../stage.ts';
import { readJson } from './json-body.ts';

export interface ResponseOptions {
  /** Schemas by status: `200`, `4XX`, `default`. */
  schemas: Record<string, unknown>;
  limits: Limits;
  depthMax: number;
  project: string;
  route: string;
  log: (level: 'warn', message: string, fields: Record<string, unknown>) => void;
}

/** The engine's credit is not renewed for what is held, so more than this would wait for ever. */
const HELD_BYTES_MAX = CREDIT_WINDOW - BODY_CHUNK_MAX;
const SHOWN_MAX = 5;

export function checkedAnswers(options: ResponseOptions): (request: GatewayRequest, sink: CallSink) => CallSink {
  const compiled = new Map<string, CompiledSchema>();
  const schemaOf = (status: number): CompiledSchema | undefined => {
    const key = [String(status), `${Math.floor(status / 100)}XX`, 'default'].find((one) => Object.hasOwn(options.schemas, one));
    if (key === undefined) return undefined;
    let schema = compiled.get(key);
    if (schema === undefined) compiled.set(key, (schema = compileSchema(options.schemas[key])));
    return schema;
  };
  return (request, sink) => (request.method === 'HEAD' ? sink : new CheckedAnswer({ ...options, schemaOf }, request, sink));
}

type AnswerOptions = ResponseOptions & { schemaOf: (status: number) => CompiledSchema | undefined };

class CheckedAnswer implements CallSink {
  readonly #options: AnswerOptions;
  readonly #request: GatewayRequest;
  readonly #sink: CallSink;
  /** The head that waits for its body. */
  #held: { status: number; headers: FlatHeaders; schema: CompiledSchema; chunks: Buffer[]; bytes: number } | undefined;

  constructor(options: AnswerOptions, request: GatewayRequest, sink: CallSink) {
    this.#options = options;
    this.#request = request;
    this.#sink = sink;
  }

  bodyWanted(call: Call): void {
    this.#sink.bodyWanted(call);
  }

  head(status: number, headers: FlatHeaders, body: Buffer, end: boolean): void {
    const schema = this.#options.schemaOf(status);
    const type = headerIn(headers, 'content-type')?.split(';', 1)[0]!.trim().toLowerCase() ?? '';
    if (schema === undefined || !isJsonType(type)) {
      this.#sink.head(status, headers, body, end);
      return;
    }
    this.#held = { status, headers, schema, chunks: [], bytes: 0 };
    this.#take(body, end);
  }

  body(chunk: Buffer, end: boolean): void {
    if (this.#held === undefined) this.#sink.body(chunk, end);
    else this.#take(chunk, end);
  }

  failed(error: VirgaError, headSent: boolean): void {
    this.#sink.failed(error, headSent && this.#held === undefined);
  }

  #take(chunk: Buffer, end: boolean): void {
    const held = this.#held!;
    // What the engine gives is a view of a larger buffer.
    held.chunks.push(Buffer.from(chunk));
    held.bytes += chunk.length;
    if (!end && held.bytes <= HELD_BYTES_MAX) return;
    this.#held = undefined;
    const whole = Buffer.concat(held.chunks);
    const { project, route, limits, depthMax, log } = this.#options;
    const { id, method } = this.#request;
    if (!end) {
      log('warn', 'an answer is too large to be held to its schema', { project, route, invocation: id, bytesMax: HELD_BYTES_MAX });
      this.#sink.head(held.status, held.headers, whole, false);
      return;
    }
    const read = readJson(whole, depthMax);
    const problems: ValueProblem[] = read.problem === undefined ? held.schema.problems(read.value, limits) : [read.problem];
    if (problems.length === 0) {
      this.#sink.head(held.status, held.headers, whole, true);
      return;
    }
    const shown = problems.slice(0, SHOWN_MAX).map(({ pointer, message }) => `${pointer} ${message}`);
    const text = `the answer of ${method} ${route} (${held.status}) does not fit its schema: ${shown.join('; ')}${problems.length > SHOWN_MAX ? '; …' : ''}`;
    log('warn', text, { project, route, invocation: id });
    this.#sink.failed(new VirgaError('response_not_valid', text, { detail: { errors: problems } }), false);
  }
}
