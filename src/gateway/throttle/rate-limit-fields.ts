// The fields RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers-11, sections 3 and 4): lists of structured
// fields, one item for each limit. Pure; used by throttle.ts.
import type { FlatHeaders } from '../../protocol/frames.ts';

/** `"ip";q=200;w=2`. `name` is ours: letters, digits, hyphens and what a header's name may have, none of which needs escaping. */
export function policyItem(name: string, { quota, windowS, unit }: { quota: number; windowS?: number; unit?: string }): string {
  return `"${name}";q=${quota}${unit === undefined ? '' : `;qu="${unit}"`}${windowS === undefined ? '' : `;w=${windowS}`}`;
}

/** `"ip";r=199;t=1`; without `t` when nothing is to come back. */
export function limitItem(name: string, left: number, moreInMs: number): string {
  return moreInMs > 0 ? `"${name}";r=${left};t=${Math.ceil(moreInMs / 1_000)}` : `"${name}";r=${left}`;
}

/** Adds to a field that is a list, which the function may have begun. */
export function addItem(headers: FlatHeaders, name: string, item: string): void {
  for (let i = 0; i + 1 < headers.length; i += 2) {
    if (headers[i]!.toLowerCase() !== name) continue;
    headers[i + 1] += `, ${item}`;
    return;
  }
  headers.push(name, item);
}
