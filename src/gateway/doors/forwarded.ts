// What proxies write about a request: X-Forwarded-For, -Proto and -Host, and Forwarded (RFC 7239), as a list of hops, the
// client's first. Pure. What cannot be read is left out of its hop, never guessed. Called by trusted-proxies.ts.
import { isIP } from 'node:net';

/** The lines of a request that proxies write, each joined with commas. */
export interface ForwardedLines {
  forwarded?: string;
  for?: string;
  proto?: string;
  host?: string;
}

interface Hop {
  client: string | undefined;
  scheme: 'http' | 'https' | undefined;
  host: string | undefined;
}

/** More hops than this are nobody's real proxies. */
const HOPS_MAX = 32;
const HOST = /^(?:[A-Za-z0-9._~-]{1,253}|\[[0-9a-fA-F:.]{2,45}\])(?::\d{1,5})?$/;

export function fromXForwarded(lines: ForwardedLines): Hop[] {
  const clients = listed(lines.for);
  const protos = listed(lines.proto);
  const hosts = listed(lines.host);
  const length = Math.max(clients.length, protos.length > 0 || hosts.length > 0 ? 1 : 0);
  // A list as long as that of the clients says something of each hop; a shorter one ends with the nearest proxy's word.
  const of = (list: string[], i: number): string | undefined => (list.length === length ? list[i] : list.at(-1));
  return Array.from({ length }, (_, i) => ({
    client: addressIn(clients[i]),
    scheme: schemeIn(of(protos, i)),
    host: hostIn(of(hosts, i)),
  }));
}

/** https://www.rfc-editor.org/rfc/rfc7239#section-4 */
export function fromForwarded(text: string): Hop[] {
  return splitOutsideQuotes(text, ',')
    .slice(-HOPS_MAX)
    .map((element) => {
      const hop: Hop = { client: undefined, scheme: undefined, host: undefined };
      for (const pair of splitOutsideQuotes(element, ';')) {
        const equals = pair.indexOf('=');
        if (equals < 0) continue;
        const value = unquoted(pair.slice(equals + 1).trim());
        switch (pair.slice(0, equals).trim().toLowerCase()) {
          case 'for':
            hop.client = addressIn(value);
            break;
          case 'proto':
            hop.scheme = schemeIn(value);
            break;
          case 'host':
            hop.host = hostIn(value);
            break;
        }
      }
      return hop;
    });
}

function listed(line: string | undefined): string[] {
  if (line === undefined) return [];
  return line
    .split(',')
    .slice(-HOPS_MAX)
    .map((item) => item.trim());
}

/** `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`; others (`unknown`, `_hidden`) are no address. */
function addressIn(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const bare = /^\[([0-9a-fA-F:.]+)\](?::\d{1,5})?$/.exec(text)?.[1] ?? /^(\d+(?:\.\d+){3})(?::\d{1,5})?$/.exec(text)?.[1] ?? text;
  // A zone means something to the proxy's machine only.
  return isIP(bare) === 0 || bare.includes('%') ? undefined : bare;
}

function schemeIn(text: string | undefined): 'http' | 'https' | undefined {
  const scheme = text?.toLowerCase();
  return scheme === 'http' || scheme === 'https' ? scheme : undefined;
}

function hostIn(text: string | undefined): string | undefined {
  return text !== undefined && HOST.test(text) ? text : undefined;
}

function splitOutsideQuotes(text: string, separator: string): string[] {
  const parts: string[] = [];
  let part = '';
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const char = text[i]!;
    if (quoted && char === '\\') {
      part += char + (text[++i] ?? '');
      continue;
    }
    if (char === '"') quoted = !quoted;
    if (char === separator && !quoted) {
      parts.push(part);
      part = '';
    } else part += char;
  }
  parts.push(part);
  return parts;
}

function unquoted(text: string): string {
  return text.startsWith('"') && text.endsWith('"') && text.length > 1 ? text.slice(1, -1).replace(/\\(.)/g, '$1') : text;
}
