// What a response's headers say of keeping it (RFC 9111, and how long Cloudflare keeps what says nothing). Pure. Used by
// http-cache.ts.

const MINUTE_MS = 60_000;
/** By status, where no header says for how long. */
const DEFAULT_MS: Record<number, number> = {
  200: 120 * MINUTE_MS,
  301: 120 * MINUTE_MS,
  302: 20 * MINUTE_MS,
  303: 20 * MINUTE_MS,
  403: MINUTE_MS,
  404: 3 * MINUTE_MS,
  410: 3 * MINUTE_MS,
};

type HeaderList = [name: string, value: string][];

/** Without Set-Cookie where the response says that it may be left out; undefined: a response with cookies is not kept. */
export function splitSetCookie(headers: HeaderList): HeaderList | undefined {
  if (!headers.some(([name]) => name === 'set-cookie')) return headers;
  if (!/(?:private|no-cache)="?set-cookie/i.test(valueOf(headers, 'cache-control') ?? '')) return undefined;
  return headers.filter(([name]) => name !== 'set-cookie');
}

/** ms; 0: not at all. */
export function keptFor(status: number, headers: HeaderList): number {
  const directives = new Map(
    (valueOf(headers, 'cache-control') ?? '').split(',').map((part): [string, string] => {
      const [name = '', value = ''] = part.trim().split('=', 2);
      return [name.toLowerCase(), value.replaceAll('"', '')];
    }),
  );
  const forbidden = (name: string): boolean => directives.has(name) && !/set-cookie/i.test(directives.get(name)!);
  if (directives.has('no-store') || forbidden('no-cache') || forbidden('private')) return 0;
  const seconds = directives.get('s-maxage') ?? directives.get('max-age');
  if (seconds !== undefined) return /^\d{1,10}$/.test(seconds) ? Number(seconds) * 1000 : 0;
  const expires = valueOf(headers, 'expires');
  // A date that cannot be read is one that has passed.
  if (expires !== undefined) return Math.max(0, Date.parse(expires) - Date.now() || 0);
  return DEFAULT_MS[status] ?? 0;
}

export function isFresh({ expiresAt }: { expiresAt: number }): boolean {
  return Date.now() < expiresAt;
}

/** One range of bytes; undefined: the whole is wanted, or what cannot be given. */
export function parseRange(header: string | null, length: number): { from: number; to: number } | undefined {
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(header ?? '') ?? [];
  if (first === undefined || last === undefined || (first === '' && last === '')) return undefined;
  const from = first === '' ? Math.max(0, length - Number(last)) : Number(first);
  const to = first === '' || last === '' ? length - 1 : Math.min(length - 1, Number(last));
  return from > to ? undefined : { from, to };
}

function valueOf(headers: HeaderList, name: string): string | undefined {
  return headers.find(([one]) => one === name)?.[1];
}
