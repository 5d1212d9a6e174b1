// One call whose answer may be kept. It is the sink of that call: what it hears it passes on to the client at once, and keeps a
// copy of as long as that is allowed and fits. Others who want the same wait for it (waiters) without a call of their own.
//
//   asked ──head──▶ keeping ──end──▶ over: kept; the waiters look again, and find it
//     │      └────▶ sharing ──end──▶ over: not kept, but given to those who waited
//     │      └────▶ passing ──end──▶ over: the waiters went their own ways at the head
//     └──failed──▶ over
//
// The client may leave, or be answered from what is old, before the call ends: `#client` is undefined then, and the bytes are taken
// here. Invariant: settled once, whatever happens; what it holds of the budget goes back. Made by cache-stage.ts.
import { hash } from 'node:crypto';
import type { Call, CallSink } from '../../functions/call.ts';
import type { VirgaError } from '../../protocol/errors.ts';
import type { FlatHeaders } from '../../protocol/frames.ts';
import { notModified } from '../conditional.ts';
import type { GatewayRequest, StageSink } from '../stage.ts';
import { judge } from './judgement.ts';
import type { Keep } from './judgement.ts';
import { answerFrom, conditionsOf, keptHeaders, only304, tagsOf, updatedHeaders, visibleHeaders } from './kept-answer.ts';
import { pathOf, variantOf } from './key.ts';
import type { Filling, Outcome, RouteSpace, Waiter } from './space.ts';
import { costOf } from './store.ts';
import type { Entry } from './store.ts';

interface FillOptions {
  space: RouteSpace;
  request: GatewayRequest;
  primary: string;
  /** Key and variant, under which others find it. */
  full: string;
  /** What is kept, too old to be given as it is. */
  old: Entry | undefined;
  /** RFC 9211: why the function is asked. */
  forward: string;
  authorized: boolean;
  /** Nobody waits for a client: it brings what is kept up to date. */
  background: boolean;
}

const WAITERS_MAX = 10_000;
const WAIT_MS = 10_000;
const FAILURES = new Set([500, 502, 503, 504]);
const NOTHING = Buffer.alloc(0);

export class Fill implements StageSink, Filling {
  readonly #options: FillOptions;
  readonly #purges: number;
  readonly #askedAtMs: number;
  readonly #waiters = new Set<Waiter>();
  #timer: NodeJS.Timeout | undefined;
  #client: CallSink | undefined;
  /** Of a call behind the back of the client. */
  call: Call | undefined;
  #state: 'asked' | 'keeping' | 'sharing' | 'passing' | 'over' = 'asked';
  #keep: Keep | undefined;
  #vary: readonly string[] = [];
  #status = 0;
  #headers: FlatHeaders = [];
  #tags: readonly string[] = [];
  #chunks: Buffer[] = [];
  #bytes = 0;

  constructor(options: FillOptions) {
    this.#options = options;
    this.#purges = options.space.project.purges;
    this.#askedAtMs = options.space.now();
  }

  /** The client that the answer is for. */
  set client(sink: CallSink) {
    this.#client = sink;
  }

