// What code of AWS Lambda gets and what its results mean, as the tests of every language read it (lambda-events.json,
// lambda-results.json). Invariant: written from what AWS documents (each case names its source), not from what a guest gives.
// Used by the golden tests of the Node guest and of the Python guest.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RequestMeta } from '../../protocol/frames.ts';

type Content = string | { base64: string };

interface Case {
  name: string;
  httpEvent?: string;
  meta: RequestMeta;
  body: Content;
}

interface Events {
  init: { project: string; function: string; version: number; memoryMiB: number; env: Record<string, string> };
  /** Of every case's invocation and trace. */
  requestId: string;
  trace: string;
  cases: (Case & { event: unknown })[];
  refused: (Case & { error: string })[];
}

interface Result {
  name: string;
  httpEvent?: string;
  method?: string;
  /** Name of the case of `events` that the function was given; undefined: an HTTP request. */
  event?: string;
  result: unknown;
  answer?: { status: number; headers: string[]; body: Content };
  /** Pattern of the message. */
  error?: string;
}

export function events(): Events {
  return read('lambda-events.json');
}

export function results(): Result[] {
  return read<{ cases: Result[] }>('lambda-results.json').cases;
}

function read<T>(name: string): T {
  return JSON.parse(readFileSync(join(import.meta.dirname, name), 'utf8')) as T;
}

export function bytesOf(content: Content): Buffer {
  return typeof content === 'string' ? Buffer.from(content) : Buffer.from(content.base64, 'base64');
}

/** Puts the names that the expectations use in the place of what depends on the present. */
export function masked(value: unknown): unknown {
  if (typeof value === 'string' && /^\d\d\/[A-Z][a-z]{2}\/\d{4}:\d\d:\d\d:\d\d \+0000$/.test(value)) return '«log time»';
  if (typeof value === 'number' && Math.abs(value - Date.now()) < 60_000) return '«unix ms»';
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(masked);
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, masked(one)]));
}
