// How a run is named: by its project, its function and its id, which is unique within the function. Pure.
import { createHash } from 'node:crypto';
import { VirgaError } from '../../protocol/errors.ts';

export interface RunName {
  project: string;
  function: string;
  id: string;
}

const ID_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._:@+-]{0,127}$/;
const EVENT_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$/;
export const ID_RULE = '1 to 128 letters, digits and . _ : @ + -, beginning with a letter or digit';
export const EVENT_RULE = '1 to 128 letters, digits and . _ : / -, beginning with a letter or digit';

export function isRunId(id: unknown): id is string {
  return typeof id === 'string' && ID_PATTERN.test(id);
}

export function isEventName(name: unknown): boolean {
  return typeof name === 'string' && EVENT_PATTERN.test(name);
}

const OWN_ID = /^(?:evt|msg)_[0-9a-z]{26}$/;
const PART_MAX = 80;

/**
 * The id of what was sent, as that of a run or of an event to one. Ids that others made are unique only beside where they come from (of a
 * CloudEvent: its source), and may hold what ids here do not.
 */
export function idOfSent(id: string, from: string): string {
  if (OWN_ID.test(id)) return id;
  const readable = id
    .replaceAll(/[^A-Za-z0-9._:@+-]/g, '_')
    .replace(/^[^A-Za-z0-9]+/, '')
    .slice(0, PART_MAX);
  const digest = createHash('sha256')
    .update(JSON.stringify([from, id]))
    .digest('hex')
    .slice(0, 16);
  return `${readable === '' ? 'evt' : readable}.${digest}`;
}

export function runKey({ project, function: fn, id }: RunName): string {
  return `${project}/${fn}/${id}`;
}

export function noSuchRun({ project, function: fn, id }: RunName): VirgaError {
  return new VirgaError(
    'run_not_found',
    `the workflow '${fn}' of project '${project}' has no run '${id}' (any more); \`virga workflows\` lists them`,
  );
}
