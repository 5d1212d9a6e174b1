// Holds requests to the schemas of their route before the function is called, and answers to theirs (responses.ts). Invariants: all that
// is wrong is told in one answer, at most PROBLEMS_MAX things; the function gets the bytes that came; and schemas are compiled when
// the first request asks for them, so that a deployment costs the edge nothing, however many schemas it brings.
import { compileSchema } from '../../lib/json-schema/compile.ts';
import type { CompiledSchema, Limits } from '../../lib/json-schema/compile.ts';
import { sizeBytes } from '../../lib/units.ts';
import { bodyRules, isJsonType } from '../../protocol/body-rules.ts';
import type { BodyRules } from '../../protocol/body-rules.ts';
import type { ValidateRules } from '../../protocol/policies/validate.ts';
import type { Feature, GatewayRequest, RouteSource, Stage, Verdict } from '../stage.ts';
import { readJson } from './json-body.ts';
import { ParameterCheck } from './parameters.ts';
import type { Location, RequestProblem } from './parameters.ts';
import { problemAnswer } from './problem-answer.ts';
import { checkedAnswers } from './responses.ts';
import type { ResponseOptions } from './responses.ts';

export interface ValidateOptions {
  /** Answers are held to their schemas on every route that has some. */
  checkResponses: boolean;
  /** Largest body that is held in memory for a check, whatever the route says. */
  bodyBytesMax: number;
  /** Steps of one check. */
  stepsMax: number;
  log: ResponseOptions['log'];
}

const PROBLEMS_MAX = 100;
const BODY_BYTES = 1_048_576;
const DEPTH = 32;
/** A body in these means nothing; who has a schema for the route's other methods does not ask for one here. */
const BODILESS = new Set(['GET', 'HEAD', 'OPTIONS']);

export class ValidateFeature implements Feature {
  readonly #options: ValidateOptions;

  constructor(options: ValidateOptions) {
    this.#options = options;
  }

  compile({ project, route, policy: { validate } }: RouteSource): Stage | undefined {
    if (validate === undefined || validate === false) return undefined;
    const { checkResponses, bodyBytesMax, stepsMax, log } = this.#options;
    const limits = { problemsMax: PROBLEMS_MAX, stepsMax };
    const checks = new RequestChecks(validate, limits);
    const { response, validateResponses = checkResponses } = validate;
    const depthMax = validate.maxDepth ?? DEPTH;
    const answers =
      response === undefined || !validateResponses ? undefined : { schemas: response, limits, depthMax, log, project, route: route.path };
    const wholeBody = validate.body !== undefined || validate.maxBody !== undefined;
    if (!wholeBody && !checks.some && answers === undefined) return undefined;
    return {
      ...(wholeBody || checks.some
        ? { onHead: wholeBody ? (request) => checks.typeVerdict(request) : (request) => checks.headVerdict(request) }
        : {}),
      ...(wholeBody
        ? {
            bodyBytesMax: Math.min(bodyBytesMax, sizeBytes(validate.maxBody ?? '') ?? BODY_BYTES),
            onBody: (request: GatewayRequest, bytes: Buffer) => checks.bodyVerdict(request, bytes),
          }
        : {}),
      ...(answers === undefined ? {} : { around: checkedAnswers(answers) }),
    };
  }
}

class RequestChecks {
  readonly #rules: ValidateRules;
  readonly #limits: Limits;
  readonly #body: BodyRules | undefined;
  readonly #depthMax: number;
  #parameters: Record<Location, ParameterCheck[]> | undefined;
  #schema: CompiledSchema | undefined;

  constructor(rules: ValidateRules, limits: Limits) {
    this.#rules = rules;
    this.#limits = limits;
    this.#body = rules.body === undefined ? undefined : bodyRules(rules.body);
    this.#depthMax = rules.maxDepth ?? DEPTH;
  }