  get takesWaiters(): boolean {
    return (this.#state === 'asked' || this.#state === 'keeping' || this.#state === 'sharing') && this.#waiters.size < WAITERS_MAX;
  }

  wait(waiter: Waiter): void {
    this.#waiters.add(waiter);
    this.#timer ??= setTimeout(() => {
      this.#unregister();
      this.#release('go');
    }, WAIT_MS).unref();
  }

  stopWaiting(waiter: Waiter): void {
    if (this.#waiters.delete(waiter)) waiter.resolve('go');
  }

  bodyWanted(call: Call): void {
    this.#client?.bodyWanted(call);
  }

  head(status: number, headers: FlatHeaders, body: Buffer, end: boolean): void {
    const { old, space, request, forward, authorized } = this.#options;
    const { rules } = space;
    const nowMs = space.now();
    if (status === 304 && old?.canValidate === true) return this.#stillGood(old, headers, nowMs);
    if (FAILURES.has(status) && old !== undefined && nowMs < old.staleErrorUntilMs) {
      this.#giveOld(old, nowMs, `hit; fwd-status=${status}`);
      this.#settle(old);
      this.#state = end ? 'over' : 'passing';
      if (!end) this.#consumed(body.length);
      return;
    }
    const judged = judge(rules, { status, headers }, { authorized, askedAtMs: this.#askedAtMs, nowMs });
    const seen = visibleHeaders(headers, rules);
    const whole = end ? body.length : judged.keep ? judged.contentLength : undefined;
    const fits = whole === undefined || whole <= rules.bodyBytesMax;
    this.#status = status;
    this.#vary = judged.vary;
    let stored = false;
    this.#tags = tagsOf(headers, rules.tags);
    if (judged.keep && fits && !this.#isSpoiled()) {
      this.#state = 'keeping';
      this.#keep = judged;
      this.#headers = keptHeaders(seen);
      stored = this.#take(body, end);
    } else if (!judged.keep && judged.shareable && fits && rules.coalesce === 'all' && this.#isAnonymous()) {
      this.#state = 'sharing';
      this.#headers = keptHeaders(seen);
      this.#take(body, end);
    } else {
      this.#state = end ? 'over' : 'passing';
      if (status < 500 && !authorized && !(judged.keep && fits)) space.markUnkept(this.#options.full);
      this.#settle('go');
    }
    this.#passHead(seen, { body, end, cacheStatus: `virga; fwd=${forward}${stored ? '; stored' : ''}`, request });
  }

  body(chunk: Buffer, end: boolean): void {
    if (this.#state === 'keeping' || this.#state === 'sharing') this.#take(chunk, end);
    else if (end) this.#state = 'over';
    if (this.#client !== undefined) this.#client.body(chunk, end);
    else if (!end) this.#consumed(chunk.length);
  }

  failed(error: VirgaError, headSent: boolean): void {
    const { old, space } = this.#options;
    const nowMs = space.now();
    if (!headSent && old !== undefined && nowMs < old.staleErrorUntilMs) {
      this.#giveOld(old, nowMs, `hit; detail=${error.code}`);
      this.#settle(old);
    } else {
      this.#settle('go');
      this.#client?.failed(error, headSent);
    }
    this.#letGo();
    this.#state = 'over';
  }

  /** The client left. True: the call goes on without it, for those who wait. */
  left(): boolean {
    this.#client = undefined;
    if (this.#waiters.size > 0 && this.#state !== 'over') return true;
    this.dropped();
    return false;
  }

  /** No answer will come: the call was not made, or is given up. */
  dropped(): void {
    if (this.#state === 'over') return;
    this.#settle('go');
    this.#letGo();
    this.#state = 'over';
  }

  /** What it says was purged, or the route changed, since the function was asked. */
  #isSpoiled(): boolean {
    const { space, request } = this.#options;
    return space.closed || space.project.isPurged(this.#purges, { path: pathOf(request.asked), tags: this.#tags });
  }

  /** Keeps a copy of more of the answer. False: it is not kept (any more). */
  #take(chunk: Buffer, end: boolean): boolean {
    const { space } = this.#options;
    const bytes = this.#bytes + chunk.length;
    if (bytes > space.rules.bodyBytesMax || space.closed || !space.store.hold(space.project, chunk.length)) {
      this.#giveUp(end);
      return false;
    }
    this.#bytes = bytes;
    // A chunk is a view of what came from the sandbox's socket: a copy keeps no more than it is.
    if (chunk.length > 0) this.#chunks.push(Buffer.from(chunk));
    return end ? this.#complete() : true;
  }

  #giveUp(end: boolean): void {
    this.#letGo();
    this.#state = end ? 'over' : 'passing';
    this.#settle('go');
    // Nobody is left who wants it.
    if (!end && this.#client === undefined) this.#itsCall()?.abandon();
  }

  #complete(): boolean {
    const { space, request, primary } = this.#options;
    const keep = this.#keep;
    // Exactly what it is: no slice of a pool that would keep the rest alive.
    const body = Buffer.allocUnsafeSlow(this.#bytes);
    let at = 0;
    for (const chunk of this.#chunks) at += chunk.copy(body, at);
    this.#letGo();
    this.#state = 'over';
    if (keep === undefined) {
      const entry = this.#entry(body, '', () => {}, undefined);
      this.#settle(entry);
      return false;
    }
    if (this.#isSpoiled()) {
      this.#settle('go');
      return false;
    }
    const kept = space.put(request, { primary, vary: keep.vary }, (secondary, forget) => this.#entry(body, secondary, forget, keep));
    this.#settle(kept ? 'look' : 'go');
    return kept;
  }

  #entry(body: Buffer, secondary: string, forget: (entry: Entry) => void, keep: Keep | undefined): Entry {
    const { space, request, primary } = this.#options;
    const headers = this.#headers;
    let etag = keep?.etag;
    if (etag === undefined && keep !== undefined && this.#status === 200) {
      // The same bytes for the same headers: strong.
      etag = `"${hash('sha256', body, 'base64url').slice(0, 22)}"`;
      headers.push('etag', etag);
    }
    if (this.#status !== 204) headers.push('content-length', String(body.length));
    const parts = { primary, secondary, path: pathOf(request.asked), tags: this.#tags, headers, body };
    const nowMs = space.now();
    return {
      ...parts,
      holder: space.project,
      forget,
      status: this.#status,
      etag,
      lastModified: keep?.lastModified,
      canValidate: keep !== undefined && (keep.etag ?? keep.lastModified) !== undefined,
      bornMs: keep?.bornMs ?? nowMs,
      freshUntilMs: keep?.freshUntilMs ?? nowMs,
      staleWhileUntilMs: keep?.staleWhileUntilMs ?? nowMs,
      staleErrorUntilMs: keep?.staleErrorUntilMs ?? nowMs,
      forAuthorized: keep?.forAuthorized ?? false,
      bytes: costOf(parts),
      asked: false,
      newer: undefined,
      older: undefined,
      held: false,
    };
  }

  /** The function says that what is kept still holds: its time begins anew. */
  #stillGood(old: Entry, news: FlatHeaders, nowMs: number): void {
    const { space, request, primary, authorized } = this.#options;
    this.#state = 'over';
    const headers = updatedHeaders(old.headers, visibleHeaders(news, space.rules));
    const judged = judge(space.rules, { status: old.status, headers }, { authorized, askedAtMs: this.#askedAtMs, nowMs });
    let entry = old;
    if (judged.keep && old.held && !space.closed) {
      const { bornMs, freshUntilMs, staleWhileUntilMs, staleErrorUntilMs, forAuthorized } = judged;
      space.put(request, { primary, vary: judged.vary }, (secondary, forget) => {
        const parts = { ...old, headers, secondary, forget, bornMs, freshUntilMs, staleWhileUntilMs, staleErrorUntilMs, forAuthorized };
        return (entry = { ...parts, bytes: costOf(parts), asked: true, newer: undefined, older: undefined, held: false });
      });
    } else space.store.remove(old, 'replaced');
    this.#giveOld(entry, nowMs, 'fwd=stale; fwd-status=304; stored');
    this.#settle(entry);
  }

  /** The client is answered from what is kept; what the call still says is only taken. */
  #giveOld(entry: Entry, nowMs: number, status: string): void {
    const client = this.#client;
    this.#client = undefined;
    if (client === undefined) return;
    const { request } = this.#options;
    const answer = answerFrom(entry, request, { nowMs, status });
    client.head(answer.status, answer.headers, Buffer.isBuffer(answer.body) ? answer.body : NOTHING, true);
  }

  #passHead(
    headers: FlatHeaders,
    { body, end, cacheStatus, request }: { body: Buffer; end: boolean; cacheStatus: string; request: GatewayRequest },
  ): void {
    const client = this.#client;
    if (client === undefined) {
      if (!end) this.#consumed(body.length);
      return;
    }
    const etag = this.#headers.lastIndexOf('etag');
    const computed = end && this.#keep?.etag === undefined && this.#keep !== undefined && etag >= 0 ? this.#headers[etag + 1] : undefined;
    const out = [...headers, ...(computed === undefined ? [] : ['etag', computed]), 'cache-status', cacheStatus];
    // What it was asked with is not what the client asked with: whether that holds is seen here.
    const conditions = conditionsOf(request);
    const validators = { etag: this.#keep?.etag ?? computed, lastModified: this.#keep?.lastModified };
    if (this.#status === 200 && this.#keep !== undefined && notModified(conditions, validators)) {
      this.#client = undefined;
      if (!end) this.#consumed(body.length);
      client.head(304, only304(out).concat('cache-status', cacheStatus), NOTHING, true);
    } else client.head(this.#status, out, body, end);
  }

  #itsCall(): Call | undefined {
    return this.call ?? this.#options.request.call;
  }

  #consumed(bytes: number): void {
    this.#itsCall()?.consumed(bytes);
  }

  #letGo(): void {
    const { space } = this.#options;
    space.store.letGo(space.project, this.#bytes);
    this.#bytes = 0;
    this.#chunks = [];
  }

  #isAnonymous(): boolean {
    const { request, authorized } = this.#options;
    return !authorized && request.principal === undefined && !request.headers.includes('cookie');
  }

  /** The waiters hear what came of it; others who come now ask for themselves, or find it. */
  #settle(outcome: Outcome): void {
    this.#unregister();
    this.#release(outcome);
  }

  #unregister(): void {
    const { space, full } = this.#options;
    if (space.fills.get(full) === this) space.fills.delete(full);
  }

  #release(outcome: Outcome): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#waiters.size === 0) return;
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    const { request, space } = this.#options;
    const mine = typeof outcome === 'string' || this.#vary.length === 0 ? '' : variantOf(request, this.#vary, space.rules);
    for (const waiter of waiters) {
      const same = mine === '' || variantOf(waiter.request, this.#vary, space.rules) === mine;
      waiter.resolve(same ? outcome : 'go');
    }
  }
}
