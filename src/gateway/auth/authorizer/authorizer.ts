// A function of the project decides who may call. Its answers are kept by what identifies the caller, and one call serves all
// who wait for the same answer. Invariant: without the identity there is no call and a 401; a function that fails, or whose answer
// cannot be read, is a failure of the gateway's (5xx) and never a refusal, and is not kept. Used by auth.ts.
import { hash } from 'node:crypto';
import { newId } from '../../../lib/ids.ts';
import { continueTrace } from '../../../lib/traceparent.ts';
import { durationMs } from '../../../lib/units.ts';
import { VirgaError } from '../../../protocol/errors.ts';
import type { AuthorizerRules } from '../../../protocol/policies/authenticators.ts';
import { CollectedAnswer } from '../../collected-answer.ts';
import type { GatewayRequest, RouteSource } from '../../stage.ts';
import type { Authenticator, ChallengeScheme, Failed, Finding } from '../authenticator.ts';
import { readerOf, schemeOf } from '../places.ts';
import type { AuthServices } from '../services.ts';
import { readAnswer } from './answer.ts';
import type { AuthorizerAnswer } from './answer.ts';
import { arnOf, eventOf } from './event.ts';
import type { Identity } from './event.ts';

const CACHE_MS = 300_000;
const ANSWER_BYTES_MAX = 256 * 1024;
const IDENTITY = ['header:authorization'];

export class FunctionAuthenticator implements Authenticator {
  readonly #rules: AuthorizerRules;
  readonly #project: string;
  readonly #services: AuthServices;
  readonly #places: { place: string; read: (request: GatewayRequest) => string | undefined }[];
  readonly #headers: string[];
  readonly #cacheMs: number;
  readonly #scheme: ChallengeScheme;
  /** What of the route its answers are kept for. */
  readonly #scope: string;

  constructor(rules: AuthorizerRules, { project, route }: RouteSource, services: AuthServices) {
    const identity = rules.identity ?? IDENTITY;
    this.#rules = rules;
    this.#project = project;
    this.#services = services;
    this.#places = identity.map((place) => ({ place, read: readerOf(place) }));
    this.#headers = [...new Set((rules.headers ?? []).map((name) => name.toLowerCase()))];
    this.#cacheMs = durationMs(rules.cache ?? '') ?? CACHE_MS;
    this.#scheme = schemeOf(identity, 'Credentials');
    this.#scope = rules.keptFor === 'project' ? '' : route.path;
  }

  check(request: GatewayRequest): Finding | Promise<Finding> {
    const identity: Identity[] = [];
    for (const { place, read } of this.#places) {
      const value = read(request);
      if (value === undefined) return { kind: 'unknown', scheme: this.#scheme };
      identity.push({ place, value });
    }
    const version = this.#services.node.versionOf(this.#project, this.#rules.function);
    if (version === undefined) return failed(`the authorizer's function '${this.#rules.function}' is not deployed`);
    const parts = [this.#project, version.function, version.version, this.#scope, this.#scope === '' ? '' : request.method];
    const values = [...identity.map(({ value }) => value), ...this.#headers.map((name) => request.header(name) ?? null)];
    const key = hash('sha256', JSON.stringify([...parts, this.#places.map(({ place }) => place), this.#headers, values]), 'base64url');
    const kept = this.#services.answers.get(key);
    if (kept !== undefined && kept.until > this.#services.node.now()) return this.#finding(kept.answer, request);
    return this.#ask(key, request, identity).then((answer) => ('kind' in answer ? answer : this.#finding(answer, request)));
  }

  #finding(answer: AuthorizerAnswer, request: GatewayRequest): Finding {
    if (answer.allows(arnOf(request))) return { kind: 'known', principal: answer.principal, scheme: this.#scheme };
    if (answer.unknown) return { kind: 'unknown', scheme: this.#scheme, reason: 'the caller is not known' };
    return { kind: 'forbidden', scheme: this.#scheme, reason: 'the caller may not do this' };
  }

  /** Where answers are kept, those who come while it is asked wait for the same one. */
  #ask(key: string, request: GatewayRequest, identity: readonly Identity[]): Promise<AuthorizerAnswer | Finding> {
    const { asking, answers, node } = this.#services;
    if (this.#cacheMs === 0) return this.#invoke(request, identity, key);
    let asked = asking.get(key);
    if (asked === undefined) {
      asked = this.#invoke(request, identity, key)
        .then((answer) => {
          const forMs = 'kind' in answer ? 0 : Math.min(this.#cacheMs, answer.ttlMs ?? Infinity);
          if (!('kind' in answer) && forMs > 0) answers.set(key, { answer, until: node.now() + forMs });
          return answer;
        })
        .finally(() => asking.delete(key));
      asking.set(key, asked);
    }
    return asked;
  }

  async #invoke(request: GatewayRequest, identity: readonly Identity[], key: string): Promise<AuthorizerAnswer | Finding> {
    const { node } = this.#services;
    const version = node.versionOf(this.#project, this.#rules.function)!;
    const payload = Buffer.from(JSON.stringify(eventOf(request, identity, this.#headers)));
    const trace = continueTrace(request.header('traceparent'));
    const sink = new CollectedAnswer({ payload, bytesMax: ANSWER_BYTES_MAX });
    const call = node.engine.invoke({
      version,
      meta: { kind: 'event', id: newId('inv'), trace: trace.traceparent, trigger: 'authorizer', contentType: 'application/json' },
      traceId: trace.traceId,
      body: undefined,
      bodyEnds: false,
      heldBytes: payload.length,
      trigger: 'authorizer',
      requestLine: null,
      sink,
    });
    if (call instanceof VirgaError) return { kind: 'failed', error: call };
    sink.call = call;
    await sink.done;
    const { function: fn } = version;
    if (sink.error !== undefined) {
      // How code of AWS Lambda says 401.
      if (sink.error.code === 'function_error' && sink.error.cause === 'Error: Unauthorized')
        return { kind: 'unknown', scheme: this.#scheme, reason: 'the caller is not known' };
      return failed(`the authorizer's function '${fn}' failed: ${sink.error.code}; \`virga logs ${fn}\` tells more`);
    }
    let answer: unknown;
    try {
      answer = JSON.parse(sink.bytes.toString('utf8'));
    } catch {
      return failed(`the authorizer's function '${fn}' answered with something that is not JSON`);
    }
    const read = readAnswer(answer, `unnamed-${key.slice(0, 12)}`);
    return typeof read === 'string' ? failed(`the answer of the authorizer's function '${fn}' cannot be read: ${read}`) : read;
  }
}

function failed(message: string): Failed {
  return { kind: 'failed', error: new VirgaError('authorizer_failed', message) };
}
