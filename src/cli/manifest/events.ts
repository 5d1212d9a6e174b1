// The events of a manifest: what is said at functions and beside them, put together as a deployment has it, and the names in it that lead
// nowhere, each with its place. Used by manifest.ts.
import { sourceProblems } from '../../protocol/sources/references.ts';
import type { EventsSection } from '../../protocol/sources/sources.ts';
import type { ManifestDocument, Path, Problem } from './document.ts';
import { pathText } from './problems.ts';
import type { ManifestInput } from './schema.ts';

const SOURCES = ['queues', 'topics', 'streams', 'schedules'] as const;
/** Key of a function → key of the section. */
const CONSUMERS = { triggers: 'triggers', async: 'async', workflow: 'workflows' } as const;

/** undefined: nothing is said of events. */
export function eventsOf(input: ManifestInput): EventsSection | undefined {
  const events: Record<string, unknown> = {};
  for (const key of SOURCES) if (input[key] !== undefined) events[key] = input[key];
  for (const [key, plural] of Object.entries(CONSUMERS)) {
    const said = Object.entries(input.functions).flatMap(([name, fn]) => {
      const value = fn[key as keyof typeof CONSUMERS];
      return value === undefined ? [] : [[name, value] as const];
    });
    if (said.length > 0) events[plural] = Object.fromEntries(said);
  }
  return Object.keys(events).length === 0 ? undefined : events;
}

export function eventsProblems(input: ManifestInput, document: ManifestDocument): Problem[] {
  const events = eventsOf(input);
  if (events === undefined) return [];
  return sourceProblems(events, Object.keys(input.functions)).map(({ path, message }) => {
    const at = placeOf(path);
    return { ...document.placeOfValue(at), message: `${pathText(at)}: ${message}` };
  });
}

/** From the section to where it stands in virga.yaml. */
function placeOf([section, name, ...rest]: PropertyKey[]): Path {
  const key = Object.entries(CONSUMERS).find(([, plural]) => plural === section)?.[0];
  return key === undefined ? [section!, name!, ...rest] : ['functions', name!, key, ...rest];
}
