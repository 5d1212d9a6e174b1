// `auth` of a route as a stage: finds out who calls and whether that is enough. Before the body where it can be; a webhook's
// signature is over the body, so such a route reads it whole. Invariant: a request passes only with a principal that the route's
// expression accepted; whatever goes wrong on the way refuses it. What is remembered of callers lives in AuthServices.
import { VirgaError } from '../../protocol/errors.ts';
import { NO_AUTH_WORD } from '../../protocol/auth-words.ts';
import type { Auth, AuthBranch } from '../../protocol/policies/auth.ts';
import type { Authenticator as AuthenticatorRules } from '../../protocol/policies/authenticators.ts';
import type { Feature, GatewayRequest, RouteSource, Stage, Verdict } from '../stage.ts';
import { refusalOf } from './authenticator.ts';
import type { Authenticator } from './authenticator.ts';
import { FunctionAuthenticator } from './authorizer/authorizer.ts';
import { CertificateAuthenticator } from './certificate/certificate.ts';
import { AllOf, AnyOf, Use } from './expression.ts';
import type { Expression, Outcome } from './expression.ts';
import { JwtAuthenticator } from './jwt/jwt.ts';
import { KeyAuthenticator } from './keys.ts';
import { requirementOf } from './requirements.ts';
import type { AuthServices } from './services.ts';
import { WebhookAuthenticator } from './webhook/webhook.ts';

export class AuthFeature implements Feature {
  readonly #services: AuthServices;

  constructor(services: AuthServices) {
    this.#services = services;
  }

  compile(source: RouteSource): Stage | undefined {
    const { auth } = source.policy;
    if (auth === undefined || auth === NO_AUTH_WORD) return undefined;
    const expression = this.#expression(auth, source);
    const readers = expression.leaves.flatMap(({ bodyBytesMax }) => bodyBytesMax ?? []);
    const forgetful = expression.leaves.filter((leaf) => leaf.forget !== undefined);
    if (readers.length === 0) return new AuthStage(expression, source.project);
    return new BodyAuthStage(expression, source.project, { bodyBytesMax: Math.max(...readers), forgetful });
  }

  compiled(projects: { all: ReadonlySet<string>; anew: ReadonlySet<string> }): void {
    this.#services.node.asking.compiled(projects);
  }

  #expression(auth: Auth | AuthBranch, source: RouteSource): Expression {
    if (typeof auth === 'string') return this.#named(auth, source);
    const requirement = requirementOf(auth);
    const { use, any, all } = auth as { use?: string; any?: AuthBranch[]; all?: AuthBranch[] };
    const joined = (branches: AuthBranch[]): Expression[] => branches.map((one) => this.#expression(one, source));
    if (use !== undefined) return this.#named(use, source, requirement);
    if (any !== undefined) return new AnyOf(joined(any), requirement);
    if (all !== undefined) return new AllOf(joined(all), requirement);
    return this.#use(auth as AuthenticatorRules, source, requirement);
  }

  #named(name: string, source: RouteSource, requirement?: ReturnType<typeof requirementOf>): Expression {
    const rules = source.gateway.auth !== undefined && Object.hasOwn(source.gateway.auth, name) ? source.gateway.auth[name] : undefined;
    // A deployment that names what is not there is refused by the control role; one that came otherwise lets nobody in.
    if (rules === undefined) return new Use(failing(`gateway.auth has no authenticator '${name}'`), []);
    return this.#use(rules, source, requirement);
  }

  #use(rules: AuthenticatorRules, source: RouteSource, requirement: ReturnType<typeof requirementOf>): Expression {
    const { certificate, keys, jwt, webhook, authorizer } = rules;
    const { project } = source;
    const services = this.#services;
    if (certificate !== undefined) {
      services.node.asking.add(project);
      return new Use(new CertificateAuthenticator(certificate, services.node.now), [requirement]);
    }
    if (keys !== undefined) return new Use(new KeyAuthenticator(keys, project, services), [requirement]);
    if (jwt !== undefined) return new Use(new JwtAuthenticator(jwt, project, services), [requirementOf(jwt), requirement]);
    if (webhook !== undefined) return new Use(new WebhookAuthenticator(webhook, project, services), [requirement]);
    if (authorizer !== undefined) return new Use(new FunctionAuthenticator(authorizer, source, services), [requirement]);
    return new Use(failing('an authenticator of a kind that this node does not know'), []);
  }
}

class AuthStage implements Stage {
  readonly #expression: Expression;
  readonly #realm: string;

  constructor(expression: Expression, realm: string) {
    this.#expression = expression;
    this.#realm = realm;
  }

  onHead(request: GatewayRequest): Verdict | Promise<Verdict> {
    return this.evaluate(request, undefined);
  }

  protected evaluate(request: GatewayRequest, body: Buffer | undefined): Verdict | Promise<Verdict> {
    const outcome = this.#expression.evaluate(request, body);
    return outcome instanceof Promise
      ? outcome.then((later) => this.#verdict(request, later, body))
      : this.#verdict(request, outcome, body);
  }

  #verdict(request: GatewayRequest, outcome: Outcome, body: Buffer | undefined): Verdict {
    if (Array.isArray(outcome)) return refusalOf(outcome, this.#realm);
    if (outcome.kind === 'known') {
      request.principal = outcome.principal;
      return undefined;
    }
    if (body === undefined && this instanceof BodyAuthStage) return undefined;
    return { error: new VirgaError('internal', 'it could not be found out who calls') };
  }
}

class BodyAuthStage extends AuthStage {
  readonly bodyBytesMax: number;
  readonly #forgetful: readonly Authenticator[];

  constructor(expression: Expression, realm: string, options: { bodyBytesMax: number; forgetful: readonly Authenticator[] }) {
    super(expression, realm);
    this.bodyBytesMax = options.bodyBytesMax;
    this.#forgetful = options.forgetful;
  }

  onBody(request: GatewayRequest, body: Buffer): Verdict | Promise<Verdict> {
    return request.principal === undefined ? this.evaluate(request, body) : undefined;
  }

  onAnswer(request: GatewayRequest, status: number): void {
    // What was refused after all, or failed, may come again as it is.
    if (status >= 500 || request.principal === undefined) for (const one of this.#forgetful) one.forget!(request);
  }
}

function failing(message: string): Authenticator {
  return { check: () => ({ kind: 'failed', error: new VirgaError('internal', message) }) };
}
