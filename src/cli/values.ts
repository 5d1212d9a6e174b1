// Checks the values of options. Invariant: a refusal names the option, the value and what is expected, and is wrong usage
// (exit 2). Used by the commands.
import { existsSync } from 'node:fs';
import { durationMs, durationText } from '../lib/units.ts';
import { UsageError } from './failure.ts';

export function wholeNumber(text: string, option: string, range: { min: number; max: number }): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= range.min && value <= range.max) return value;
  throw new UsageError(`${option} is ${JSON.stringify(text)}; expected a whole number from ${range.min} to ${range.max}`);
}

/** `10m`, `90s`, `2h`, `7d`, or an ISO 8601 time with its zone; as the control API takes it. */
export function since(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,9}(?:ms|s|m|h|d)$/.test(text)) return text;
  const time = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d))?$/;
  if (time.test(text) && !Number.isNaN(Date.parse(text))) return text;
  throw new UsageError(
    `--since is ${JSON.stringify(text)}; expected how long ago (90s, 10m, 2h, 7d) or a time with its zone (2026-01-31T12:00:00Z)`,
  );
}

export function invocationId(text: string, what: string): string {
  if (/^inv_[0-9a-z]{26}$/.test(text)) return text;
  throw new UsageError(`${what} is ${JSON.stringify(text)}; expected the id of an invocation: inv_ and 26 characters`);
}

export function existingFolder(text: string): string {
  if (existsSync(text)) return text;
  throw new UsageError(`there is no folder ${JSON.stringify(text)}`);
}

/** `10s` in ms. */
export function durationOption(text: string, option: string, range: { min: number; max: number }): number {
  const ms = durationMs(text);
  if (ms !== undefined && ms >= range.min && ms <= range.max) return ms;
  throw new UsageError(
    `${option} is ${JSON.stringify(text)}; expected a duration from ${durationText(range.min)} to ${durationText(range.max)}, such as 10s or 5m`,
  );
}

/** `key=value` each; undefined: there are none. */
export function attributesOf(given: readonly string[] | undefined): Record<string, string> | undefined {
  if (given === undefined) return undefined;
  return Object.fromEntries(
    given.map((text) => {
      const at = text.indexOf('=');
      if (at < 1) throw new UsageError(`--attribute is ${JSON.stringify(text)}; expected key=value`);
      return [text.slice(0, at), text.slice(at + 1)];
    }),
  );
}
