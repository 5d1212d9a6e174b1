// Limits of a route: token buckets, the quota of a usage plan, requests under way at once. One stage for all of them, since
// a request has to pass all, and one that is refused uses none of them up.
// Invariant: what is counted belongs to the feature and outlives deployments that do not change the rule; the fields RateLimit
// and RateLimit-Policy are on every answer of such a route, whoever gives it. After `auth`, since a principal may be counted.
import { rateOf } from '../../lib/units.ts';
import { VirgaError } from '../../protocol/errors.ts';
import type { FlatHeaders } from '../../protocol/frames.ts';
import type { PlanRules } from '../../protocol/policies/plans.ts';
import type { PlanThrottle, ThrottleRule } from '../../protocol/policies/throttle.ts';
import type { Feature, GatewayRequest, Refusal, RouteSource, Stage } from '../stage.ts';
import { Buckets, rateFrom } from './buckets.ts';
import type { Bucket, BucketSet } from './buckets.ts';
import { addressKey, bounded, subjectOf } from './client-key.ts';
import type { Period, Quotas } from './quotas.ts';
import { addItem, limitItem, policyItem } from './rate-limit-fields.ts';

export interface ThrottleNeeds {
  quotas: Quotas;
  bucketsMax: number;
  /** Monotonic, ms. */
  nowMs?: () => number;
}

export class ThrottleFeature implements Feature {
  readonly #needs: ThrottleNeeds;
  readonly #buckets: Buckets;
  readonly #underWay = new Map<string, UnderWay>();

  constructor(needs: ThrottleNeeds) {
    this.#needs = needs;
    this.#buckets = new Buckets(needs.bucketsMax);
  }

