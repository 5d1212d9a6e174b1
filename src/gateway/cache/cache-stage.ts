// The cache of one route, as a stage: the last before the function. What is kept and good is answered at once, without a promise;
// what is being fetched is waited for; else the request goes on, and fill.ts stands around its call.
// Invariant: GET and HEAD alone are answered from here, and a request that could make the function answer others wrongly (a body,
// another protocol) neither finds nor leaves anything. Made by cache.ts for each deployment.
import type { CallSink } from '../../functions/call.ts';
import { VirgaError } from '../../protocol/errors.ts';
import type { FlatHeaders } from '../../protocol/frames.ts';
import { dropHeaders } from '../flat-headers.ts';
import type { GatewayRequest, LocalAnswer, Stage, StageSink, Verdict } from '../stage.ts';
import { parseCacheControl } from './cache-control.ts';
import type { Directives } from './cache-control.ts';
import { Fill } from './fill.ts';
import { answerFrom } from './kept-answer.ts';
import { dropClaims, keyOf, pathOf } from './key.ts';
import type { Filling, Outcome, RouteSpace, Waiter } from './space.ts';
import type { CacheStore, Entry } from './store.ts';

/** Of a request that was not answered at once. */
interface Visit {
  ended: boolean;
  fill?: Fill;
  waiting?: { fill: Filling; waiter: Waiter };
  /** RFC 9211: the cache had no say. */
  bypass?: string;
}

/** How often a request waits for calls of others before it makes its own. */
const WAITS_MAX = 2;
export const SAFE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE']);
const CONDITIONS = new Set(['if-none-match', 'if-modified-since', 'if-range']);

export class CacheStage implements Stage {
  readonly #space: RouteSpace;
  readonly #visits = new WeakMap<GatewayRequest, Visit>();

  constructor(space: RouteSpace) {
    this.#space = space;
  }

  onHead(request: GatewayRequest): Verdict | Promise<Verdict> {
    const { method, incoming } = request;
    if (method !== 'GET' && method !== 'HEAD') return undefined;
    const { headers } = incoming;
    // Whoever asks for another protocol gets no answer that could be kept, and the function all that it was sent.
    if (headers.upgrade !== undefined) return undefined;
    const { rules } = this.#space;
    const primary = keyOf(request, rules);
    if (hasBody(headers) || (headers['if-match'] ?? headers['if-unmodified-since']) !== undefined) return this.#bypass(request, 'bypass');
    return this.#look(request, primary, 0);
  }

  around(request: GatewayRequest, sink: CallSink): StageSink {
    const fill = this.#visits.get(request)?.fill;
    if (fill === undefined) return sink;
    fill.client = sink;
    return fill;
  }

  onAnswer(request: GatewayRequest, status: number, headers: FlatHeaders): void {
    dropChanged(this.#space.store, request, status);
    const bypass = this.#visits.get(request)?.bypass;
    if (bypass !== undefined) headers.push('cache-status', `virga; fwd=${bypass}`);
  }

  onEnd(request: GatewayRequest): void {
    const visit = this.#visits.get(request);
    if (visit === undefined) return;
    visit.ended = true;
    if (visit.waiting !== undefined) visit.waiting.fill.stopWaiting(visit.waiting.waiter);
    // With a call, its sink hears what becomes of it.
    if (request.call === undefined) visit.fill?.dropped();
  }

  #look(request: GatewayRequest, primary: string, waits: number): Verdict | Promise<Verdict> {
    const space = this.#space;
    const { rules, project } = space;
    const nowMs = space.now();
    const { entry, full, others } = space.find(request, primary);
    const authorized = !rules.public && request.principal === undefined && request.incoming.headers.authorization !== undefined;
    const client = rules.respectClient ? clientDirectives(request) : undefined;
    const usable = entry !== undefined && (!authorized || entry.forAuthorized) ? entry : undefined;
    if (usable !== undefined && (client === undefined || accepts(client, usable, nowMs))) {
      if (nowMs < usable.freshUntilMs) return this.#hit(request, usable, nowMs, waits > 0);
      if (nowMs < usable.staleWhileUntilMs && client === undefined) {
        this.#refreshBehind(request, primary, { full, old: usable, authorized });
        return this.#hit(request, usable, nowMs, false);
      }
    }
    if (client?.onlyIfCached === true) {
      const error = new VirgaError('not_cached', 'nothing good is kept for this request, which asks for nothing else (only-if-cached)');
      return { error, headers: ['cache-status', 'virga; fwd=miss'] };
    }
    const forward = client?.noCache === true ? 'request' : entry !== undefined ? 'stale' : others ? 'vary-miss' : 'uri-miss';
    // A part, or the head alone, says nothing of the rest.
    if (request.method === 'HEAD' || request.incoming.headers.range !== undefined || client?.noStore === true)
      return this.#bypass(request, forward);
    const unkept = space.isUnkept(full);
    const alone = authorized || unkept || rules.coalesce === 'none' || client?.noCache === true;
    const fill = alone ? undefined : space.fills.get(full);
    if (fill?.takesWaiters === true && waits < WAITS_MAX) return this.#wait(request, primary, { fill, waits });
    project.counts.misses++;
    this.#fetch(request, primary, { full, old: usable, forward, authorized, registered: !alone && fill === undefined, asIs: unkept });
    return undefined;
  }

