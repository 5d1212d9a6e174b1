// The Range header (RFC 9110, section 14): which bytes of a body of known length are asked for. Pure.
// Used for what the gateway answers itself: kept answers (cache/) and files (static/).
// Invariant: one range is served; who asks for several gets the whole, which section 14.2 allows: many small ones are how
// servers are made to work for nothing, and no browser asks for more than one.

export interface ByteRange {
  /** First and last byte, both included. */
  first: number;
  last: number;
}

const ONE = /^bytes=\s*(\d{0,15})-(\d{0,15})\s*$/i;

/** undefined: the whole is to be sent; 'unsatisfiable': 416. */
export function byteRange(header: string | undefined, length: number): ByteRange | 'unsatisfiable' | undefined {
  if (header === undefined) return undefined;
  const [, from, to] = ONE.exec(header) ?? [];
  if (from === undefined || to === undefined || (from === '' && to === '')) return undefined;
  if (from === '') {
    const suffix = Number(to);
    return suffix === 0 || length === 0 ? 'unsatisfiable' : { first: Math.max(0, length - suffix), last: length - 1 };
  }
  const first = Number(from);
  if (to !== '' && Number(to) < first) return undefined;
  if (first >= length) return 'unsatisfiable';
  return { first, last: to === '' ? length - 1 : Math.min(Number(to), length - 1) };
}
