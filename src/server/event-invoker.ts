// Calls functions for events: events/invoker.ts over the engine. Invariant: what the engine refuses, or ends before it began or through no
// fault of the function, is `refused`, and no attempt. The version is the one that requests get: the canary has its share of events too.
// Made by edge.ts.
import type { Call } from '../functions/call.ts';
import type { Engine } from '../functions/engine.ts';
import type { DeployedVersion } from '../functions/version.ts';
import { CollectedAnswer } from '../gateway/collected-answer.ts';
import type { ReadModel } from '../gateway/read-model.ts';
import { newId } from '../lib/ids.ts';
import { continueTrace } from '../lib/traceparent.ts';
import { ERRORS, VirgaError } from '../protocol/errors.ts';
import { BODY_CHUNK_MAX } from '../protocol/frames.ts';
import type { FlatHeaders } from '../protocol/frames.ts';
import type { EventCall, EventOutcome, Invoker } from '../events/invoker.ts';

export interface EventInvokerOptions {
  engine: Pick<Engine, 'invoke' | 'waiting' | 'waitingOf' | 'waitingVersions'>;
  model: Pick<ReadModel, 'project'>;
  /** A version that is not current. */
  version: (name: { project: string; function: string; version: number }) => Promise<DeployedVersion | undefined>;
  answerBytesMax: number;
  random?: () => number;
}

export class EventInvoker implements Invoker {
  readonly #options: EventInvokerOptions;
  readonly #random: () => number;
  readonly #calls = new Set<Call>();

  constructor(options: EventInvokerOptions) {
    this.#options = options;
    this.#random = options.random ?? Math.random;
  }

  /** What waits of events itself does not count, and neither what more room would not help: a function that has all its instances busy. */
  get pressed(): boolean {
    const { engine } = this.#options;
    for (const { version, calls, full } of engine.waitingVersions()) if (!full && calls > this.#waitingEvents(version)) return true;
    return false;
  }

  capacity(project: string, fn: string): number | undefined {
    const { engine, model } = this.#options;
    const version = model.project(project)?.functions.get(fn);
    if (version === undefined) return undefined;
    const { instances, concurrency } = version.settings;
    const waiting = engine.waiting === 0 ? 0 : engine.waitingOf(version);
    // Its clients come first: events leave them its instances one by one as they end.
    return waiting > 0 && waiting > this.#waitingEvents(version) ? 1 : instances.max * concurrency;
  }

  #waitingEvents({ project, function: fn, version: number }: DeployedVersion): number {
    let own = 0;
    for (const { state, request } of this.#calls) {
      const { version } = request;
      if (state === 'queued' && version.version === number && version.function === fn && version.project === project) own++;
    }
    return own;
  }

  async invoke(call: EventCall): Promise<EventOutcome> {
    try {
      return await this.#invoke(call);
    } catch (error) {
      const known = error instanceof VirgaError ? error : new VirgaError('internal', `the edge failed: ${String(error)}`);
      return refusal(null, known, true);
    }
  }

  async #invoke({ project, function: fn, trigger, requestLine, contentType, body, http, ...call }: EventCall): Promise<EventOutcome> {
    const version = await this.#versionOf(project, fn, { version: call.version, trigger });
    const id = call.id ?? newId('inv');
    const trace = continueTrace(call.traceparent);
    const whole = body.length <= BODY_CHUNK_MAX;
    const { answerBytesMax } = call;
    const sink = new CollectedAnswer({
      payload: body,
      bytesMax: answerBytesMax ?? this.#options.answerBytesMax,
      ...(answerBytesMax === undefined ? {} : { cut: true }),
    });
    const made = this.#options.engine.invoke({
      version,
      meta:
        http === undefined
          ? { kind: 'event', id, trace: trace.traceparent, trigger, contentType }
          : { kind: 'http', id, trace: trace.traceparent, ...http, headers: tracedHeaders(http.headers, trace.traceparent) },
      traceId: trace.traceId,
      body: whole ? body : undefined,
      bodyEnds: whole,
      ...(whole ? {} : { heldBytes: body.length }),
      trigger,
      requestLine: requestLine ?? null,
      sink,
    });
    if (made instanceof VirgaError) return refusal(null, made, true);
    sink.call = made;
    this.#calls.add(made);
    const { signal } = call;
    const stopped = Promise.withResolvers<void>();
    const stop = (): void => {
      made.abandon();
      stopped.resolve();
    };
    if (signal?.aborted === true) stop();
    else signal?.addEventListener('abort', stop, { once: true });
    await Promise.race([sink.done, stopped.promise]);
    signal?.removeEventListener('abort', stop);
    this.#calls.delete(made);
    if (sink.error !== undefined) return refusal(id, sink.error, isNoAttempt(sink.error, made));
    if (made.abandoned) return refusal(id, new VirgaError('unavailable', 'the node is stopping'), true);
    return {
      ok: true,
      invocation: id,
      version: version.version,
      status: sink.status,
      headers: sink.headers,
      contentType: sink.contentType,
      body: sink.bytes,
      ...(sink.wasCut ? { truncated: true } : {}),
    };
  }

  async #versionOf(
    project: string,
    fn: string,
    { version: number, trigger }: { version: number | undefined; trigger: string },
  ): Promise<DeployedVersion> {
    const served = this.#options.model.project(project);
    const live = served?.functions.get(fn);
    if (served === undefined || (live === undefined && number === undefined))
      throw new VirgaError('function_not_found', `project '${project}' has no function '${fn}' (any more)`);
    if (trigger !== 'workflow' && served.topology.workflows.has(fn))
      throw new VirgaError('invalid_request', `function '${fn}' is a workflow: it is not called, its runs are started`);
    if (live !== undefined && (number === undefined || number === live.version)) {
      const canary = number === undefined ? served.canaries.get(fn) : undefined;
      return canary !== undefined && this.#random() * 100 < canary.percent ? canary.version : live;
    }
    // A run of a workflow goes on with its version, also when the function has left virga.yaml.
    const version =
      served.versions.find((one) => one.function === fn && one.version === number) ??
      (await this.#options.version({ project, function: fn, version: number! }));
    if (version === undefined) throw new VirgaError('version_not_found', `function '${fn}' has no version ${number}`);
    return version;
  }
}

/** Each attempt is a part of the trace of its own. */
function tracedHeaders(headers: FlatHeaders, traceparent: string): FlatHeaders {
  const others = headers.flatMap((text, at) => (at % 2 === 0 && text.toLowerCase() !== 'traceparent' ? [text, headers[at + 1] ?? ''] : []));
  return [...others, 'traceparent', traceparent];
}

/** Code that cannot be loaded is the function's fault, though no call of it began. */
function isNoAttempt({ code }: VirgaError, call: Call): boolean {
  if (ERRORS[code].fault === 'function') return false;
  return code !== 'internal' || call.runningAt === 0;
}

function refusal(invocation: string | null, error: VirgaError, refused: boolean): EventOutcome {
  const { code, message, retryAfterS, cause } = error;
  return {
    ok: false,
    invocation,
    refused,
    code,
    message,
    ...(typeof cause === 'string' ? { thrown: cause } : {}),
    ...(retryAfterS === undefined ? {} : { retryAfterMs: retryAfterS * 1_000 }),
  };
}
