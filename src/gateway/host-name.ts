// The name in a Host header: without port and final dot, in lower case. Used by route.ts and conditions.ts.

export function hostName(host: string): string {
  // Of an address in brackets the colons are its own.
  const colon = host.lastIndexOf(':');
  let end = colon > 0 && !host.endsWith(']') ? colon : host.length;
  if (host.charCodeAt(end - 1) === 46 /* . */) end--;
  return host.slice(0, end).toLowerCase();
}

/** What `*.` has to stand before for this name: `a.example.com` → `example.com`; empty: nothing could. */
export function parentOf(name: string): string {
  const dot = name.indexOf('.');
  return dot < 1 ? '' : name.slice(dot + 1);
}
