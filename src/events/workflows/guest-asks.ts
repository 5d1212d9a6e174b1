// What guests ask is checked before it goes anywhere: steps of many runs, of many projects, are written together, and what Postgres refuses
// of one would be the ruin of the others. Invariant: what passes can be stored, and read as JSON. A guest as it is shipped asks for nothing
// else; whoever writes to fd 3 himself gets `invalid_request`. Called by awake-run.ts.
import { VirgaError } from '../../protocol/errors.ts';
import type { WorkflowRequest } from '../../protocol/workflow-run.ts';

const KINDS = {
  'workflow.begin': 'step',
  'workflow.retry': 'step',
  'workflow.done': 'step',
  'workflow.failed': 'step',
  'workflow.sleep': 'sleep',
  'workflow.wait': 'wait',
} as const;
const INT_MAX = 2 ** 31 - 1;
/** The last moment of a Date, and the longest wait; Postgres goes on for longer. */
const TIME_MAX = 8.64e15;
const DURATION_MS_MAX = 3_650 * 86_400_000;
const NAME_MAX = 200;
const SCOPE = /^(?:\d{1,9}\.\d{1,9}(?:\/\d{1,9}\.\d{1,9}){0,500})?$/;

export function checkRequest(request: WorkflowRequest): void {
  switch (request.op) {
    case 'workflow.begin':
    case 'workflow.retry':
    case 'workflow.done':
    case 'workflow.failed':
    case 'workflow.sleep':
    case 'workflow.wait': {
      const { kind, name, scope, ordinal, occurrence } = request;
      need(kind === KINDS[request.op], 'kind', kind);
      need(isText(name, NAME_MAX), 'name', name);
      need(typeof scope === 'string' && SCOPE.test(scope), 'scope', scope);
      need(isWhole(ordinal, 1), 'ordinal', ordinal);
      need(isWhole(occurrence, 1), 'occurrence', occurrence);
      if ('attempt' in request) need(isWhole(request.attempt, 1), 'attempt', request.attempt);
      if ('inMs' in request) need(isBetween(request.inMs, DURATION_MS_MAX), 'inMs', request.inMs);
      if ('forMs' in request) need(isBetween(request.forMs, DURATION_MS_MAX), 'forMs', request.forMs);
      if ('until' in request) need(Math.abs(Number(request.until)) <= TIME_MAX, 'until', request.until);
      if ('event' in request) need(isText(request.event, NAME_MAX), 'event', request.event);
      return;
    }
    case 'workflow.history':
      need(isWhole(request.after, 0), 'after', request.after);
      return;
    case 'workflow.end':
      need(request.state === 'succeeded' || request.state === 'failed', 'state', request.state);
      if (request.step !== undefined) need(isWhole(request.step, 1), 'step', request.step);
      return;
    case 'workflow.news':
    case 'workflow.suspend':
      return;
    default:
      throw new VirgaError('invalid_request', `there is no operation '${String((request as { op: unknown }).op).slice(0, 40)}'`);
  }
}

/** A copy of the bytes as text, which is JSON; null: nothing. `what` is an error: an object. */
export function jsonOf(data: Buffer, { what, bytesMax }: { what: 'result' | 'error' | 'match'; bytesMax: number }): string | null {
  if (data.length === 0) return null;
  if (data.length > bytesMax)
    throw new VirgaError('request_too_large', `the ${what} of a step has ${data.length} bytes; at most ${bytesMax} are kept`);
  const text = data.toString('utf8');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new VirgaError('invalid_request', `the ${what} of a step is no JSON: ${(error as Error).message}`);
  }
  if (what === 'error') need(typeof value === 'object' && value !== null && 'name' in value && 'message' in value, 'error', value);
  return text;
}

export function isText(value: unknown, charactersMax: number): value is string {
  return typeof value === 'string' && value.length <= charactersMax && !value.includes('\0') && value.isWellFormed();
}

function isWhole(value: unknown, min: number): boolean {
  return Number.isInteger(value) && (value as number) >= min && (value as number) <= INT_MAX;
}

function isBetween(value: unknown, max: number): boolean {
  return typeof value === 'number' && value >= 0 && value <= max;
}

function need(fits: boolean, key: string, value: unknown): void {
  if (fits) return;
  const given =
    typeof value === 'string' ? `'${value.slice(0, 40)}'` : typeof value === 'number' ? String(value) : `of type ${typeof value}`;
  throw new VirgaError('invalid_request', `what is asked of a run has '${key}' ${given}, which cannot be stored`);
}
