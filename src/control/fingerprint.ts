// What makes two versions the same: artifact and settings. Invariant: the order of keys does not matter, every value does.
import { createHash } from 'node:crypto';
import { essentialSettings } from '../protocol/settings.ts';
import type { VersionSettings } from '../protocol/settings.ts';

export function fingerprintOf(version: { artifact: string; settings: VersionSettings }): string {
  return createHash('sha256')
    .update(canonicalJson({ artifact: version.artifact, settings: essentialSettings(version.settings) }))
    .digest('hex');
}

/** JSON with the keys of every object in order of their UTF-16 code units. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).filter(([, inner]) => inner !== undefined);
    entries.sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${entries.map(([key, inner]) => `${JSON.stringify(key)}:${canonicalJson(inner)}`).join(',')}}`;
  }
  return JSON.stringify(value);
}
