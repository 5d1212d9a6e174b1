// One run while it is awake in this process: what its guest asks, and what comes to it meanwhile. Invariants: places are given in the order
// in which ends are answered, so a replay sees what this wake-up saw; what ends by itself (sleeps, waits) is looked up while no step is
// being written; after it is over, nothing is written for it. Made by workflow-kind.ts.
import { VirgaError } from '../../protocol/errors.ts';
import type { KeptError, StepEnd, StepIdentity, WorkflowRequest } from '../../protocol/workflow-run.ts';
import { matchProblem } from './event-match.ts';
import { checkRequest, jsonOf } from './guest-asks.ts';
import { EVENT_RULE, isEventName } from './names.ts';
import type { RunName } from './names.ts';
import type { Runs, Taken } from './runs.ts';
import { lost } from './step-writer.ts';
import type { StepWrite, StepWriter } from './step-writer.ts';
import { WAITS_MAX, waitKey } from './wait-keys.ts';

export interface AwakeNeeds {
  runs: Runs;
  writer: StepWriter;
  now: () => number;
  limits: { workflowStepsMax: number; workflowHistoryBytesMax: number; workflowBytesMax: number };
  /** Sees to it that the run is woken up at this time. */
  wake: (name: RunName, at: number) => Promise<void>;
  keepMs: number;
  /** Whether its project brings events of this type to runs of this function that wait for them. */
  hearsEvent: (name: RunName, type: string) => boolean;
}

const HEARD_MS = 1_000;
/** Of the error of a step: its message, stack and fields, which guests cut. */
const ERROR_BYTES_MAX = 256 * 1024;
/** What stands in a statement that a guest sends of a wait. */
const MATCH_BYTES_MAX = 64 * 1024;

/** How it ended: `open`: not yet, or not by its guest's word. */
export type AwakeState = 'open' | 'suspended' | 'succeeded' | 'failed' | 'lost';

export class AwakeRun {
  readonly name: RunName;
  readonly taken: Taken;
  readonly abort = new AbortController();
  state: AwakeState = 'open';
  readonly #needs: AwakeNeeds;
  #place: number;
  #bytes: number;
  readonly #startedAt = new Map<number, number>();
  /** Answers the guest that waits for news. */
  #listener: ((ends: StepEnd[] | null) => void) | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Something came, and nobody has looked yet. */
  #isPoked = false;
  readonly #writes = new Set<Promise<unknown>>();
  /** The last of what runs alone. */
  #alone: Promise<unknown> = Promise.resolve();

  constructor(name: RunName, taken: Taken, needs: AwakeNeeds) {
    this.name = name;
    this.taken = taken;
    this.#needs = needs;
    this.#place = taken.place;
    this.#bytes = taken.bytes;
  }

  /** Something may have become due: an event was sent, or the run was cancelled. */
  poke(): void {
    this.#isPoked = true;
    void this.#lookForListener();
  }