  #hit(request: GatewayRequest, entry: Entry, nowMs: number, collapsed: boolean): LocalAnswer {
    const { counts } = this.#space.project;
    counts.hits++;
    if (nowMs >= entry.freshUntilMs) counts.stale++;
    if (collapsed) counts.coalesced++;
    const ttl = Math.floor((entry.freshUntilMs - nowMs) / 1_000);
    return answerFrom(entry, request, { nowMs, status: collapsed ? `hit; ttl=${ttl}; collapsed` : `hit; ttl=${ttl}` });
  }

  #wait(request: GatewayRequest, primary: string, { fill, waits }: { fill: Filling; waits: number }): Promise<Verdict> {
    const { promise, resolve } = Promise.withResolvers<Outcome>();
    const visit = this.#visit(request);
    const waiter: Waiter = { request, resolve };
    visit.waiting = { fill, waiter };
    fill.wait(waiter);
    return promise.then((outcome) => {
      delete visit.waiting;
      if (visit.ended) return undefined;
      if (typeof outcome === 'string') return this.#look(request, primary, outcome === 'look' ? waits + 1 : WAITS_MAX);
      return this.#hit(request, outcome, this.#space.now(), true);
    });
  }

  #fetch(
    request: GatewayRequest,
    primary: string,
    asked: { full: string; old: Entry | undefined; forward: string; authorized: boolean; registered: boolean; asIs: boolean },
  ): void {
    dropClaims(request);
    if (!asked.asIs) conditionsFor(request.headers, asked.old);
    const fill = new Fill({ ...asked, space: this.#space, request, primary, background: false });
    if (asked.registered) this.#space.fills.set(asked.full, fill);
    this.#visit(request).fill = fill;
  }

  /** The client has its answer; what is kept is brought up to date for the next. */
  #refreshBehind(request: GatewayRequest, primary: string, asked: { full: string; old: Entry; authorized: boolean }): void {
    const { fills } = this.#space;
    if (fills.has(asked.full)) return;
    dropClaims(request);
    conditionsFor(request.headers, asked.old);
    dropHeaders(request.headers, RANGE);
    const fill = new Fill({ ...asked, space: this.#space, request, primary, forward: 'stale', background: true });
    fills.set(asked.full, fill);
    const call = request.callBehind(fill);
    if (call instanceof VirgaError) fill.failed(call, false);
    else fill.call = call;
  }

  #bypass(request: GatewayRequest, why: string): undefined {
    dropClaims(request);
    this.#space.project.counts[why === 'bypass' ? 'bypassed' : 'misses']++;
    this.#visit(request).bypass = why;
    return undefined;
  }

  #visit(request: GatewayRequest): Visit {
    let visit = this.#visits.get(request);
    if (visit === undefined) this.#visits.set(request, (visit = { ended: false }));
    return visit;
  }
}

/** RFC 9111, section 4.4: what a request changed is not what was kept of it. */
export function dropChanged(store: CacheStore, request: GatewayRequest, status: number): void {
  if (status >= 200 && status < 400 && !SAFE.has(request.method)) store.purge(request.project, { at: pathOf(request.asked) });
}

const RANGE = new Set(['range']);

/** What the function is asked with: whether what is kept still holds, instead of what the client has. */
function conditionsFor(headers: FlatHeaders, old: Entry | undefined): void {
  dropHeaders(headers, CONDITIONS);
  if (old?.canValidate !== true) return;
  if (old.etag !== undefined) headers.push('if-none-match', old.etag);
  if (old.lastModified !== undefined) headers.push('if-modified-since', old.lastModified);
}

function hasBody(headers: GatewayRequest['incoming']['headers']): boolean {
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] !== undefined && headers['content-length'] !== '0');
}

function clientDirectives(request: GatewayRequest): Directives {
  const control = request.header('cache-control');
  // RFC 9111, section 5.4: the old way to say so.
  return parseCacheControl(control ?? (request.header('pragma')?.toLowerCase().includes('no-cache') === true ? 'no-cache' : ''));
}

function accepts({ noCache, maxAge, minFresh }: Directives, entry: Entry, nowMs: number): boolean {
  if (noCache) return false;
  if (maxAge !== undefined && nowMs - entry.bornMs > maxAge * 1_000) return false;
  return minFresh === undefined || entry.freshUntilMs - nowMs >= minFresh * 1_000;
}