  /** Whether anything of the head is asked for. */
  get some(): boolean {
    return [this.#rules.params, this.#rules.query, this.#rules.headers].some((all) => all !== undefined && Object.keys(all).length > 0);
  }

  /** Of a route that does not look at bodies. */
  headVerdict(request: GatewayRequest): Verdict {
    const problems = this.#headProblems(request);
    return problems.length === 0 ? undefined : problemAnswer(request, 'invalid_request', problems.slice(0, PROBLEMS_MAX));
  }

  /** What is known before the body is read; the rest waits for it, so that all is told at once. */
  typeVerdict(request: GatewayRequest): Verdict {
    const type = request.header('content-type');
    const comes = request.header('transfer-encoding') !== undefined || (request.header('content-length') ?? '0') !== '0';
    return comes && type !== undefined && this.#body !== undefined ? this.#typeProblem(request, this.#body) : undefined;
  }

  bodyVerdict(request: GatewayRequest, bytes: Buffer): Verdict {
    const problems = this.#headProblems(request);
    const rules = this.#body;
    if (rules !== undefined) {
      if (bytes.length === 0) {
        if (rules.required && !BODILESS.has(request.method)) problems.push({ in: 'body', pointer: '#', message: 'is missing' });
      } else {
        const refused = this.#typeProblem(request, rules);
        if (refused !== undefined) return refused;
        if (rules.schema !== undefined && isJsonType(typeOf(request) ?? '')) this.#json(bytes, rules.schema, problems);
      }
    }
    return problems.length === 0 ? undefined : problemAnswer(request, 'invalid_request', problems.slice(0, PROBLEMS_MAX));
  }

  #json(bytes: Buffer, schema: unknown, problems: RequestProblem[]): void {
    const read = readJson(bytes, this.#depthMax);
    if (read.problem !== undefined) {
      problems.push({ in: 'body', ...read.problem });
      return;
    }
    this.#schema ??= compileSchema(schema);
    for (const problem of this.#schema.problems(read.value, this.#limits)) problems.push({ in: 'body', ...problem });
  }

  #headProblems(request: GatewayRequest): RequestProblem[] {
    const found: RequestProblem[] = [];
    if (!this.some) return found;
    const { path, query, header } = (this.#parameters ??= this.#compile());
    for (const check of path) {
      const text = request.params[check.name];
      check.problems(text === undefined ? [] : [text], this.#limits, found);
    }
    if (query.length > 0) {
      const at = request.target.indexOf('?');
      const given = new URLSearchParams(at < 0 ? '' : request.target.slice(at + 1));
      for (const check of query) check.problems(given.getAll(check.name), this.#limits, found);
    }
    for (const check of header) {
      const text = request.header(check.name.toLowerCase());
      check.problems(text === undefined ? [] : [text], this.#limits, found);
    }
    return found;
  }

  #compile(): Record<Location, ParameterCheck[]> {
    const checks = (location: Location, rules: Record<string, unknown> | undefined) =>
      Object.entries(rules ?? {}).map(([name, one]) => new ParameterCheck(location, name, one));
    return {
      path: checks('path', this.#rules.params),
      query: checks('query', this.#rules.query),
      header: checks('header', this.#rules.headers),
    };
  }

  #typeProblem(request: GatewayRequest, { contentTypes }: BodyRules): Verdict {
    const encoding = request.header('content-encoding');
    if (encoding !== undefined && encoding !== 'identity') return unsupported(request, 'has a content-encoding; send it without one');
    const type = typeOf(request);
    const charset = /;\s*charset="?([^";\s]+)/i.exec(request.header('content-type') ?? '')?.[1];
    if (type === undefined || !contentTypes.some((one) => isOf(type, one)))
      return unsupported(request, `must be ${contentTypes.join(' or ')}`);
    if (charset !== undefined && isJsonType(type) && !/^(?:utf-?8|us-ascii)$/i.test(charset))
      return unsupported(request, 'must be in UTF-8');
    return undefined;
  }
}

function unsupported(request: GatewayRequest, message: string): Verdict {
  return problemAnswer(request, 'unsupported_media_type', [{ in: 'body', pointer: '#', message }]);
}

/** In lower case, without its parameters. */
function typeOf(request: GatewayRequest): string | undefined {
  return request.header('content-type')?.split(';', 1)[0]!.trim().toLowerCase();
}

function isOf(type: string, pattern: string): boolean {
  if (!pattern.includes('*')) return type === pattern;
  const [before, after] = pattern === '*/*' ? ['', ''] : (pattern.split('*') as [string, string]);
  return type.startsWith(before) && type.endsWith(after) && type.length > before.length + after.length;
}
