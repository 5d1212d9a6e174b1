// One wake-up of a run: the handler runs from its beginning, steps that ended before end again at once, the others are done for the first
// time, and when all that is left sleeps or waits, the wake-up is over and the instance free.
//
//   step asked for ──┬─ ended before ──────────────▶ ready ──in the order of their ends──▶ ended
//                    └─ new, or cut off ──▶ parked ──all of `ready` has ended──▶ running ──durable──▶ ready
//                                                                                └▶ blocked ──due──▶ running, ready
//
// Invariant: a step resolves only after its end is durable; in a replay steps end in the order in which they ended before, one at a time, so
// that code which is the same does the same; nothing is done for the first time while history waits to be told. Made by call.ts.
import { AsyncLocalStorage } from 'node:async_hooks';
import type { HistoryStep, StepEnd, StepKind, WorkflowAsk, WorkflowRun } from '../../../protocol/workflow-run.ts';
import { History, describeStep } from './history.ts';
import { identityOf } from './open-step.ts';
import type { OpenStep, StepKeeper, WakeUpHost } from './open-step.ts';
import { Scope } from './scope.ts';
import { rulesOf, runStep } from './step.ts';
import type { StepOptions, StepWork } from './step.ts';
import { errorOf, fatal } from './values.ts';

export type Ending =
  | { as: 'suspended' | 'lost' }
  | { as: 'ended'; state: 'succeeded' | 'failed'; value: unknown; step: number | undefined }
  /** The node could not keep what was done: what runs, runs again in another wake-up. */
  | { as: 'broken'; error: unknown };

interface Blocked {
  step: OpenStep;
  /** Unix ms; undefined: until something comes. */
  dueAt: number | undefined;
  /** Of a step that is tried again; else the node says what became of it. */
  again?: () => void;
}

/** What is due so soon is waited for in the instance: another wake-up would take as long. */
const IN_PLACE_MS = 250;
const NAME_MAX = 200;
// Taken now: what user code patches later (fake timers) does not reach them.
const { setImmediate: later, setTimeout: after, clearTimeout: stop } = globalThis;

/** Where the present line of code is. */
const places = new AsyncLocalStorage<{ wakeUp: WakeUp; scope: Scope }>();

export class WakeUp implements StepKeeper {
  readonly run: WorkflowRun;
  readonly #host: WakeUpHost;
  readonly #root: Scope;
  readonly #history: History;
  readonly #ready: { place: number; end: () => void }[] = [];
  readonly #parked: { step: OpenStep; start: () => void; isNew: boolean }[] = [];
  readonly #blocked = new Map<number, Blocked>();
  readonly #errors = new WeakMap<object, number>();
  readonly #over = Promise.withResolvers<Ending>();
  readonly #unwanted = new AbortController();
  #isOver = false;
  #turning = false;
  /** Steps whose function runs, and requests to the node that a step waits for. */
  #running = 0;
  /** Steps that ended for the first time in this wake-up. */
  #progress = 0;
  #timer: NodeJS.Timeout | undefined;
  #asksNews = 0;
  /** A step waits for a wake-up with more time. */
  #shortOfTime = false;

  constructor(run: WorkflowRun, host: WakeUpHost, seed: string) {
    this.run = run;
    this.#host = host;
    this.#root = new Scope({ path: '', now: run.startedAt, seed });
    this.#history = new History(run.history);
  }

  /** Runs the handler; never rejects. */
  start(handler: () => unknown): Promise<Ending> {
    places.run({ wakeUp: this, scope: this.#root }, () => {
      Promise.try(handler).then(
        (value) => this.#through('succeeded', value),
        (error: unknown) => this.#through('failed', error),
      );
    });
    return this.#over.promise;
  }

  get signal(): AbortSignal {
    return this.#unwanted.signal;
  }

  /** Nobody wants it any more. */
  abandon(): void {
    this.#finish({ as: 'lost' });
  }

  /** The present line of code did before what it does now: what it logs was logged. */
  get isReplay(): boolean {
    const place = places.getStore();
    if (place?.wakeUp !== this || place.scope.inside !== undefined) return false;
    return this.#history.isReplay(place.scope.path);
  }

  get place(): Scope {
    const place = places.getStore();
    return place?.wakeUp === this ? place.scope : this.#root;
  }

  step(name: string, work: StepWork, options: StepOptions): Promise<unknown> {
    if (typeof work !== 'function') throw new TypeError(`the step '${String(name)}' has no function: step(name, () => …)`);
    // What is wrong here is told before there is a step: a replay counts those that it knows of.
    const rules = rulesOf(name, options, this.run.retry);
    return this.#open('step', name, (step, before) => runStep({ wakeUp: this, host: this.#host, step, before, work, rules }));
  }

