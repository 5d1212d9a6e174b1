// Takes a request through the stages of its route: they may answer it, refuse it, read its body whole, change what the
// function sees, and what the client sees of the answer. Called by accept.ts for routes that have stages.
// Invariant: synchronous as long as every stage is; whatever stage began with a request hears of its end, once.
import type { IncomingMessage } from 'node:http';
import type { Writable } from 'node:stream';
import type { Call, CallRequest, CallSink } from '../functions/call.ts';
import type { DeployedVersion } from '../functions/version.ts';
import { VirgaError } from '../protocol/errors.ts';
import type { FlatHeaders } from '../protocol/frames.ts';
import type { Principal } from '../protocol/principal.ts';
import type { RequestHead } from './request-head.ts';
import type { Routed } from './route.ts';
import type { Deferral, GatewayRequest, LocalAnswer, LocalTarget, Refusal, Stage, StageSink, Stages, Verdict } from './stage.ts';

/** Makes a call for a request without its client; given by accept.ts. */
export type CallBehind = (admission: Admission, sink: CallSink) => Call | VirgaError;

export class Admission implements GatewayRequest {
  readonly incoming: IncomingMessage;
  readonly project: string;
  readonly id: string;
  readonly requestId: string;
  readonly method: string;
  readonly host: string;
  readonly client: string;
  readonly scheme: 'http' | 'https';
  readonly route: string;
  readonly params: Record<string, string>;
  readonly prefix: string;
  readonly asked: string;
  target: string;
  readonly headers: FlatHeaders;
  version: DeployedVersion | undefined;
  principal: Principal | undefined;
  call: Call | undefined;
  readonly head: RequestHead;
  readonly routed: Routed;
  readonly #callBehind: CallBehind;
  readonly #stages: Stages;
  /** Those that saw the head, of those that hear of the end. */
  #begun: Set<Stage> | undefined;
  #ended = false;

  constructor(
    incoming: IncomingMessage,
    { head, routed, id, requestId }: { head: RequestHead; routed: Routed; id: string; requestId: string },
    callBehind: CallBehind,
  ) {
    this.incoming = incoming;
    this.project = routed.project;
    this.id = id;
    this.requestId = requestId;
    this.method = incoming.method ?? 'GET';
    this.host = head.host;
    this.client = head.client;
    this.scheme = head.scheme;
    this.route = routed.route;
    this.params = routed.params;
    this.prefix = routed.prefix;
    this.asked = routed.target;
    this.target = routed.target;
    this.headers = head.headers;
    this.version = routed.to.version;
    this.head = head;
    this.routed = routed;
    this.#callBehind = callBehind;
    this.#stages = routed.stages!;
  }

  get bodyBytesMax(): number {
    return this.#stages.bodyBytesMax;
  }

  header(name: string): string | undefined {
    const value = this.incoming.headers[name];
    return Array.isArray(value) ? value.join(', ') : value;
  }

  callBehind(sink: CallSink): Call | VirgaError {
    return this.#callBehind(this, sink);
  }

  /** onEnd is called when this, a response or a socket, is closed, whatever closed it. */
  follow(carrier: Writable): void {
    if (this.#stages.end.length > 0) carrier.once('close', () => this.#end());
  }

  preflightAnswer(allow: readonly string[]): LocalAnswer {
    return this.#stages.preflight!.onPreflight!(this, allow);
  }

  headVerdict(): Verdict | Promise<Verdict> {
    return this.#from(0, this.#stages.head, (stage) => this.#begin(stage));
  }

  /** Of a request that can have no body: a stage that goes by the body has to see that there is none. */
  bodilessVerdict(): Verdict | Promise<Verdict> {
    const noBody = (verdict: Verdict): Verdict | Promise<Verdict> => verdict ?? this.bodyVerdict(Buffer.alloc(0));
    const begun = this.headVerdict();
    return begun instanceof Promise ? begun.then(noBody) : noBody(begun);
  }

  bodyVerdict(body: Buffer): Verdict | Promise<Verdict> {
    return this.#from(0, this.#stages.body, ({ stage, part }) => (part === 'onBody' ? stage.onBody!(this, body) : this.#begin(stage)));
  }

  #begin(stage: Stage): Verdict | Promise<Verdict> {
    if (stage.onEnd !== undefined) (this.#begun ??= new Set()).add(stage);
    return stage.onHead!(this);
  }

  /** What takes the call over; undefined: nothing, it is to be made. */
  deferral(): Deferral | undefined {
    return this.#stages.instead?.instead!(this);
  }

  answerOf(target: LocalTarget, body: Buffer): LocalAnswer | Refusal | Promise<LocalAnswer | Refusal> {
    try {
      const answer = target.answer(this, body);
      return answer instanceof Promise ? answer.catch(broken) : answer;
    } catch (error) {
      return broken(error);
    }
  }

  #from<T>(at: number, steps: T[], ask: (step: T) => Verdict | Promise<Verdict>): Verdict | Promise<Verdict> {
    for (let i = at; i < steps.length; i++) {
      let verdict: Verdict | Promise<Verdict>;
      try {
        verdict = ask(steps[i]!);
      } catch (error) {
        return broken(error);
      }
      if (verdict === undefined) continue;
      if (!(verdict instanceof Promise)) return verdict;
      return verdict.then((later) => (later === undefined ? this.#from(i + 1, steps, ask) : later), broken);
    }
    return undefined;
  }

  /** The head of an answer is about to leave. */
  answered(status: number, headers: FlatHeaders): void {
    for (const stage of this.#stages.answer) stage.onAnswer!(this, status, headers);
  }

  /** `call` is about to be made. */
  calling(call: CallRequest): void {
    for (const stage of this.#stages.call) call.sink = stage.onCall!(this, call) ?? call.sink;
  }

  around(sink: CallSink): StageSink {
    // The first stage is the nearest to the client: it hears the answer last.
    return this.#stages.around.reduce<StageSink>((inner, stage) => stage.around!(this, inner), sink);
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const stage of this.#stages.end) if (stage.onHead === undefined || this.#begun?.has(stage) === true) stage.onEnd!(this);
  }
}

/** A mistake of ours in one stage is one request's failure, not the edge's. */
function broken(error: unknown): Refusal {
  return { error: new VirgaError('internal', `the gateway failed: ${error instanceof Error ? error.message : String(error)}`) };
}

/** As its stages have left it. */
export function asAdmitted(routed: Routed, { target, version, principal }: Admission): Routed {
  return { ...routed, target, principal, to: version === undefined ? routed.to : { version } };
}
