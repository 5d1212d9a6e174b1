// The rules of one route as they are run: durations in ms, names in sets. Compiled once for each deployment.
import { bytesIn, durationMs } from '../../lib/units.ts';
import type { CacheRules } from '../../protocol/policies/cache.ts';
import type { LifetimeRules } from './judgement.ts';

/** As the reference says. */
const CACHED_BYTES_DEFAULT = 1_024 * 1_024;

export interface CompiledRules extends LifetimeRules {
  /** undefined: all of them. */
  query: ReadonlySet<string> | undefined;
  headers: readonly string[];
  cookies: readonly string[];
  bodyBytesMax: number;
  /** Of every answer, beside those that it names; undefined: tags are not looked at. */
  tags: readonly string[] | undefined;
  respectClient: boolean;
  /** storable: wait for an answer that will be kept. all: also for one that may only be shared. */
  coalesce: 'none' | 'storable' | 'all';
}

export function compileRules(rules: CacheRules): CompiledRules {
  const { key = {}, tags = true, coalesce } = rules;
  return {
    ttlMs: rules.ttl === undefined ? undefined : durationMs(rules.ttl),
    staleWhileRevalidateMs: durationMs(rules.staleWhileRevalidate ?? '') ?? 0,
    staleIfErrorMs: durationMs(rules.staleIfError ?? '') ?? 0,
    respectOrigin: rules.respectOrigin ?? true,
    respectClient: rules.respectClient ?? false,
    public: rules.public ?? false,
    dropSetCookie: rules.dropSetCookie ?? false,
    query: key.query === undefined ? undefined : new Set(key.query),
    headers: (key.headers ?? []).map((name) => name.toLowerCase()).sort(),
    cookies: [...(key.cookies ?? [])].sort(),
    bodyBytesMax: bytesIn(rules.maxBytes ?? '') ?? CACHED_BYTES_DEFAULT,
    tags: tags === false ? undefined : tags === true ? [] : tags,
    coalesce: coalesce === undefined ? 'storable' : coalesce ? 'all' : 'none',
  };
}