  /** It may be meant: it is looked once a second at most, for the messages of all runs of the function. */
  heard(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      if (this.state === 'open') this.poke();
    }, HEARD_MS).unref();
  }

  /** `data` is the guest's to reuse once this returns. */
  async ask(request: WorkflowRequest, data: Buffer): Promise<unknown> {
    if (this.state !== 'open' || request.token !== this.taken.token) throw lost();
    checkRequest(request);
    switch (request.op) {
      case 'workflow.begin':
        return await this.#write(request, { state: 'running', attempts: request.attempt }, null);
      case 'workflow.retry':
        return await this.#write(request, { state: 'retrying', attempts: request.attempt, inMs: request.inMs, error: errorIn(data) }, null);
      case 'workflow.done':
      case 'workflow.failed': {
        const isDone = request.op === 'workflow.done';
        const how = isDone
          ? ({ state: 'done', result: this.#resultIn(data) } as const)
          : ({ state: 'failed', error: errorIn(data) } as const);
        return await this.#writeEnd(request, { ...how, attempts: request.attempt });
      }
      case 'workflow.sleep': {
        const inMs = request.forMs ?? (request.until ?? 0) - this.#needs.now();
        if (inMs <= 0) return await this.#writeEnd(request, { state: 'done', attempts: 1 });
        return await this.#write(request, { state: 'sleeping', attempts: 1, inMs }, { inMs });
      }
      case 'workflow.wait':
        return await this.#wait(request, jsonOf(data, { what: 'match', bytesMax: MATCH_BYTES_MAX }));
      case 'workflow.news':
        return await this.#news();
      case 'workflow.suspend':
        return await this.#suspend(request.again === true);
      case 'workflow.end':
        return await this.#end(request, request.state === 'failed' ? errorIn(data) : this.#resultIn(data));
      case 'workflow.history': {
        const { steps, more } = await this.#needs.runs.history(this.taken, { after: request.after, now: this.#needs.now() });
        return { history: steps.map((text) => JSON.parse(text) as unknown), ...(more === undefined ? {} : { more }) };
      }
    }
  }

  /** The wake-up is over, however it was. */
  close(): void {
    if (this.state === 'open') this.state = 'lost';
    clearTimeout(this.#timer);
    this.#tellListener(null);
  }

  async #wait(request: StepIdentity & { forMs?: number; event?: string }, match: string | null): Promise<unknown> {
    const { forMs, event } = request;
    if (this.#bytes > this.#needs.limits.workflowHistoryBytesMax) throw await this.#tooLarge(0);
    const waitsFor = event === undefined ? null : waitKey(this.name.project, event, match);
    const wrong = await this.#waitProblem(request, { match, waitsFor });
    if (wrong !== undefined) {
      // As a step whose error it is: a replay comes by here again, and has to find the same.
      const error: KeptError = { ...wrong, fields: { retryable: false } };
      return { ...(await this.#writeEnd(request, { state: 'failed', attempts: 1, error: JSON.stringify(error) })), error };
    }
    await this.#write(request, { state: 'waiting', attempts: 1, match, waitsFor, ...(forMs === undefined ? {} : { inMs: forMs }) }, null);
    const ends = await this.#exclusively(() => this.#dueNow());
    const own = ends.find(({ ordinal }) => ordinal === request.ordinal);
    // What else became due is told with it, to whoever asks for news next.
    const others = ends.filter((end) => end !== own);
    if (others.length > 0) this.#unheard.push(...others);
    if (this.#unheard.length > 0) this.#tellListener(this.#unheard.splice(0));
    return own ?? (forMs === undefined ? null : { inMs: forMs });
  }

  /** What keeps it from waiting; for whoever wrote the code. */
  async #waitProblem(
    { name, event }: { name: string; event?: string },
    { match, waitsFor }: { match: string | null; waitsFor: string | null },
  ): Promise<{ name: string; message: string } | undefined> {
    const { project, function: fn } = this.name;
    const ofType = (message: string) => ({ name: 'TypeError', message });
    if (event === undefined && !isEventName(name))
      return ofType(`'${name.slice(0, 60)}' is no name of an event that could be sent to the run: ${EVENT_RULE}`);
    const problem = match === null ? undefined : matchProblem(match, { whole: event !== undefined });
    if (problem !== undefined) return ofType(`${problem.at} of the wait for '${name}': ${problem.message}`);
    if (event === undefined || waitsFor === null) return undefined;
    if (!this.#needs.hearsEvent(this.name, event))
      return ofType(
        `the wait for '${name}': events of the type '${event}' are not brought to runs of '${fn}'; say \`workflow: { events: [${event}] }\` of it in virga.yaml`,
      );
    if ((await this.#needs.runs.waiting(waitsFor, WAITS_MAX)) < WAITS_MAX) return undefined;
    return {
      name: 'workflow_full',
      message: `${WAITS_MAX} waits of project '${project}' for events of the type '${event}' with the same value in \`match\` are open, as many as may be; match a value of its own in each, such as {"data": {"id": ["…"]}}`,
    };
  }

  /** Ends that nobody has asked for yet. */
  readonly #unheard: StepEnd[] = [];

  async #news(): Promise<StepEnd[] | null> {
    this.#tellListener(null);
    const ends = await this.#look();
    if (ends.length > 0) return ends;
    const { promise, resolve } = Promise.withResolvers<StepEnd[] | null>();
    this.#tellListener(null);
    this.#listener = resolve;
    // It came while the look was under way.
    if (this.#isPoked) void this.#lookForListener();
    return await promise;
  }

  async #lookForListener(): Promise<void> {
    try {
      const ends = await this.#look();
      if (ends.length > 0) this.#tellListener(ends);
    } catch {
      this.#tellListener(null);
    }
  }

  #tellListener(ends: StepEnd[] | null): void {
    const listener = this.#listener;
    this.#listener = undefined;
    if (listener !== undefined) listener(ends);
    else if (ends !== null) this.#unheard.push(...ends);
  }

  async #look(): Promise<StepEnd[]> {
    const ends = await this.#exclusively(() => {
      // Not before it is looked: where the run falls asleep first, whoever poked has to be heard by the next wake-up.
      this.#isPoked = false;
      return this.#dueNow();
    });
    return [...this.#unheard.splice(0), ...ends];
  }

  async #dueNow(): Promise<StepEnd[]> {
    const ends = await this.#needs.runs.news(this.#held(), this.#needs.now());
    if (ends === undefined) throw this.#lose();
    this.#ended(ends);
    return ends;
  }

  async #suspend(again: boolean): Promise<StepEnd[] | null> {
    const { runs, now, wake } = this.#needs;
    return await this.#exclusively(async () => {
      if (this.#unheard.length > 0) return this.#unheard.splice(0);
      this.#isPoked = false;
      const answer = await runs.suspend(this.#held(), { now: now(), again, wake: (at) => wake(this.name, at) });
      if (answer === undefined) throw this.#lose();
      if (answer !== 'suspended') {
        this.#ended(answer);
        return answer;
      }
      this.state = 'suspended';
      // What came in this very moment was told to this wake-up, and would be heard by nobody.
      if (this.#isPoked) await wake(this.name, now());
      this.#tellListener(null);
      return null;
    });
  }

  async #end(request: { state: 'succeeded' | 'failed'; step?: number }, kept: string | null): Promise<null> {
    const { runs, now, keepMs } = this.#needs;
    return await this.#exclusively(async () => {
      const { state, step } = request;
      const how = state === 'succeeded' ? { state, result: kept, error: null } : { state, result: null, error: withStep(kept, step) };
      if (!(await runs.end(this.taken, { ...how, now: now(), keepMs }))) throw this.#lose();
      this.state = state;
      return null;
    });
  }

  async #writeEnd(
    step: StepIdentity,
    how: { state: 'done' | 'failed'; attempts: number; result?: string | null; error?: string | null },
  ): Promise<StepEnd> {
    const bytes = Buffer.byteLength(how.result ?? '') + Buffer.byteLength(how.error ?? '');
    if (this.#bytes + bytes > this.#needs.limits.workflowHistoryBytesMax) throw await this.#tooLarge(bytes);
    this.#bytes += bytes;
    await this.#alone;
    const place = ++this.#place;
    const at = this.#needs.now();
    await this.#write(step, { ...how, place }, null, at);
    return { ordinal: step.ordinal, place, at, state: how.state };
  }

  async #write<T>(
    { ordinal, scope, kind, name, occurrence }: StepIdentity,
    how: Pick<StepWrite, 'state' | 'attempts'> &
      Partial<Pick<StepWrite, 'result' | 'error' | 'match' | 'waitsFor' | 'place'>> & { inMs?: number },
    answer: T,
    at = this.#needs.now(),
  ): Promise<T> {
    const { workflowStepsMax } = this.#needs.limits;
    if (ordinal > workflowStepsMax)
      throw await this.#failed(
        `the run has more than ${workflowStepsMax} steps; start another run for what is left (VIRGA_LIMIT_WORKFLOW_STEPS)`,
      );
    const startedAt = how.state === 'running' ? at : (this.#startedAt.get(ordinal) ?? at);
    if (how.place === undefined) this.#startedAt.set(ordinal, startedAt);
    else this.#startedAt.delete(ordinal);
    const { run, token } = this.taken;
    const { inMs, ...rest } = how;
    const write = this.#needs.writer.write(
      {
        ...{ result: null, error: null, match: null, waitsFor: null, place: null },
        ...{ run, token, ordinal, scope, kind, name, occurrence, startedAt, at },
        ...rest,
        wakeAt: inMs === undefined ? null : at + inMs,
      },
      { waits: how.state === 'running' },
    );
    this.#writes.add(write);
    try {
      await write;
    } catch (error) {
      if (error instanceof VirgaError && error.code === 'workflow_lost') throw this.#lose();
      throw error;
    } finally {
      this.#writes.delete(write);
    }
    return answer;
  }

  /** Of what ended by itself. */
  #ended(ends: readonly StepEnd[]): void {
    this.#place += ends.length;
    for (const { result } of ends) if (result !== undefined) this.#bytes += Buffer.byteLength(JSON.stringify(result));
  }

  #resultIn(data: Buffer): string | null {
    return jsonOf(data, { what: 'result', bytesMax: this.#needs.limits.workflowBytesMax });
  }

  async #tooLarge(bytes: number): Promise<VirgaError> {
    const { workflowHistoryBytesMax: bytesMax } = this.#needs.limits;
    return await this.#failed(
      `the history of the run has ${this.#bytes + bytes} bytes; at most ${bytesMax} are kept: return less from its steps, or start another run for what is left (VIRGA_LIMIT_WORKFLOW_HISTORY_BYTES)`,
    );
  }

  /** Another wake-up would come to the same end, and run its last step once more: so the run fails now. Gives what its guest is told. */
  async #failed(message: string): Promise<VirgaError> {
    await this.#end({ state: 'failed' }, JSON.stringify({ name: 'workflow_too_large', message } satisfies KeptError));
    this.#tellListener(null);
    return lost();
  }

  /** Runs while no step is being written, and nothing else of this kind. */
  async #exclusively<T>(work: () => Promise<T>): Promise<T> {
    const before = [this.#alone, ...this.#writes];
    const done = Promise.allSettled(before).then(async () => {
      while (this.#writes.size > 0) await Promise.allSettled(this.#writes);
      if (this.state !== 'open') throw lost();
      return await work();
    });
    this.#alone = done.catch(() => {});
    return await done;
  }

  #held(): { run: string; token: number; place: number } {
    const { run, token } = this.taken;
    return { run, token, place: this.#place };
  }

  #lose(): VirgaError {
    if (this.state === 'open') this.state = 'lost';
    this.#tellListener(null);
    this.abort.abort();
    return lost();
  }
}

function errorIn(data: Buffer): string | null {
  return jsonOf(data, { what: 'error', bytesMax: ERROR_BYTES_MAX });
}

function withStep(error: string | null, step: number | undefined): string {
  const text = error ?? '{"name":"Error","message":"the workflow failed"}';
  return step === undefined ? text : `${text.slice(0, -1)},"step":${step}}`;
}
