// The head of an HTTP/1 response as a program sends it, read from its text: what is passed on, and how its body ends
// (RFC 9112, section 6.3). Invariant: headers of the connection are not passed on, and a body has one length: whoever sends two
// different ones, or both a length and chunks, is not believed. Pure. Called by connection.ts, once for each response.
import type { FlatHeaders } from '../../../../protocol/frames.ts';
import { BadResponse } from '../../failure.ts';

export interface ResponseHead {
  status: number;
  headers: FlatHeaders;
  /** How the body ends: there is none, after `length` bytes, with its last chunk, or with the connection. */
  body: 'none' | 'length' | 'chunked' | 'close';
  length: number;
  /** The connection can be used again. */
  keepAlive: boolean;
  /** Seconds after which the program closes an idle connection, if it says so. */
  idleS: number;
}

const SHOWN = 60;
const LENGTH = /^\d{1,15}$/;

/** `text` ends before the empty line. `upgraded`: of a request that asked for another protocol. */
export function parseHead(text: string, method: string, upgraded: boolean): ResponseHead {
  let end = text.indexOf('\r\n');
  if (end === -1) end = text.length;
  const status = statusOf(text, end);
  const minor = text.charCodeAt(7) - 48;
  const switches = status === 101 && upgraded;
  const headers: FlatHeaders = [];
  let keepAlive = minor > 0;
  let chunked = false;
  let length = NaN;
  let idleS = Infinity;
  for (let from = end + 2; from < text.length; from = end + 2) {
    end = text.indexOf('\r\n', from);
    if (end === -1) end = text.length;
    const first = text.charCodeAt(from);
    if (first === 32 || first === 9) {
      // A value that goes on in the next line: an old way, that a proxy joins with a space.
      if (headers.length > 0) headers.push(`${headers.pop()} ${text.slice(from, end).trim()}`);
      continue;
    }
    const colon = text.indexOf(':', from);
    if (colon <= from || colon > end) throw new BadResponse(`the line '${text.slice(from, Math.min(end, from + SHOWN))}' is no header`);
    const name = text.slice(from, colon);
    const value = text.slice(colon + 1, end).trim();
    // By the lengths of those that matter here, so that the others cost no look at their letters.
    switch (name.length) {
      case 2:
      case 7:
      case 16:
      case 18:
        if (!switches && /^(?:te|trailer|upgrade|proxy-connection|proxy-authenticate)$/i.test(name)) continue;
        break;
      case 10: {
        const lower = name.toLowerCase();
        if (lower === 'keep-alive') {
          idleS = Number(/timeout=(\d{1,6})/i.exec(value)?.[1] ?? Infinity);
          continue;
        }
        if (lower !== 'connection' || switches) break;
        if (/\bclose\b/i.test(value)) keepAlive = false;
        else if (/\bkeep-alive\b/i.test(value)) keepAlive = true;
        continue;
      }
      case 14:
        if (name.toLowerCase() !== 'content-length') break;
        if (!LENGTH.test(value)) throw new BadResponse(`its content-length '${value.slice(0, SHOWN)}' is not a number of bytes`);
        if (length === Number(value)) continue;
        if (!Number.isNaN(length)) throw new BadResponse(`it has two lengths, ${length} and ${value}`);
        length = Number(value);
        break;
      case 17:
        if (name.toLowerCase() !== 'transfer-encoding') break;
        if (!/^(?:chunked|identity)$/i.test(value))
          throw new BadResponse(`its transfer-encoding '${value.slice(0, SHOWN)}' is not understood; it may be chunked`);
        chunked = value.length === 7;
        continue;
    }
    headers.push(name, value);
  }
  const none = method === 'HEAD' || status < 200 || status === 204 || status === 304;
  if (none) return { status, headers, body: 'none', length: 0, keepAlive, idleS };
  if (chunked)
    return { status, headers: Number.isNaN(length) ? headers : withoutLength(headers), body: 'chunked', length: 0, keepAlive, idleS };
  if (Number.isNaN(length)) return { status, headers, body: 'close', length: 0, keepAlive: false, idleS };
  return { status, headers, body: 'length', length, keepAlive, idleS };
}

function statusOf(text: string, end: number): number {
  const status = Number(text.slice(9, 12));
  const sound =
    text.startsWith('HTTP/1.') && text.charCodeAt(8) === 32 && status >= 100 && status <= 599 && (end === 12 || text.charCodeAt(12) === 32);
  if (!sound) throw new BadResponse(`it begins with '${text.slice(0, Math.min(end, SHOWN))}', which is no HTTP/1 response`);
  return status;
}

function withoutLength(headers: FlatHeaders): FlatHeaders {
  const kept: FlatHeaders = [];
  for (let i = 0; i < headers.length; i += 2) if (headers[i]!.toLowerCase() !== 'content-length') kept.push(headers[i]!, headers[i + 1]!);
  return kept;
}
