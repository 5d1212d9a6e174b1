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
import type { Call, CallSink } from '../../functions/call.ts';
import type { VirgaError } from '../../protocol/errors.ts';
import type { FlatHeaders } from '../../protocol/frames.ts';
import { notModified } from '../conditional.ts';
import type { GatewayRequest, StageSink } from '../stage.ts';
import { judge } from './judgement.ts';
import type { Keep } from './judgement.ts';
import { answerFrom, conditionsOf, keptHeaders, only304, tagsOf, updatedHeaders, visibleHeaders } from './kept-answer.ts';
import { entryOf, isSendable, renewed } from './kept-entry.ts';
import { pathOf, variantOf } from './key.ts';
import { Pace } from './pace.ts';
import type { Filling, Outcome, RouteSpace, Waiter } from './space.ts';
import type { Entry } from './store.ts';

interface Head {
  status: number;
  headers: FlatHeaders;
  body: Buffer;
  end: boolean;
}

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
  readonly #pace = new Pace(() => this.call ?? this.#options.request.call);
  #timer: NodeJS.Timeout | undefined;
  #client: CallSink | undefined;
  /** Of a call behind the back of the client. */
  call: Call | undefined;
  #state: 'asked' | 'keeping' | 'sharing' | 'passing' | 'over' = 'asked';
  #keep: Keep | undefined;
  #vary: readonly string[] = [];
  #status = 0;
  /** As they may be given again. */
  #headers: FlatHeaders = [];
  #tags: readonly string[] = [];
  #streams = false;
  #kept: Entry | undefined;
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
    return (this.#state === 'asked' || this.#isHeld) && this.#waiters.size < WAITERS_MAX;
  }

  wait(waiter: Waiter): void {
    this.#waiters.add(waiter);
    this.#timer ??= setTimeout(() => this.#settle('go'), WAIT_MS).unref();
  }

  stopWaiting(waiter: Waiter): void {
    if (this.#waiters.delete(waiter)) waiter.resolve('go');
  }

  bodyWanted(call: Call): void {
    this.#client?.bodyWanted(call);
  }

  head(status: number, headers: FlatHeaders, body: Buffer, end: boolean): void {
    const { old, space } = this.#options;
    const nowMs = space.now();
    if (status === 304 && old?.canValidate === true) this.#stillGood(old, headers, nowMs);
    else if (FAILURES.has(status) && old !== undefined && nowMs < old.staleErrorUntilMs) {
      this.#state = end ? 'over' : 'passing';
      this.#give(old, nowMs, `hit; fwd-status=${status}`);
      if (!end) this.#pace.dropped(body.length);
    } else this.#answered({ status, headers, body, end }, nowMs);
  }

  body(chunk: Buffer, end: boolean): void {
    const own = this.#isHeld ? this.#take(chunk, end) : chunk;
    if (end) this.#state = 'over';
    this.#flow(own.length, end, (client) => client.body(own, end));
  }

  failed(error: VirgaError, headSent: boolean): void {
    const { old, space } = this.#options;
    const nowMs = space.now();
    this.#letGo();
    this.#state = 'over';
    if (!headSent && old !== undefined && nowMs < old.staleErrorUntilMs) this.#give(old, nowMs, `hit; detail=${error.code}`);
    else {
      this.#settle('go');
      this.#client?.failed(error, headSent);
    }
  }

  left(): boolean {
    this.#client = undefined;
    if (this.#waiters.size > 0 && this.#state !== 'over') {
      this.#pace.clientLeft();
      return true;
    }
    this.dropped();
    return false;
  }

  passedOn(bytes: number): void {
    this.#pace.taken(bytes);
  }

  /** No answer will come: the call was not made, or is given up. */
  dropped(): void {
    this.#letGo();
    this.#state = 'over';
    this.#settle('go');
  }

  get #isHeld(): boolean {
    return this.#state === 'keeping' || this.#state === 'sharing';
  }

  #answered({ status, headers, body, end }: Head, nowMs: number): void {
    const { space, authorized, full, forward } = this.#options;
    const { rules } = space;
    const judged = judge(rules, { status, headers }, { authorized, askedAtMs: this.#askedAtMs, nowMs });
    const seen = visibleHeaders(headers, rules);
    const whole = end ? body.length : judged.keep ? judged.contentLength : undefined;
    const fits = (whole ?? 0) <= Math.min(rules.bodyBytesMax, space.store.projectBytesMax) && isSendable(headers);
    const shared = !judged.keep && judged.shareable && rules.coalesce === 'all' && this.#isAnonymous();
    this.#status = status;
    this.#streams = !end;
    this.#vary = judged.vary;
    this.#tags = tagsOf(headers, rules.tags);
    let own = body;
    if (fits && (shared || (judged.keep && !this.#isSpoiled()))) {
      this.#state = judged.keep ? 'keeping' : 'sharing';
      this.#keep = judged.keep ? judged : undefined;
      this.#headers = keptHeaders(seen);
      own = this.#take(body, end);
    } else {
      this.#state = end ? 'over' : 'passing';
      if (status < 500 && !authorized && !(judged.keep && fits)) space.markUnkept(full);
      this.#settle('go');
    }
    const stored = this.#kept !== undefined || this.#isKeeping();
    this.#passHead(seen, own, { end, cacheStatus: `virga; fwd=${forward}${stored ? '; stored' : ''}` });
  }

  #passHead(headers: FlatHeaders, body: Buffer, { end, cacheStatus }: { end: boolean; cacheStatus: string }): void {
    const keep = this.#keep;
    const made = keep?.etag === undefined ? this.#kept?.etag : undefined;
    const out = [...headers, ...(made === undefined ? [] : ['etag', made]), 'cache-status', cacheStatus];
    // What the function was asked with is not what the client asked with: whether that holds is seen here.
    const validators = { etag: keep?.etag ?? made, lastModified: keep?.lastModified };
    const client = this.#client;
    if (
      client !== undefined &&
      keep !== undefined &&
      this.#status === 200 &&
      notModified(conditionsOf(this.#options.request), validators)
    ) {
      this.#client = undefined;
      client.head(304, only304(out).concat('cache-status', cacheStatus), NOTHING, true);
      if (!end) this.#pace.dropped(body.length);
    } else this.#flow(body.length, end, (to) => to.head(this.#status, out, body, end));
  }

  #flow(bytes: number, end: boolean, send: (client: CallSink) => void): void {
    const client = this.#client;
    if (client === undefined) {
      if (!end) this.#pace.dropped(bytes);
      return;
    }
    if (!end) this.#pace.sending(bytes, this.#isHeld);
    send(client);
  }

  /** What it says was purged, or the route changed, since the function was asked. */
  #isSpoiled(): boolean {
    const { space, request } = this.#options;
    return space.closed || space.project.isPurged(this.#purges, { path: pathOf(request.asked), tags: this.#tags });
  }

  #isKeeping(): boolean {
    return this.#state === 'keeping';
  }

  /** A copy of more of the answer, for the client too: a chunk is a view of what came from the sandbox's socket. */
  #take(chunk: Buffer, end: boolean): Buffer {
    const { space } = this.#options;
    const bytes = this.#bytes + chunk.length;
    if (bytes > space.rules.bodyBytesMax || space.closed || !space.store.hold(space.project, chunk.length)) {
      this.#giveUp(end);
      return chunk;
    }
    this.#bytes = bytes;
    // Not of a pool, a slice of which would keep the rest alive.
    const own = Buffer.allocUnsafeSlow(chunk.length);
    chunk.copy(own);
    if (own.length > 0) this.#chunks.push(own);
    if (end) this.#complete();
    return own;
  }

  #giveUp(end: boolean): void {
    this.#letGo();
    this.#state = end ? 'over' : 'passing';
    this.#settle('go');
    // Nobody is left who wants it.
    if (!end && this.#client === undefined) (this.call ?? this.#options.request.call)?.abandon();
  }

  #complete(): void {
    const { space, request, primary } = this.#options;
    const keep = this.#keep;
    const body = this.#chunks.length === 1 ? this.#chunks[0]! : joined(this.#chunks, this.#bytes);
    this.#letGo();
    this.#state = 'over';
    const heard = { request, primary, status: this.#status, headers: this.#headers, tags: this.#tags, body };
    const holder = space.project;
    if (keep === undefined) {
      this.#settle(entryOf(heard, undefined, { holder, secondary: '', forget: () => {} }, space.now()));
      return;
    }
    const wrongLength = this.#streams && keep.contentLength !== undefined && keep.contentLength !== body.length;
    if (!wrongLength && !this.#isSpoiled()) {
      this.#kept = space.put(request, { primary, vary: keep.vary }, (place) => entryOf(heard, keep, { holder, ...place }, space.now()));
    }
    this.#settle(this.#kept === undefined ? 'go' : 'look');
  }

  /** The function says that what is kept still holds: its time begins anew. */
  #stillGood(old: Entry, news: FlatHeaders, nowMs: number): void {
    const { space, request, primary, authorized } = this.#options;
    this.#state = 'over';
    const headers = updatedHeaders(old.headers, visibleHeaders(news, space.rules));
    const judged = judge(space.rules, { status: old.status, headers }, { authorized, askedAtMs: this.#askedAtMs, nowMs });
    let entry = old;
    if (judged.keep && old.held && !space.closed && isSendable(news)) {
      const made = { primary, vary: judged.vary };
      entry = space.put(request, made, (place) => renewed(old, headers, judged, { holder: space.project, ...place })) ?? old;
    } else space.store.remove(old, 'replaced');
    this.#give(entry, nowMs, 'fwd=stale; fwd-status=304; stored');
  }

  /** The client, and who waits, are answered from what is kept; what the call still says is only taken. */
  #give(entry: Entry, nowMs: number, status: string): void {
    const client = this.#client;
    this.#client = undefined;
    if (client !== undefined) {
      const answer = answerFrom(entry, this.#options.request, { nowMs, status });
      client.head(answer.status, answer.headers, Buffer.isBuffer(answer.body) ? answer.body : NOTHING, true);
    }
    this.#settle(entry);
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
    const { space, full, request } = this.#options;
    if (space.fills.get(full) === this) space.fills.delete(full);
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#waiters.size === 0) return;
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    const mine = typeof outcome === 'string' || this.#vary.length === 0 ? '' : variantOf(request, this.#vary, space.rules);
    for (const waiter of waiters) {
      const same = mine === '' || variantOf(waiter.request, this.#vary, space.rules) === mine;
      waiter.resolve(same ? outcome : 'go');
    }
  }
}

function joined(chunks: readonly Buffer[], bytes: number): Buffer {
  const whole = Buffer.allocUnsafeSlow(bytes);
  let at = 0;
  for (const chunk of chunks) at += chunk.copy(whole, at);
  return whole;
}
