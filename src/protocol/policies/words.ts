// Pieces that the schemas of several policies share. Invariant: an `error` text says what is expected, so that it can follow
// "expected …". Used by the other files of this folder.
import { z } from 'zod';
import { DURATION_PATTERN, durationMs, durationText } from '../../lib/units.ts';

/** Limits in ms; what is stored is what was written, e.g. `5m`. */
export function duration(limit: { min: number; max: number }): z.ZodString {
  const range = `from ${durationText(limit.min)} to ${durationText(limit.max)}`;
  const error = `a duration with its unit ${range}, such as "30s", "500ms" or "5m"`;
  return z
    .string({ error })
    .regex(DURATION_PATTERN, { error, abort: true })
    .refine((text) => (durationMs(text) ?? -1) >= limit.min && (durationMs(text) ?? -1) <= limit.max, { error });
}

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$/;
export const headerName = z.string({ error: 'a name of a header' }).regex(TOKEN, { error: 'a name of a header, such as x-tenant' });
