// Conditions of routes, compiled once per deployment into one test of a request. Invariant: what a request is asked for is
// worked out once, and only if some route of its path has conditions. Used by route-table.ts.
import type { IncomingHttpHeaders } from 'node:http';
import type { Conditions } from '../protocol/policies/conditions.ts';
import { hostName, parentOf } from './host-name.ts';

/** What conditions look at. */
export interface Asked {
  /** The Host header. */
  host: string;
  /** Path and query. */
  target: string;
  headers: IncomingHttpHeaders;
  /** A preflight: of the headers to come it has but the names, so these count as there, with the value that is wanted. */
  announced?: string | undefined;
}

export type Condition = (facts: Facts) => boolean;

export class Facts {
  readonly #asked: Asked;
  #host: string | undefined;
  #query: URLSearchParams | undefined;
  #announced: Set<string> | undefined;

  constructor(asked: Asked) {
    this.#asked = asked;
  }

  get host(): string {
    return (this.#host ??= hostName(this.#asked.host));
  }

  header(name: string): string | undefined {
    const value = this.#asked.headers[name];
    return Array.isArray(value) ? value.join(', ') : value;
  }

  get query(): URLSearchParams {
    const { target } = this.#asked;
    const mark = target.indexOf('?');
    return (this.#query ??= new URLSearchParams(mark < 0 ? '' : target.slice(mark + 1)));
  }

  announces(name: string): boolean {
    if (this.#asked.announced === undefined) return false;
    this.#announced ??= new Set(this.#asked.announced.split(',').map((one) => one.trim().toLowerCase()));
    return this.#announced.has(name);
  }
}

export interface CompiledConditions {
  holds: Condition;
  /** What comes first where several routes would do: more conditions, then more exact ones. */
  weight: number;
}

/** undefined: there are none. */
export function compileConditions({ hosts, headers, query }: Conditions): CompiledConditions | undefined {
  const all: { test: Condition; exactness: number }[] = [];
  if (hosts !== undefined) {
    const exact = new Set(hosts.filter((host) => !host.startsWith('*.')));
    const parents = new Set(hosts.filter((host) => host.startsWith('*.')).map((host) => host.slice(2)));
    const test = (facts: Facts): boolean => exact.has(facts.host) || parents.has(parentOf(facts.host));
    all.push({ test, exactness: parents.size === 0 ? 2 : 1 });
  }
  for (const [name, wanted] of Object.entries(headers ?? {})) {
    const matches = matcherOf(wanted);
    const test = (facts: Facts): boolean => {
      const value = facts.header(name);
      return value === undefined ? facts.announces(name) : matches(value);
    };
    all.push({ test, exactness: exactnessOf(wanted) });
  }
  for (const [name, wanted] of Object.entries(query ?? {})) {
    const matches = matcherOf(wanted);
    all.push({ test: (facts) => facts.query.getAll(name).some(matches), exactness: exactnessOf(wanted) });
  }
  if (all.length === 0) return undefined;
  return {
    holds: (facts) => all.every(({ test }) => test(facts)),
    weight: all.length * 1_000 + all.reduce((sum, { exactness }) => sum + exactness, 0),
  };
}

function matcherOf(wanted: string | true): (value: string) => boolean {
  if (wanted === true) return () => true;
  const star = wanted.indexOf('*');
  if (star < 0) return (value) => value === wanted;
  const [begin, end] = [wanted.slice(0, star), wanted.slice(star + 1)];
  return (value) => value.length >= begin.length + end.length && value.startsWith(begin) && value.endsWith(end);
}

function exactnessOf(wanted: string | true): number {
  return wanted === true ? 0 : wanted.includes('*') ? 1 : 2;
}
