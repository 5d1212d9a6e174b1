// How a run is named: by its project, its function and its id, which is unique within the function. Pure.
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

export function isEventName(name: unknown): name is string {
  return typeof name === 'string' && EVENT_PATTERN.test(name);
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
