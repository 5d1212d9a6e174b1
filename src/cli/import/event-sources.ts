// Queues, topics, streams and schedules that an imported project has, and the triggers of its functions; and what to say about sources that
// Virga does not have. Invariant: names are valid and differ within their kind, and what is known of a source is said once, whether its
// declaration or a function that takes it comes first. Filled by the readers of all formats, written by manifest-text.ts.
import { durationText } from '../../lib/units.ts';
import { kebabName } from './project.ts';
import { isSecretValue } from './secrets.ts';
import { textOf } from './tree.ts';
import type { Tree } from './tree.ts';

export type SourceKind = 'queue' | 'topic' | 'stream' | 'schedule';
/** As other clouds have them. */
export type ForeignSource = SourceKind | 'bucket' | 'table' | 'bus' | 'websocket' | 'other';

const REMEDIES: Record<ForeignSource, string> = {
  schedule: 'declare it under `schedules`, and give the function a trigger of it by hand',
  queue: 'which queue it is cannot be known; declare it under `queues`, and give the function a trigger of it by hand',
  topic: 'which topic it is cannot be known; declare it under `topics`, and give the function a trigger of it by hand',
  stream: 'which stream it is cannot be known; declare it under `streams`, and give the function a trigger of it by hand',
  bucket: 'Virga has no buckets yet; until then whatever writes the object can call it with `virga invoke`, with the same event',
  table: 'Virga has no tables yet; until then whatever changes the table can call it with `virga invoke`, with the same event',
  bus: 'those events come from AWS itself; whatever else notices them can publish them to the project',
  websocket:
    'give one function a route with `websocket: {routeSelection: …}`: it gets all of these events, with their routeKey, and sends with `connections` of @virga/sdk',
  other: 'Virga has no such source; call it with `virga invoke`, or give it a route',
};

export function remedyForSource(kind: ForeignSource): string {
  return REMEDIES[kind];
}

/** What becomes of code that speaks to the service itself. */
export const OWN_CLIENTS: Record<'queue' | 'topic' | 'stream', string> = {
  queue: 'send to it with `queue(…).send` of @virga/sdk: the code that sends to AWS goes on doing that',
  topic: 'publish to it with `topic(…).publish` of @virga/sdk: the code that publishes to AWS goes on doing that',
  stream: 'append to it with `stream(…).append` of @virga/sdk: the code that writes to AWS goes on doing that',
};

export type Rules = Record<string, unknown>;

export class EventSources {
  readonly #declared: Record<SourceKind, Map<string, { name: string; rules: Rules }>> = {
    queue: new Map(),
    topic: new Map(),
    stream: new Map(),
    schedule: new Map(),
  };

  /** The name in virga.yaml of what is known as `key` elsewhere; `rules` are added to what is known of it. */
  declare(kind: SourceKind, key: string, rules: Rules = {}): string {
    const known = this.#declared[kind].get(key);
    if (known !== undefined) {
      Object.assign(known.rules, rules);
      return known.name;
    }
    const taken = new Set([...this.#declared[kind].values()].map(({ name }) => name));
    const plain = kebabName(key.replace(/\.fifo$/, ''));
    let name = plain;
    for (let number = 2; taken.has(name); number++) name = `${plain.slice(0, 36).replace(/-+$/, '')}-${number}`;
    this.#declared[kind].set(key, { name, rules: { ...rules } });
    return name;
  }

  /** It is known by another name, too. */
  alias(kind: SourceKind, key: string, other: string): void {
    const known = this.#declared[kind].get(key);
    if (known !== undefined && !this.#declared[kind].has(other)) this.#declared[kind].set(other, known);
  }

  rulesOf(kind: SourceKind, key: string): Rules | undefined {
    return this.#declared[kind].get(key)?.rules;
  }

  /** As they stand in virga.yaml. */
  sections(): Record<string, Record<string, Rules>> {
    const sections: Record<string, Record<string, Rules>> = {};
    for (const kind of ['queue', 'topic', 'stream', 'schedule'] as const) {
      const all = [...new Set(this.#declared[kind].values())];
      if (all.length > 0) sections[`${kind}s`] = Object.fromEntries(all.map(({ name, rules }) => [name, rules]));
    }
    return sections;
  }
}

/** What a queue, topic or stream is known by: the resource of the file, or the name at the end of its ARN. */
export function sourceKey(tree: Tree | undefined): string | undefined {
  if (tree?.kind === 'unresolved') return tree.secret ? undefined : tree.resource;
  const text = textOf(tree);
  if (text === undefined || text === '') return undefined;
  const last = text.split(/[:/]/).at(-1)!;
  return /^[A-Za-z0-9][A-Za-z0-9._-]{0,255}$/.test(last) && !isSecretValue(last) ? last : undefined;
}

export function secondsText(seconds: number): string {
  return durationText(Math.round(seconds * 1_000));
}

/** Within what Virga takes. */
export function inside(value: number, min: number, max: number): number {
  return Math.min(max, Math.max(min, Math.round(value)));
}