  compile({ project, route, policy, gateway }: RouteSource): Stage | undefined {
    const { throttle, concurrency, plan } = policy;
    const plans = Object.entries(gateway.plans ?? {});
    const rules = throttle === undefined || throttle === false ? [] : [throttle].flat();
    if (rules.length === 0 && !concurrency && plans.length === 0) return undefined;
    const routeId = `${project} ${route.methods?.join(',') ?? '*'} ${route.path} ${JSON.stringify(route.conditions ?? {})}`;
    const names = namesOf(rules);
    const nowMs = this.#needs.nowMs ?? (() => performance.now());
    return new ThrottleStage({
      project,
      nowMs,
      quotas: this.#needs.quotas,
      limits: rules.map((rule, index) => {
        const { by = 'ip' } = rule;
        const owner = by === 'project' ? project : routeId;
        return new Limit(this.#set(`${owner} ${by}`, rule), { text: textOf(rule, by), name: names[index]!, keyOf: keyBy(by) });
      }),
      plans: new Map(plans.map(([name, rule]) => [name, this.#plan(project, name, rule)])),
      routePlan: plan,
      slots: concurrency ? new Slots(this.#underWay, { id: routeId, max: concurrency, route: route.path }) : undefined,
    });
  }

  /** Rules that were changed begin anew: an hour's penance under the old one must not go on under the new one. */
  #set(owner: string, { rate, burst }: PlanThrottle): BucketSet {
    return this.#buckets.set(`${owner} ${rate} ${burst ?? ''}`, rateFrom(rateOf(rate)!, burst));
  }

  #plan(project: string, name: string, { quota, throttle }: PlanRules): Plan {
    if (throttle === undefined) return { name, quota, limit: undefined };
    const text = `${throttle.rate} of the plan '${name}'`;
    return { name, quota, limit: new Limit(this.#set(`${project} plan ${name}`, throttle), { text, name: 'plan', keyOf: subjectOf }) };
  }
}

interface Plan {
  name: string;
  quota: PlanRules['quota'];
  limit: Limit | undefined;
}

/** One rule of one route: which bucket is a request's, and what is said of it. */
class Limit {
  readonly set: BucketSet;
  readonly name: string;
  readonly text: string;
  readonly policy: string;
  readonly keyOf: (request: GatewayRequest) => string;
  /** Of the request at hand: what #from begins, it ends before another request comes. */
  bucket: Bucket | undefined;

  constructor(set: BucketSet, { text, name, keyOf }: { text: string; name: string; keyOf: (request: GatewayRequest) => string }) {
    this.set = set;
    this.text = text;
    this.name = name;
    this.keyOf = keyOf;
    const { everyMs, burst } = set.rate;
    this.policy = policyItem(name, { quota: burst, windowS: Math.max(1, Math.ceil((everyMs * burst) / 1_000)) });
  }
}

interface StageParts {
  project: string;
  limits: Limit[];
  plans: Map<string, Plan>;
  routePlan: string | undefined;
  quotas: Quotas;
  slots: Slots | undefined;
  nowMs: () => number;
}

class ThrottleStage implements Stage {
  readonly #parts: StageParts;

  constructor(parts: StageParts) {
    this.#parts = parts;
    // Without a bound on what is under way nobody has to follow a request to its end.
    if (parts.slots === undefined) Object.defineProperty(this, 'onEnd', { value: undefined });
  }

  onHead(request: GatewayRequest): Refusal | undefined {
    const { project, limits, quotas, slots, nowMs } = this.#parts;
    const now = nowMs();
    const plan = this.#planOf(request);
    if (slots?.full === true) return slots.refusal();
    let worst: Limit | undefined;
    let waitMs = 0;
    for (let i = 0; i <= limits.length; i++) {
      const limit = i < limits.length ? limits[i]! : plan?.limit;
      if (limit === undefined) continue;
      limit.bucket = limit.set.take(limit.keyOf(request), now);
      const wait = limit.set.waitMs(limit.bucket, now);
      if (wait <= waitMs) continue;
      worst = limit;
      waitMs = wait;
    }
    if (worst !== undefined) return limited(worst, request.route, waitMs);
    if (plan?.quota !== undefined) {
      const period = quotas.period(plan.quota.per);
      const subject = subjectOf(request);
      if (quotas.used(project, subject, period) >= plan.quota.limit) return exceeded(plan, quotas.restMs(period));
      quotas.spend(project, subject, { period, plan: plan.name });
    }
    for (const { set, bucket } of limits) set.spend(bucket!, now);
    if (plan?.limit !== undefined) plan.limit.set.spend(plan.limit.bucket!, now);
    slots?.take(request);
    return undefined;
  }

  onAnswer(request: GatewayRequest, _status: number, headers: FlatHeaders): void {
    const { project, limits, quotas, slots, nowMs } = this.#parts;
    const now = nowMs();
    const plan = this.#planOf(request);
    let policies = '';
    let left = '';
    const say = (policy: string, item: string): void => {
      policies = policies === '' ? policy : `${policies}, ${policy}`;
      left = left === '' ? item : `${left}, ${item}`;
    };
    for (let i = 0; i <= limits.length; i++) {
      const limit = i < limits.length ? limits[i]! : plan?.limit;
      if (limit === undefined) continue;
      const { set, name, policy } = limit;
      const key = limit.keyOf(request);
      say(policy, limitItem(name, set.left(key, now), set.moreInMs(key, now)));
    }
    if (plan?.quota !== undefined) {
      const period = quotas.period(plan.quota.per);
      const unused = Math.max(0, plan.quota.limit - quotas.used(project, subjectOf(request), period));
      say(quotaPolicy(plan.quota.limit, period), limitItem('quota', unused, quotas.restMs(period)));
    }
    if (slots !== undefined) say(slots.policy, limitItem('concurrency', slots.left, 0));
    if (policies === '') return;
    addItem(headers, 'ratelimit-policy', policies);
    addItem(headers, 'ratelimit', left);
  }

  onEnd(request: GatewayRequest): void {
    this.#parts.slots!.leave(request);
  }

  /** A principal whose plan is not in virga.yaml (any more) is held to the route's. */
  #planOf({ principal }: GatewayRequest): Plan | undefined {
    const { plans, routePlan } = this.#parts;
    if (plans.size === 0) return undefined;
    const own = principal?.plan === undefined ? undefined : plans.get(principal.plan);
    return own ?? (routePlan === undefined ? undefined : plans.get(routePlan));
  }
}

interface UnderWay {
  requests: Set<GatewayRequest>;
}

/** How many requests of a route are under way; those of the deployment before count too. */
class Slots {
  readonly #all: Map<string, UnderWay>;
  readonly #id: string;
  readonly #max: number;
  readonly #route: string;
  readonly policy: string;
  #mine: UnderWay;

  constructor(all: Map<string, UnderWay>, { id, max, route }: { id: string; max: number; route: string }) {
    this.#all = all;
    this.#id = id;
    this.#max = max;
    this.#route = route;
    this.#mine = all.get(id) ?? { requests: new Set() };
    this.policy = policyItem('concurrency', { quota: max, unit: 'concurrent-requests' });
  }

  get full(): boolean {
    return this.#mine.requests.size >= this.#max;
  }

  get left(): number {
    return Math.max(0, this.#max - this.#mine.requests.size);
  }

  take(request: GatewayRequest): void {
    // Only routes with something under way are remembered: one that is gone leaves nothing behind.
    if (this.#mine.requests.size === 0) {
      this.#mine = this.#all.get(this.#id) ?? this.#mine;
      this.#all.set(this.#id, this.#mine);
    }
    this.#mine.requests.add(request);
  }

  /** Also called for those that were refused. */
  leave(request: GatewayRequest): void {
    const { requests } = this.#mine;
    if (requests.delete(request) && requests.size === 0 && this.#all.get(this.#id) === this.#mine) this.#all.delete(this.#id);
  }

  refusal(): Refusal {
    const message = `${this.#max} requests of ${this.#route} are under way, as many as its \`concurrency\` allows`;
    return { error: new VirgaError('rate_limited', message, { detail: { policies: ['concurrency'] }, retryAfterS: 1 }) };
  }
}

function limited({ text, name }: Limit, route: string, waitMs: number): Refusal {
  const message = `the limit of ${text} for ${route} is used up`;
  return { error: new VirgaError('rate_limited', message, { detail: { policies: [name] }, retryAfterS: Math.ceil(waitMs / 1_000) }) };
}

function exceeded({ name, quota }: Plan, restMs: number): Refusal {
  const message = `the ${quota!.limit} requests a ${quota!.per} of the plan '${name}' are used up`;
  return {
    error: new VirgaError('quota_exceeded', message, {
      detail: { policies: ['quota'] },
      retryAfterS: Math.max(1, Math.ceil(restMs / 1_000)),
    }),
  };
}

function quotaPolicy(limit: number, { beginsMs, endsMs }: Period): string {
  return policyItem('quota', { quota: limit, windowS: (endsMs - beginsMs) / 1_000 });
}

function textOf({ rate, burst }: ThrottleRule, by: string): string {
  return `${rate}${burst === undefined ? '' : ` (burst ${burst})`} by ${by.replace(/^header:/, 'header ')}`;
}

/** `ip`, `x-tenant`; of two that count alike the second is `ip-2`. */
function namesOf(rules: ThrottleRule[]): string[] {
  const seen = new Map<string, number>();
  return rules.map(({ by = 'ip' }) => {
    const name = by.replace(/^header:/, '');
    const count = (seen.get(name) ?? 0) + 1;
    seen.set(name, count);
    return count === 1 ? name : `${name}-${count}`;
  });
}

function keyBy(by: NonNullable<ThrottleRule['by']>): (request: GatewayRequest) => string {
  if (by === 'route' || by === 'project') return () => '';
  if (by === 'ip') return ({ client }) => addressKey(client);
  if (by === 'principal') return subjectOf;
  if (by === 'key') return (request) => (request.principal?.kind === 'key' ? subjectOf(request) : addressKey(request.client));
  const name = by.slice('header:'.length);
  return (request) => {
    const value = request.header(name);
    return value === undefined ? addressKey(request.client) : bounded(`=${value}`);
  };
}
