// The names that the events of a project refer to: what is not there, and what was meant. The manifest and the control API both ask, with
// the place where each stands.
import { closestWord } from '../../lib/closest-word.ts';
import { deadLettersOf } from './dead-letters.ts';
import type { Destination } from './destinations.ts';
import type { EventsSection } from './sources.ts';
import { webhookName } from './webhook-name.ts';

export interface SourceProblem {
  /** Within the section, e.g. ['triggers', 'ship', 0, 'queue']. */
  path: PropertyKey[];
  message: string;
}

const PLURALS = { queue: 'queues', topic: 'topics', stream: 'streams', schedule: 'schedules', function: 'functions' } as const;
type Named = keyof typeof PLURALS;

export function sourceProblems(events: EventsSection, functions: readonly string[]): SourceProblem[] {
  const known: Record<Named, string[]> = {
    queue: Object.keys(events.queues ?? {}),
    topic: Object.keys(events.topics ?? {}),
    stream: Object.keys(events.streams ?? {}),
    schedule: Object.keys(events.schedules ?? {}),
    function: [...functions],
  };
  const problems: SourceProblem[] = [];
  const need = (kind: Named, name: string | undefined, path: PropertyKey[]): void => {
    if (name === undefined || known[kind].includes(name)) return;
    problems.push({ path, message: missing(kind, name, known[kind]) });
  };
  const needDestination = (to: Destination | undefined, path: PropertyKey[]): void => {
    for (const kind of ['queue', 'topic', 'function'] as const) need(kind, to?.[kind], [...path, kind]);
  };
  for (const [fn, triggers] of Object.entries(events.triggers ?? {})) {
    need('function', fn, ['triggers', fn]);
    for (const [index, trigger] of triggers.entries()) {
      const path = ['triggers', fn, index];
      for (const kind of ['queue', 'topic', 'stream', 'schedule'] as const) need(kind, trigger[kind], [...path, kind]);
    }
  }
  for (const [topic, { subscriptions = [] }] of Object.entries(events.topics ?? {}))
    for (const [index, { queue }] of subscriptions.entries()) need('queue', queue, ['topics', topic, 'subscriptions', index, 'queue']);
  for (const { name, path } of deadLettersOf(events)) need('queue', name, path);
  for (const [fn, { onSuccess, onFailure }] of Object.entries(events.async ?? {})) {
    need('function', fn, ['async', fn]);
    needDestination(onSuccess, ['async', fn, 'onSuccess']);
    needDestination(onFailure, ['async', fn, 'onFailure']);
  }
  for (const fn of Object.keys(events.workflows ?? {})) {
    need('function', fn, ['workflows', fn]);
    if (events.async?.[fn] !== undefined)
      problems.push({
        path: ['async', fn],
        message: 'each call of a workflow is a run, which retries its steps by itself: leave `async` out',
      });
    for (const [index, { stream }] of (events.triggers?.[fn] ?? []).entries())
      if (stream !== undefined)
        problems.push({
          path: ['triggers', fn, index, 'stream'],
          message: 'batches of a stream start no runs; let a function read the stream, and start runs by `startWorkflow`',
        });
  }
  return [...problems, ...twice(events), ...subscribedTwice(events), ...circles(events), ...rounds(events)];
}

/** Queues whose dead letters come back to them: what always fails would go round for ever. */
function circles({ queues = {} }: EventsSection): SourceProblem[] {
  return Object.entries(queues).flatMap(([name, { deadLetters }]) => {
    const way = wayBack(name, deadLetters, (one) => queues[one]?.deadLetters);
    if (way === undefined) return [];
    const round = way.length === 2 ? 'it is the queue itself' : way.join(' → ');
    return [{ path: ['queues', name, 'deadLetters'], message: `the dead letters of '${name}' would come back to it (${round})` }];
  });
}

/** Functions whose outcomes call them again: one that always succeeds, or always fails, would be called for ever. */
function rounds({ async = {} }: EventsSection): SourceProblem[] {
  return Object.entries(async).flatMap(([fn, rules]) =>
    (['onSuccess', 'onFailure'] as const).flatMap((key) => {
      const way = wayBack(fn, rules[key]?.function, (one) => async[one]?.[key]?.function);
      if (way === undefined) return [];
      const round = way.length === 2 ? 'it is the function itself' : way.join(' → ');
      return [{ path: ['async', fn, key, 'function'], message: `each outcome of '${fn}' would call it again, without an end (${round})` }];
    }),
  );
}

/** From a name over `first` back to itself; undefined: it does not lead there. */
function wayBack(name: string, first: string | undefined, after: (name: string) => string | undefined): string[] | undefined {
  const way = [name];
  for (let next = first; next !== undefined && way.length <= 100; next = after(next)) {
    if (next === name) return [...way, name];
    if (way.includes(next)) return undefined;
    way.push(next);
  }
  return undefined;
}

/** One function has one trigger of a source; a queue has one function, since its messages go to one of those who take them. */
function twice({ triggers = {} }: EventsSection): SourceProblem[] {
  const problems: SourceProblem[] = [];
  const queues = new Map<string, string>();
  for (const [fn, all] of Object.entries(triggers)) {
    const seen = new Set<string>();
    for (const [index, trigger] of all.entries()) {
      for (const kind of ['queue', 'topic', 'stream', 'schedule'] as const) {
        const name = trigger[kind];
        if (name === undefined) continue;
        const path = ['triggers', fn, index, kind];
        if (seen.has(`${kind} ${name}`)) problems.push({ path, message: `the function has a trigger of the ${kind} '${name}' already` });
        seen.add(`${kind} ${name}`);
        if (kind !== 'queue') continue;
        const other = queues.get(name);
        if (other !== undefined && other !== fn)
          problems.push({
            path,
            message: `the messages of the queue '${name}' go to function '${other}' already; for both, publish to a topic with a queue for each`,
          });
        else queues.set(name, fn);
      }
    }
  }
  return problems;
}

/** A queue that is subscribed twice would be sent a message twice; two webhooks of one name would share what waits for them. */
function subscribedTwice({ topics = {} }: EventsSection): SourceProblem[] {
  return Object.entries(topics).flatMap(([topic, { subscriptions = [] }]) => {
    const seen = new Set<string>();
    return subscriptions.flatMap((one, index) => {
      const key = one.queue !== undefined ? 'queue' : one.name !== undefined ? 'name' : 'url';
      const of = key === 'queue' ? `queue ${one.queue}` : `webhook ${webhookName(one)}`;
      if (!seen.has(of)) {
        seen.add(of);
        return [];
      }
      const message = {
        queue: `the topic has a subscription of the queue '${one.queue}' already; write both filters as one, with \`$or\``,
        name: `the topic has a subscription with the name '${one.name}' already; give this one a \`name\` of its own`,
        url: 'the topic has a subscription with this `url` already; give this one a `name` of its own',
      }[key];
      return [{ path: ['topics', topic, 'subscriptions', index, key], message }];
    });
  });
}

function missing(kind: Named, name: string, known: string[]): string {
  const meant = closestWord(name, known);
  if (meant !== undefined) return `there is no ${kind} '${name}'; did you mean '${meant}'?`;
  if (known.length === 0) return `there is no ${kind} '${name}'; declare it under \`${PLURALS[kind]}\``;
  return `there is no ${kind} '${name}'; there are ${known.slice(0, 5).join(', ')}${known.length > 5 ? ', …' : ''}`;
}
