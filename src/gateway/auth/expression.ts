// Authenticators joined by any-of and all-of, with what each use asks for. Compiled once per deployment from `auth` of a route.
// Invariant: synchronous as long as every authenticator is; any-of stops at the first that knows the caller, all-of at the
// first that does not. Of all-of the first is the principal. Used by auth.ts.
import type { GatewayRequest } from '../stage.ts';
import { PENDING } from './authenticator.ts';
import type { Authenticator, Finding, Known, Pending } from './authenticator.ts';
import type { Requirement } from './requirements.ts';

type Settled = Exclude<Finding, Known | Pending>;
/** What was found, or everything that was found in the way. */
export type Outcome = Known | Pending | Settled[];

export interface Expression {
  evaluate(request: GatewayRequest, body: Buffer | undefined): Outcome | Promise<Outcome>;
  readonly leaves: readonly Authenticator[];
}

export class Use implements Expression {
  readonly #authenticator: Authenticator;
  readonly #requirements: Requirement[];
  readonly leaves: readonly Authenticator[];

  constructor(authenticator: Authenticator, requirements: (Requirement | undefined)[]) {
    this.#authenticator = authenticator;
    this.#requirements = requirements.filter((one) => one !== undefined);
    this.leaves = [authenticator];
  }

  evaluate(request: GatewayRequest, body: Buffer | undefined): Outcome | Promise<Outcome> {
    const finding = this.#authenticator.check(request, body);
    return finding instanceof Promise ? finding.then((later) => this.#outcome(later)) : this.#outcome(finding);
  }

  #outcome(finding: Finding): Outcome {
    if (finding.kind === 'pending') return finding;
    if (finding.kind !== 'known') return [finding];
    for (const requirement of this.#requirements) {
      const further = requirement(finding);
      if (further !== finding) return [further as Settled];
    }
    return finding;
  }
}

export class AnyOf implements Expression {
  readonly #branches: readonly Expression[];
  readonly #requirement: Requirement | undefined;
  readonly leaves: readonly Authenticator[];

  constructor(branches: readonly Expression[], requirement: Requirement | undefined) {
    this.#branches = branches;
    this.#requirement = requirement;
    this.leaves = branches.flatMap((branch) => branch.leaves);
  }

  evaluate(request: GatewayRequest, body: Buffer | undefined): Outcome | Promise<Outcome> {
    return this.#from(0, request, body, [], false);
  }

  #from(at: number, request: GatewayRequest, body: Buffer | undefined, refused: Settled[], pending: boolean): Outcome | Promise<Outcome> {
    let waits = pending;
    for (let i = at; i < this.#branches.length; i++) {
      const outcome = this.#branches[i]!.evaluate(request, body);
      if (outcome instanceof Promise) {
        const waited = waits;
        return outcome.then((later) => this.#take(later, refused) ?? this.#from(i + 1, request, body, refused, waited || isPending(later)));
      }
      const known = this.#take(outcome, refused);
      if (known !== undefined) return known;
      waits ||= isPending(outcome);
    }
    return waits ? PENDING : refused;
  }

  #take(outcome: Outcome, refused: Settled[]): Known | undefined {
    if (Array.isArray(outcome)) {
      refused.push(...outcome);
      return undefined;
    }
    if (outcome.kind === 'pending') return undefined;
    const further = this.#requirement?.(outcome) ?? outcome;
    if (further.kind === 'known') return further;
    refused.push(further as Settled);
    return undefined;
  }
}

export class AllOf implements Expression {
  readonly #branches: readonly Expression[];
  readonly #requirement: Requirement | undefined;
  readonly leaves: readonly Authenticator[];

  constructor(branches: readonly Expression[], requirement: Requirement | undefined) {
    this.#branches = branches;
    this.#requirement = requirement;
    this.leaves = branches.flatMap((branch) => branch.leaves);
  }

  evaluate(request: GatewayRequest, body: Buffer | undefined): Outcome | Promise<Outcome> {
    return this.#from(0, request, body, undefined, false);
  }

  #from(
    at: number,
    request: GatewayRequest,
    body: Buffer | undefined,
    first: Known | undefined,
    pending: boolean,
  ): Outcome | Promise<Outcome> {
    let [principal, waits] = [first, pending];
    for (let i = at; i < this.#branches.length; i++) {
      const outcome = this.#branches[i]!.evaluate(request, body);
      if (outcome instanceof Promise) {
        const [known, waited] = [principal, waits];
        return outcome.then((later) => {
          if (Array.isArray(later)) return later;
          if (later.kind === 'pending') return this.#from(i + 1, request, body, known, true);
          return this.#from(i + 1, request, body, known ?? later, waited);
        });
      }
      if (Array.isArray(outcome)) return outcome;
      if (outcome.kind === 'pending') waits = true;
      else principal ??= outcome;
    }
    if (waits || principal === undefined) return PENDING;
    const further = this.#requirement?.(principal) ?? principal;
    return further.kind === 'known' ? further : [further as Settled];
  }
}

function isPending(outcome: Outcome): boolean {
  return !Array.isArray(outcome) && outcome.kind === 'pending';
}
