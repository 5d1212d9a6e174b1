// W3C Trace Context (https://www.w3.org/TR/trace-context/, section 3.2): continues the trace of a caller or begins one.
// Called once per invocation by the gateway and the control API's invoke.
import { randomFillSync } from 'node:crypto';

export interface Trace {
  /** 32 hex digits. */
  traceId: string;
  /** The header to pass on: same trace, a parent id of our own. */
  traceparent: string;
}

const PATTERN = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const ZERO_TRACE = '0'.repeat(32);
const ZERO_PARENT = '0'.repeat(16);
const entropy = Buffer.alloc(6000);
let at = entropy.length;

export function continueTrace(incoming: string | undefined): Trace {
  if (incoming !== undefined) {
    const match = PATTERN.exec(incoming);
    // Version ff is forbidden; version 00 has exactly four fields; a higher one may have more.
    if (
      match !== null &&
      match[1] !== 'ff' &&
      match[2] !== ZERO_TRACE &&
      match[3] !== ZERO_PARENT &&
      (match[1] !== '00' || match[5] === undefined)
    ) {
      const traceId = match[2]!;
      return { traceId, traceparent: `00-${traceId}-${randomHex(8)}-${match[4]!}` };
    }
  }
  const both = randomHex(24);
  const traceId = both.slice(0, 32);
  return { traceId, traceparent: `00-${traceId}-${both.slice(32)}-01` };
}

function randomHex(bytes: number): string {
  if (at + bytes > entropy.length) {
    randomFillSync(entropy);
    at = 0;
  }
  const text = entropy.toString('hex', at, at + bytes);
  at += bytes;
  // All zeros is invalid as either id; it would take 2^64 tries to be met.
  return text;
}
