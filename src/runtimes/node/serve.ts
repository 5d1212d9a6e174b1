// Runs invocations: each REQUEST becomes one, with its body, answer and context; BODY, CREDIT and CANCEL find theirs by
// stream. Invariant: whatever the user's code does, each stream ends once (answer.ts) and then leaves the table; frames
// for a stream that is not there are ignored, since the host may not know yet that it has ended.
// The host keeps to the instance's concurrency. Fed by guest.ts; rehearsal.ts runs one with an outlet that leads nowhere.
import { Flag, FrameType, decodeMeta, encodeFrame } from '../../protocol/frames.ts';
import type { Frame, InitPayload, RequestMeta } from '../../protocol/frames.ts';
import { StreamTable } from '../../protocol/stream-table.ts';
import { Answer } from './answer.ts';
import type { Outlet } from './channel.ts';
import { Context } from './context.ts';
import type { ContextHost } from './context.ts';
import { BadResponse, toGuestError } from './failure.ts';
import { callHandler } from './handler-call.ts';
import { Invocation, running } from './invocation.ts';
import type { Target } from './load.ts';
import type { LogRecords } from './log-records.ts';
import type { PeakMemory } from './peak-memory.ts';
import type { Publishing } from './publishing.ts';
import { RequestBody } from './request-body.ts';
import type { Connections, ServiceCalls } from './service-calls.ts';
import type { StandardStreams } from './standard-streams.ts';
import { callFetch } from './web-call.ts';
import { callWorkflow } from './workflow/call.ts';
import type { Workflows } from './workflow/starting.ts';

export interface ServerParts {
  outlet: Outlet;
  init: InitPayload;
  target: Target;
  log: LogRecords;
  streams: StandardStreams;
  memory: PeakMemory;
  services: ServiceCalls;
}

export class Server implements ContextHost {
  readonly init: InitPayload;
  readonly log: LogRecords;
  readonly connections: Connections;
  readonly workflows: Workflows;
  readonly publishing: Publishing;
  readonly #parts: ServerParts;
  readonly #invocations = new StreamTable<Invocation>();
  /** Invocations, and promises given to waitUntil, that have not settled. */
  #unsettled = 0;
  /** Of those, the promises given to waitUntil. */
  #background = 0;
  #whenIdle: (() => void) | undefined;

  constructor(parts: ServerParts) {
    this.init = parts.init;
    this.log = parts.log;
    this.connections = parts.services.connections;
    this.publishing = parts.services.publishing;
    this.workflows = parts.services.workflows;
    this.#parts = parts;
  }

  onFrame(frame: Frame): void {
    if (frame.type === FrameType.REQUEST) return this.#start(frame);
    const invocation = this.#invocations.get(frame.stream);
    if (invocation === undefined) return;
    if (frame.type === FrameType.BODY) invocation.body.push(frame.payload, (frame.flags & Flag.END) !== 0);
    else if (frame.type === FrameType.CREDIT) invocation.answer.grant(frame.arg);
    // What the function does about it (abort listeners, the cancelling of its streams) is the invocation's as well.
    else if (frame.type === FrameType.CANCEL) running.run(invocation, () => invocation.cancel());
  }

  keepFor(promise: Promise<unknown>): void {
    this.#unsettled++;
    if (++this.#background === 1) this.#reportBackground();
    void promise.finally(() => {
      if (--this.#background === 0) this.#reportBackground();
      this.#settled();
    });
  }

  /** Resolves once nothing runs here any more. */
  idle(): Promise<void> {
    if (this.#unsettled === 0) return Promise.resolve();
    return new Promise((resolve) => (this.#whenIdle = resolve));
  }

  #start(frame: Frame): void {
    const receivedAt = performance.now();
    const { stream } = frame;
    const { outlet } = this.#parts;
    const { meta, body: first } = decodeMeta<RequestMeta>(frame.payload);
    const invocation = new Invocation({
      stream,
      meta,
      receivedAt,
      timeoutMs: frame.arg,
      body: new RequestBody(outlet, { stream, first, complete: (frame.flags & Flag.END) !== 0 }),
      answer: new Answer(outlet, { stream, receivedAt, beforeEnd: () => this.#beforeEnd(stream) }),
    });
    this.#invocations.add(invocation);
    this.#unsettled++;
    void running.run(invocation, this.#run, invocation);
  }

  /** Never rejects: a failure is the invocation's answer. */
  readonly #run = async (invocation: Invocation): Promise<void> => {
    try {
      await this.#call(invocation);
    } catch (error) {
      invocation.answer.fail(toGuestError(error));
    }
    invocation.answer.settle();
    this.#invocations.delete(invocation.stream);
    invocation.end();
    this.#settled();
  };

  #call(invocation: Invocation): Promise<void> {
    const { target, services } = this.#parts;
    if (invocation.meta.kind === 'event' && invocation.meta.trigger === 'workflow')
      return callWorkflow(target.event ?? target.handler, invocation, { host: this, services });
    const context = new Context(this, invocation);
    if (target.serve !== undefined) return target.serve(invocation, context);
    if (target.event !== undefined && invocation.meta.kind === 'event') return callHandler(target.event, invocation, context);
    if (target.fetch !== undefined) return callFetch(target.fetch, invocation, context);
    if (target.handler !== undefined) return callHandler(target.handler, invocation, context);
    return Promise.reject(new BadResponse('it takes events alone: it exports no `fetch` for HTTP requests'));
  }

  /** Whatever belongs to the invocation is with the host before its last frame. */
  #beforeEnd(stream: number): void {
    this.#parts.streams.endLines(stream);
    this.log.reportDropped(stream);
    this.#parts.memory.report();
  }

  #reportBackground(): void {
    this.#parts.outlet.send(encodeFrame(FrameType.BACKGROUND, { arg: this.#background }));
  }

  #settled(): void {
    this.#unsettled--;
    if (this.#unsettled === 0) this.#whenIdle?.();
  }
}
