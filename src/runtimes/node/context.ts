// The second argument of every handler. Invariant: a call that never looks at it pays for one small object: signal,
// logger and deadline are made when asked for. The shape is published in the SDK (sdk/src/function.ts).
// Created by serve.ts for each invocation.
import { inspect } from 'node:util';
import type { InitPayload, LogLevelName } from '../../protocol/frames.ts';
import { describe } from './failure.ts';
import type { Invocation } from './invocation.ts';
import type { LogRecords } from './log-records.ts';
import type { Publishing, QueueClient, StreamClient, TopicClient } from './publishing.ts';
import type { Connections } from './service-calls.ts';
import type { Workflows } from './workflow/starting.ts';

/** What contexts need of the instance. */
export interface ContextHost {
  readonly init: InitPayload;
  readonly log: LogRecords;
  readonly connections: Connections;
  readonly publishing: Publishing;
  readonly workflows: Workflows;
  /** Keeps the instance until the promise has settled. */
  keepFor(promise: Promise<unknown>): void;
}

type LogMethod = (text: string, fields?: Record<string, unknown>) => void;

const NO_PARAMS: Record<string, string> = Object.freeze({});

export class Context {
  readonly invocationId: string;
  readonly traceparent: string;
  readonly project: string;
  readonly function: string;
  readonly version: number;
  /** Path parameters of the route; none for events. */
  readonly params: Record<string, string>;
  readonly #host: ContextHost;
  readonly #invocation: Invocation;
  #log: Record<LogLevelName, LogMethod> | undefined;
  #principal: unknown;

  constructor(host: ContextHost, invocation: Invocation) {
    const { meta } = invocation;
    this.invocationId = meta.id;
    this.traceparent = meta.trace;
    this.project = host.init.project;
    this.function = host.init.function;
    this.version = host.init.version;
    this.params = meta.kind === 'http' ? meta.params : NO_PARAMS;
    this.#host = host;
    this.#invocation = invocation;
  }

  /** Who calls, where the route asks; undefined: nobody asked. */
  get principal(): unknown {
    const { meta } = this.#invocation;
    if (this.#principal === undefined && meta.kind === 'http' && meta.principal !== undefined)
      this.#principal = JSON.parse(meta.principal) as unknown;
    return this.#principal;
  }

  get deadline(): Date {
    return new Date(Date.now() + this.#invocation.deadlineAt - performance.now());
  }

  remainingMs(): number {
    return this.#invocation.remainingMs;
  }

  get signal(): AbortSignal {
    return this.#invocation.signal;
  }

  get log(): Record<LogLevelName, LogMethod> {
    const write = (level: LogLevelName): LogMethod => {
      return (text, fields) => {
        if (this.#invocation.isReplay?.() === true) return;
        this.#host.log.write(this.#invocation.stream, level, fields === undefined ? String(text) : `${text} ${fieldsText(fields)}`);
      };
    };
    return (this.#log ??= { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') });
  }

  /** The WebSockets of the project. */
  get connections(): Connections {
    return this.#host.connections;
  }

  /** Events for the project itself. Like the next, it works without its context. */
  get publish(): Publishing['publish'] {
    return this.#host.publishing.publish;
  }

  get queue(): (name: string) => QueueClient {
    return this.#host.publishing.queue;
  }

  get topic(): (name: string) => TopicClient {
    return this.#host.publishing.topic;
  }

  get stream(): (name: string) => StreamClient {
    return this.#host.publishing.stream;
  }

  /** Starts a run of a workflow of the project. */
  get startWorkflow(): Workflows['startWorkflow'] {
    return this.#host.workflows.startWorkflow;
  }

  /** Sends an event to a run of a workflow. */
  get sendToWorkflow(): Workflows['sendToWorkflow'] {
    return this.#host.workflows.sendToWorkflow;
  }

  /** The instance stays until `promise` has settled, though the answer may be sent before. */
  waitUntil(promise: Promise<unknown>): void {
    const { log } = this.#host;
    const { stream } = this.#invocation;
    const settled = Promise.resolve(promise).catch((error: unknown) =>
      log.write(stream, 'error', `a promise given to waitUntil was rejected: ${describe(error)}`),
    );
    this.#host.keepFor(settled);
  }

  /** AWS Lambda's name of invocationId. */
  get awsRequestId(): string {
    return this.invocationId;
  }

  /** AWS Lambda's name of remainingMs. */
  getRemainingTimeInMillis(): number {
    return Math.floor(this.remainingMs());
  }
}

function fieldsText(fields: Record<string, unknown>): string {
  try {
    return JSON.stringify(fields);
  } catch {
    return inspect(fields, { breakLength: Infinity });
  }
}
