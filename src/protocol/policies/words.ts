// Pieces that the schemas of several policies share. Invariant: an `error` text says what is expected, so that it can follow
// "expected …". Used by the other files of this folder.
import { z } from 'zod';
import { DURATION_PATTERN, bytesIn, bytesText, durationMs, durationText } from '../../lib/units.ts';

/** Limits in ms; what is stored is what was written, e.g. `5m`. */
export function duration(limit: { min: number; max: number }): z.ZodString {
  const range = `from ${durationText(limit.min)} to ${durationText(limit.max)}`;
  const error = `a duration with its unit ${range}, such as "30s", "500ms" or "5m"`;
  return z
    .string({ error })
    .regex(DURATION_PATTERN, { error, abort: true })
    .refine((text) => (durationMs(text) ?? -1) >= limit.min && (durationMs(text) ?? -1) <= limit.max, { error });
}

/** Limits in bytes; what is stored is what was written, e.g. `128 KiB`. */
export function byteSize(limit: { min: number; max: number }): z.ZodString {
  const error = `a size with its unit from ${bytesText(limit.min)} to ${bytesText(limit.max)}, such as "64 KiB" or "1 MiB"`;
  return z.string({ error }).refine((text) => (bytesIn(text) ?? -1) >= limit.min && (bytesIn(text) ?? -1) <= limit.max, { error });
}

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$/;
export const headerName = z.string({ error: 'a name of a header' }).regex(TOKEN, { error: 'a name of a header, such as x-tenant' });

const ORIGIN = /^(?:\*|[a-z][a-z0-9+.-]*:\/\/(?:\*\.)?(?:[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(?::\d{1,5})?)$/;
const originError = 'an origin such as https://app.example.com, https://*.example.com, http://localhost:3000 or "*"';
/** As browsers say it in Origin; `*.` stands for any name below. */
export const origin = z.string({ error: originError }).regex(ORIGIN, { error: originError });
