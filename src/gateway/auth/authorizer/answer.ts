// What the answer of an authorizer function means: Virga's own shape, and the two of AWS Lambda authorizers
// (docs.aws.amazon.com/apigateway/latest/developerguide/http-api-lambda-authorizer.html): the simple one, and an IAM policy,
// which says for each method and path whether it is allowed. Pure. Used by authorizer.ts.
//
//   {allow: true, principal: {id, scopes, claims, plan}, context: {…}, ttl: 60}      ours; `known: false` makes a denial a 401
//   {isAuthorized: true, context: {…}}
//   {principalId: 'u1', policyDocument: {Statement: [{Effect: 'Allow', Action, Resource}]}, context: {…}}
import { durationMs } from '../../../lib/units.ts';
import type { Principal } from '../../../protocol/principal.ts';

export interface AuthorizerAnswer {
  /** `arn`: of the method and path that is called. */
  allows: (arn: string) => boolean;
  principal: Principal;
  /** A denial means that nobody is known. */
  unknown: boolean;
  /** How long it may be kept at most, ms; undefined: as the route says. */
  ttlMs: number | undefined;
}

/** Claims and context become part of every request. */
const PRINCIPAL_BYTES_MAX = 16 * 1024;
const SCOPES_MAX = 200;

/** A text says what is wrong with it. `fallbackId`: of a principal without an id. */
export function readAnswer(answer: unknown, fallbackId: string): AuthorizerAnswer | string {
  if (typeof answer !== 'object' || answer === null || Array.isArray(answer)) return 'it is no object such as {"allow": true}';
  const { allow, isAuthorized, policyDocument, principalId, principal, context, ttl, known, usageIdentifierKey } = answer as Record<
    string,
    unknown
  >;
  const given = mapping(principal);
  const { scopes, claims, plan, id = principalId } = given;
  const read: Principal = {
    kind: 'authorizer',
    id: typeof id === 'string' && id !== '' ? id : fallbackId,
    scopes: Array.isArray(scopes) ? scopes.filter((one): one is string => typeof one === 'string').slice(0, SCOPES_MAX) : [],
    claims: { ...mapping(claims), ...mapping(context) },
  };
  const usage = plan ?? usageIdentifierKey;
  if (typeof usage === 'string') read.plan = usage;
  if (Buffer.byteLength(JSON.stringify(read)) > PRINCIPAL_BYTES_MAX)
    return `its principal and context have more than ${PRINCIPAL_BYTES_MAX} bytes`;
  const ttlMs = ttlOf(ttl);
  if (typeof ttlMs === 'string') return ttlMs;
  const rest = { principal: read, ttlMs, unknown: known === false };
  if (policyDocument !== undefined) {
    const statements = statementsOf(policyDocument);
    if (typeof statements === 'string') return statements;
    return { ...rest, allows: (arn) => decide(statements, arn) };
  }
  const decision = allow ?? isAuthorized;
  if (typeof decision !== 'boolean') return 'it has neither `allow` (or `isAuthorized`) with true or false, nor a policyDocument';
  return { ...rest, allows: () => decision };
}

function mapping(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

/** Seconds, or a duration. */
function ttlOf(ttl: unknown): number | undefined | string {
  if (ttl === undefined || ttl === null) return undefined;
  const ms = typeof ttl === 'number' ? ttl * 1_000 : typeof ttl === 'string' ? durationMs(ttl) : undefined;
  return ms === undefined || !(ms >= 0) ? 'its ttl is neither a number of seconds nor a duration such as 5m' : ms;
}

interface Statement {
  allow: boolean;
  matches: (arn: string) => boolean;
}

function statementsOf(document: unknown): Statement[] | string {
  const { Statement: statements } = mapping(document);
  const list = Array.isArray(statements) ? statements : [statements];
  const read: Statement[] = [];
  for (const one of list) {
    const { Effect: effect, Action: action, Resource: resource } = mapping(one);
    const resources = [resource].flat().filter((text) => typeof text === 'string');
    if ((effect !== 'Allow' && effect !== 'Deny') || resources.length === 0)
      return 'its policyDocument has a Statement without Effect and Resource';
    const invokes = [action].flat().some((text) => typeof text === 'string' && matcher(text.toLowerCase())('execute-api:invoke'));
    if (!invokes) continue;
    const matchers = resources.map(matcher);
    read.push({ allow: effect === 'Allow', matches: (arn) => matchers.some((matches) => matches(arn)) });
  }
  return read;
}

/** As IAM: what nothing allows is denied, and a denial wins. */
function decide(statements: readonly Statement[], arn: string): boolean {
  const about = statements.filter(({ matches }) => matches(arn));
  return about.length > 0 && about.every(({ allow }) => allow);
}

/** `*` for any characters, `?` for one. Greedy without going back over more than the last star, so that no pattern is slow. */
function matcher(pattern: string): (text: string) => boolean {
  return (text) => {
    let [p, t, star, mark] = [0, 0, -1, 0];
    while (t < text.length) {
      if (p < pattern.length && pattern[p] === '*') {
        star = p++;
        mark = t;
      } else if (p < pattern.length && (pattern[p] === '?' || pattern[p] === text[t])) {
        p++;
        t++;
      } else if (star >= 0) {
        p = star + 1;
        t = ++mark;
      } else return false;
    }
    while (pattern[p] === '*') p++;
    return p === pattern.length;
  };
}
