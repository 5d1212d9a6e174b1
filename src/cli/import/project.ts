// What an import makes of a foreign project before it is written down: functions, settings and routes in Virga's terms. Invariant:
// names and routes are valid and differ, whatever the file called them; each change of that kind is in the report.
// Filled by the readers of all formats, written by manifest-text.ts.
import { NAME_PATTERN, SETTING_LIMITS } from '../../protocol/settings.ts';
import type { Form, FunctionRuntime, HttpEvent } from '../../protocol/settings.ts';
import type { Report } from './report.ts';
import type { Place } from './tree.ts';

export interface Variable {
  name: string;
  at: Place;
  /** undefined: it is named in a comment, with the note. */
  value: string | undefined;
  note: string;
}

export interface ImportedRoute {
  at: Place;
  path: string;
  /** null: every method. */
  methods: string[] | null;
  /** What the gateway does for it. */
  policy?: Record<string, unknown>;
  /** Why it stands in a comment: it was behind something that Virga does not have. */
  closed?: string;
}

export interface Settings {
  runtime?: FunctionRuntime;
  form?: Form;
  memoryMiB?: number;
  timeoutMs?: number;
  tmpMiB?: number;
  concurrency?: number;
  cpus?: number;
  instances?: { min?: number; max?: number };
  env: Variable[];
}

export interface ImportedFunction extends Settings {
  name: string;
  at: Place;
  description?: string;
  /** Relative to the folder of the imported file. */
  source: string;
  handler?: string;
  command?: string;
  httpEvent?: HttpEvent;
  routes: ImportedRoute[];
  triggers?: Record<string, unknown>[];
  async?: Record<string, unknown>;
  include: string[];
  external: string[];
  layers: string[];
}

export interface ScaffoldFile {
  path: string;
  text: string;
}

export interface ImportedProject {
  name: string;
  defaults: Settings & { include?: string[] };
  functions: ImportedFunction[];
  /** Functions that are not carried over: named in a comment. */
  absent: { name: string; why: string }[];
  /** What the gateway does for all. */
  gateway?: Record<string, unknown>;
  /** Queues, topics, streams and schedules, as they stand in virga.yaml (event-sources.ts). */
  sources?: { sections(): Record<string, Record<string, Record<string, unknown>>> };
  /** Sources to make, relative to the folder of the imported file. */
  scaffold?: ScaffoldFile[];
}

/** `createOrder`, `create_order` and `CreateOrder` → `create-order`. */
export function kebabName(text: string): string {
  if (NAME_PATTERN.test(text)) return text;
  const name = text
    .replace(/(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])/g, '-')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^[^a-z]+/, '')
    .slice(0, 40)
    .replace(/-+$/, '');
  return NAME_PATTERN.test(name) ? name : 'function';
}

/** Gives functions their names: valid, and each another. What was given is reported once the function is carried over. */
export class Names {
  readonly #taken = new Map<string, { original: string; at: Place }>();
  readonly #report: Report;

  constructor(report: Report) {
    this.#report = report;
  }

  of(original: string, at: Place): string {
    const plain = NAME_PATTERN.test(original) ? original : kebabName(original);
    let name = plain;
    for (let number = 2; this.#taken.has(name); number++) name = `${plain.slice(0, 36).replace(/-+$/, '')}-${number}`;
    this.#taken.set(name, { original, at });
    return name;
  }

  tell(functions: readonly { name: string }[]): void {
    for (const { name } of functions) {
      const { original, at } = this.#taken.get(name)!;
      if (name === original) this.#report.carried(at, name, 'function');
      else this.#report.changed(at, name, `function ${original}`, `is called ${name}: names are lower-case letters, digits and hyphens`);
    }
  }
}

interface Limit {
  min: number;
  max: number;
}

/** Within what Virga takes; the report says so where that is another value. */
export function within(value: number, limit: Limit, change: (to: number) => void): number {
  const inside = Math.min(limit.max, Math.max(limit.min, Math.round(value)));
  if (inside !== value) change(inside);
  return inside;
}

export const LIMITS = SETTING_LIMITS;
