// Pieces that the schemas of several policies share. Invariant: an `error` text says what is expected, so that it can follow
// "expected …". Used by the other files of this folder.
import { z } from 'zod';
import { BYTES_PATTERN, DURATION_PATTERN, bytesText, durationMs, durationText, sizeBytes } from '../../lib/units.ts';

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
  return z
    .string({ error })
    .regex(BYTES_PATTERN, { error, abort: true })
    .refine((text) => (sizeBytes(text) ?? -1) >= limit.min && (sizeBytes(text) ?? -1) <= limit.max, { error });
}

export function wholeNumber(limit: { min: number; max: number }, error = `a whole number from ${limit.min} to ${limit.max}`): z.ZodInt {
  return z.int({ error }).min(limit.min, { error }).max(limit.max, { error });
}

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$/;
export const headerName = z.string({ error: 'a name of a header' }).regex(TOKEN, { error: 'a name of a header, such as x-tenant' });

const FROM = /^(?:bearer|header:[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}|cookie:[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}|query:[A-Za-z0-9_.~-]{1,256})$/;
const fromError = 'a place in the request: bearer (of Authorization), header:x-token, cookie:sid or query:token';
/** Where in a request something stands; parsed at the edge by gateway/auth/places.ts. */
export const place = z.string({ error: fromError }).regex(FROM, { error: fromError });

const SECRET_NAME = /^[A-Za-z_][A-Za-z0-9_]{0,63}$/;
export const SECRET_NAME_RULE = 'letters, digits and _, at most 64, not beginning with a digit';
export const secretName = z
  .string({ error: `the name of a secret: ${SECRET_NAME_RULE}` })
  .regex(SECRET_NAME, { error: `the name of a secret: ${SECRET_NAME_RULE}` });

/** As names of functions are (NAME_PATTERN of settings.ts, which stores what this folder describes, and so is out of reach here). */
const NAME = /^[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?$/;
const nameError = 'a name: lower-case letters, digits and inner hyphens, at most 40, beginning with a letter';
export const declaredName = z.string({ error: nameError }).regex(NAME, { error: nameError });
const ORIGIN = /^(?:\*|[a-z][a-z0-9+.-]*:\/\/(?:\*\.)?(?:[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(?::\d{1,5})?)$/;
const originError = 'an origin such as https://app.example.com, https://*.example.com, http://localhost:3000 or "*"';
/** As browsers say it in Origin; `*.` stands for any name below. */
export const origin = z.string({ error: originError }).regex(ORIGIN, { error: originError });