  sleep(name: string, until: { forMs: number } | { until: number }): Promise<unknown> {
    return this.#open('sleep', name, (step, before) => {
      if (before !== undefined) return this.block({ step, inMs: before.inMs ?? 0 });
      void this.#register(step, { op: 'workflow.sleep', ...until, ...identityOf(step) });
    });
  }

  wait(name: string, { forMs, match, event }: { forMs: number | undefined; match: unknown; event: string | undefined }): Promise<unknown> {
    if (event !== undefined && (typeof event !== 'string' || event === '' || event.length > NAME_MAX || hasNoPlace(event)))
      throw new TypeError(`the event of the wait for '${String(name)}' is the type of one: a text of 1 to ${NAME_MAX} characters`);
    const data = match === undefined ? undefined : Buffer.from(patternText(name, match));
    const what = { ...(forMs === undefined ? {} : { forMs }), ...(event === undefined ? {} : { event }) };
    return this.#open('wait', name, (step, before) => {
      if (before !== undefined) return this.block({ step, inMs: before.inMs });
      void this.#register(step, { op: 'workflow.wait', ...what, ...identityOf(step) }, data);
    });
  }

  async parallel(branches: (() => unknown)[]): Promise<unknown[]> {
    const outer = this.#place();
    const scopes = outer.branches(branches.length);
    const results = await Promise.allSettled(
      branches.map((branch, i) => places.run({ wakeUp: this, scope: scopes[i]! }, () => Promise.try(branch))),
    );
    outer.now = Math.max(outer.now, ...scopes.map(({ now }) => now));
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
    return results.map((result) => (result as PromiseFulfilledResult<unknown>).value);
  }

  within<T>(step: OpenStep, work: () => T): T {
    const scope = new Scope({ path: step.scope, now: step.place.now, seed: '', inside: step.name });
    return places.run({ wakeUp: this, scope }, work);
  }

  async busy(work: () => Promise<void>): Promise<void> {
    this.#running++;
    try {
      await work();
    } catch (error) {
      this.#broken(error);
    }
    this.#running--;
    this.#turn();
  }

  mayRun(step: OpenStep): boolean {
    if (this.#progress === 0 || this.#host.remainingMs() >= this.#host.timeoutMs / 2) return true;
    this.#shortOfTime = true;
    this.#blocked.set(step.ordinal, { step, dueAt: undefined, again: () => {} });
    return false;
  }

  block({ step, inMs, again }: { step: OpenStep; inMs: number | undefined; again?: () => void }): void {
    const dueAt = inMs === undefined ? undefined : this.#host.now() + inMs;
    this.#blocked.set(step.ordinal, { step, dueAt, ...(again === undefined ? {} : { again }) });
  }

  ended(step: OpenStep, end: StepEnd, outcome: { value: unknown } | { error: Error }): void {
    this.#progress++;
    this.#end(step, end.place, end.at, outcome);
  }

  #open(kind: StepKind, name: string, start: (step: OpenStep, before: HistoryStep | undefined) => void): Promise<unknown> {
    const place = this.#place();
    if (typeof name !== 'string' || name.length > NAME_MAX || (kind !== 'sleep' && name === '') || hasNoPlace(name))
      throw new TypeError(`the name of a ${kind} is a text of 1 to ${NAME_MAX} characters, without NUL and halves of surrogate pairs`);
    if (place.inside !== undefined) {
      const what = kind === 'step' ? `the step '${name}'` : kind === 'wait' ? `a wait for '${name}'` : 'a sleep';
      throw fatal(new Error(`${what} begins within the step '${place.inside}'; steps stand beside each other, so do it before or after`));
    }
    const identity = { scope: place.path, kind, name, occurrence: place.count(kind, name) };
    const { before, ordinal } = this.#history.take(identity);
    const { steps } = this.run.limits;
    if (ordinal > steps)
      throw fatal(new RangeError(`the run has more than ${steps} steps; start another run for what is left (VIRGA_LIMIT_WORKFLOW_STEPS)`));
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const step: OpenStep = { ...identity, ordinal, place, resolve, reject };
    if (before?.place !== undefined) {
      const { error, result } = before;
      this.#end(step, before.place, before.at ?? 0, error === undefined ? { value: result } : { error: errorOf(error) });
    } else {
      this.#parked.push({ step, start: () => start(step, before), isNew: before === undefined });
      this.#turn();
    }
    return promise;
  }

  #place(): Scope {
    const place = places.getStore();
    if (place?.wakeUp === this) return place.scope;
    return this.#root;
  }

  async #register(step: OpenStep, request: WorkflowAsk, data?: Buffer): Promise<void> {
    await this.busy(async () => {
      const answer = (await this.#host.ask(request, data)) as StepEnd | { inMs?: number } | null;
      if (answer !== null && 'place' in answer)
        this.ended(step, answer, answer.error === undefined ? { value: answer.result } : { error: errorOf(answer.error) });
      else this.block({ step, inMs: answer?.inMs });
    });
  }

  #end(step: OpenStep, place: number, at: number, outcome: { value: unknown } | { error: Error }): void {
    const end = (): void => {
      step.place.now = Math.max(step.place.now, at);
      if ('value' in outcome) return step.resolve(outcome.value);
      this.#errors.set(outcome.error, step.ordinal);
      step.reject(outcome.error);
    };
    // Nearly always the last.
    let index = this.#ready.length;
    while (index > 0 && this.#ready[index - 1]!.place > place) index--;
    this.#ready.splice(index, 0, { place, end });
    this.#turn();
  }

  /** Ends one step at a time: between two the handler does whatever it does with the first. */
  #turn(): void {
    if (this.#turning || this.#isOver) return;
    this.#turning = true;
    later(() => {
      this.#turning = false;
      if (this.#isOver) return;
      const next = this.#ready.shift();
      if (next !== undefined) {
        next.end();
        return this.#turn();
      }
      if (this.#parked.length > 0) return this.#startParked();
      this.#rest();
    });
  }

  #startParked(): void {
    const parked = this.#parked.splice(0);
    for (const { step, isNew } of parked) {
      const left = isNew ? this.#history.leftIn(step.scope) : undefined;
      if (left !== undefined) return this.#contradicted(left, `asks for ${describeStep(step)}`);
    }
    for (const { start } of parked) start();
    this.#turn();
  }

  /** Nothing can be done just now. */
  #rest(): void {
    stop(this.#timer);
    if (this.#blocked.size === 0) return;
    const dueAt = Math.min(...[...this.#blocked.values()].map((one) => one.dueAt ?? Infinity));
    const inMs = dueAt - this.#host.now();
    if (inMs <= 0) return this.#due();
    if (this.#running === 0 && (inMs > IN_PLACE_MS || this.#shortOfTime)) return void this.busy(() => this.#suspend());
    if (inMs < 2 ** 31) this.#timer = after(() => this.#turn(), inMs);
    if (this.#asksNews === 0 && [...this.#blocked.values()].some(({ again }) => again === undefined)) void this.#news();
  }

  #due(): void {
    const now = this.#host.now();
    let news = false;
    for (const [ordinal, { dueAt = Infinity, again }] of this.#blocked) {
      if (dueAt > now) continue;
      if (again === undefined) news = true;
      else {
        this.#blocked.delete(ordinal);
        again();
      }
    }
    // The node's clock may be a little behind: until it agrees, it is asked again.
    if (news) void this.#news(20);
    else this.#turn();
  }

  /** Asks what has become of what is blocked, and waits for the first of it. */
  async #news(ifNothingMs?: number): Promise<void> {
    this.#asksNews++;
    try {
      const ends = (await this.#host.ask({ op: 'workflow.news' })) as StepEnd[] | null;
      if (ends !== null) this.#take(ends);
    } catch (error) {
      this.#broken(error);
    }
    this.#asksNews--;
    if (ifNothingMs !== undefined && !this.#isOver) after(() => this.#turn(), ifNothingMs);
    else this.#turn();
  }

  async #suspend(): Promise<void> {
    const ends = (await this.#host.ask({ op: 'workflow.suspend', ...(this.#shortOfTime ? { again: true as const } : {}) })) as
      | StepEnd[]
      | null;
    if (ends === null) this.#finish({ as: 'suspended' });
    else this.#take(ends);
  }

  #take(ends: StepEnd[]): void {
    for (const end of ends) {
      const blocked = this.#blocked.get(end.ordinal);
      this.#blocked.delete(end.ordinal);
      if (blocked !== undefined) this.ended(blocked.step, end, { value: end.result });
    }
  }

  #through(state: 'succeeded' | 'failed', value: unknown): void {
    if (this.#isOver) return;
    const left = this.#history.leftIn();
    if (left !== undefined) return this.#contradicted(left, state === 'failed' ? `throws ${String(value)}` : 'has come to its end');
    const step = typeof value === 'object' && value !== null ? this.#errors.get(value) : undefined;
    this.#finish({ as: 'ended', state, value, step });
  }

  #contradicted(left: HistoryStep, does: string): void {
    const where = left.scope === '' ? '' : `, in branch ${left.scope}`;
    const value = new Error(
      `the code does something else than before: place ${left.ordinal} of the run's history${where} is ${describeStep(left)}, and the code ${does}. ` +
        'Whatever differs between two wake-ups (time, chance, what is read from elsewhere) belongs into a step',
    );
    value.name = 'NondeterminismError';
    value.stack = '';
    this.#finish({ as: 'ended', state: 'failed', value, step: undefined });
  }

  #broken(error: unknown): void {
    this.#finish((error as { code?: string }).code === 'workflow_lost' ? { as: 'lost' } : { as: 'broken', error });
  }

  #finish(ending: Ending): void {
    if (this.#isOver) return;
    this.#isOver = true;
    stop(this.#timer);
    if (ending.as === 'lost') this.#unwanted.abort(new DOMException('the run was cancelled, or goes on elsewhere', 'AbortError'));
    this.#over.resolve(ending);
  }
}

/** What Postgres does not keep as it is. */
function hasNoPlace(text: string): boolean {
  return text.includes('\0') || !text.isWellFormed();
}

function patternText(name: string, match: unknown): string {
  try {
    return JSON.stringify(match) ?? 'null';
  } catch (error) {
    throw new TypeError(`match of the wait for '${name}' cannot be written as JSON: ${(error as Error).message}`, { cause: error });
  }
}
