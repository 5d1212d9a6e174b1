// Rows of `invocations` and `log_lines` in the text format of PostgreSQL's COPY: fields between tabs, one row a line,
// `\N` for null. Invariant: every value comes out as one that its column takes, so no row can make its batch fail: NUL,
// which Postgres cannot store, is left out, numbers are cut to their column's range; a lone surrogate becomes U+FFFD when
// the text is turned into UTF-8. Pure. Called by batch-recorder.ts; 1 to 2 µs a row.
import { decimalMs, threeDigits } from '../lib/decimal-ms.ts';
import type { InvocationRecord, LogLine } from '../protocol/invocation.ts';

/** In the order of invocationRow's fields. */
export const INVOCATION_COLUMNS =
  'id, trace_id, project, function, version, trigger, outcome, status, request, error, started_at, ' +
  'queue_ms, sandbox_ms, load_ms, init_ms, handler_ms, cold, billed_ms, peak_memory_bytes, bytes_in, bytes_out, instance, explanation';

/** In the order of logRow's fields. */
export const LOG_COLUMNS = 'id, at, project, function, version, invocation, instance, level, text';

const INTEGER_MAX = 2_147_483_647;
/** Beyond it `real` would overflow; 31 years in ms. */
const DURATION_MS_MAX = 1e12;
/** Last ms that both Date and timestamptz hold in four digits of a year. */
const TIME_MS_MAX = Date.UTC(9999, 11, 31);

export function invocationRow(record: InvocationRecord): string {
  const { receipt } = record;
  return (
    `${copyText(record.id)}\t${copyText(record.traceId)}\t${copyText(record.project)}\t${copyText(record.function)}\t${whole(record.version, INTEGER_MAX)}\t` +
    `${copyText(record.trigger)}\t${copyText(record.outcome)}\t${record.status === null ? '\\N' : whole(record.status, INTEGER_MAX)}\t` +
    `${nullable(record.request)}\t${nullable(record.error)}\t${time(record.startedAt)}\t` +
    `${duration(receipt.queueMs)}\t${duration(receipt.sandboxMs)}\t${duration(receipt.loadMs)}\t${duration(receipt.initMs)}\t${duration(receipt.handlerMs)}\t` +
    `${receipt.cold ? 't' : 'f'}\t${whole(receipt.billedMs, INTEGER_MAX)}\t${whole(record.peakMemoryBytes, Number.MAX_SAFE_INTEGER)}\t` +
    `${whole(record.bytesIn, Number.MAX_SAFE_INTEGER)}\t${whole(record.bytesOut, Number.MAX_SAFE_INTEGER)}\t${copyText(record.instance)}\t` +
    `${nullable(record.explanation === null ? null : JSON.stringify(record.explanation))}\n`
  );
}

export function logRow(line: LogLine): string {
  return (
    `${copyText(line.id)}\t${time(line.at)}\t${copyText(line.project)}\t${copyText(line.function)}\t${whole(line.version, INTEGER_MAX)}\t` +
    `${copyText(line.invocation)}\t${copyText(line.instance)}\t${copyText(line.level)}\t${copyText(line.text)}\n`
  );
}

const SPECIAL = /[\\\t\n\r\0]/;
const SPECIALS = /[\\\t\n\r\0]/g;
const ESCAPES: Record<string, string> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r', '\0': '' };

/** One text field. Almost none has anything to escape, so that is looked at first. */
export function copyText(text: string): string {
  return SPECIAL.test(text) ? text.replace(SPECIALS, (character) => ESCAPES[character]!) : text;
}

function nullable(text: string | null): string {
  return text === null ? '\\N' : copyText(text);
}

function whole(value: number, max: number): number {
  const rounded = Math.round(value);
  // NaN fails both comparisons.
  return rounded > 0 ? (rounded < max ? rounded : max) : 0;
}

/** µs are what a clock can tell. */
function duration(ms: number): string {
  if (!(ms > 0)) return '0';
  return ms < DURATION_MS_MAX ? decimalMs(ms) : String(DURATION_MS_MAX);
}

function time(unixMs: number): string {
  const ms = unixMs > 0 ? Math.min(unixMs, TIME_MS_MAX) : 0;
  const wholeMs = Math.floor(ms);
  if (wholeMs !== formattedMs) {
    formattedMs = wholeMs;
    formatted = new Date(wholeMs).toISOString().slice(0, -1);
  }
  return `${formatted}${threeDigits(Math.floor((ms - wholeMs) * 1000))}Z`;
}

/** Calls come many to a millisecond: the last one's text is kept. */
let formattedMs = -1;
let formatted = '';
