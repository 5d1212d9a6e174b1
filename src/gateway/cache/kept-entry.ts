// Makes the entries of the store of what a function answered. Pure. Called by fill.ts.
import { hash } from 'node:crypto';
import type { FlatHeaders } from '../../protocol/frames.ts';
import type { GatewayRequest } from '../stage.ts';
import type { Keep } from './judgement.ts';
import { pathOf } from './key.ts';
import { costOf } from './store.ts';
import type { Entry, ProjectCache } from './store.ts';

/** What was heard of an answer: its head as it may be given again, and its whole body. */
export interface Heard {
  request: GatewayRequest;
  primary: string;
  status: number;
  headers: FlatHeaders;
  tags: readonly string[];
  body: Buffer;
}

interface Place {
  holder: ProjectCache;
  secondary: string;
  forget: (entry: Entry) => void;
}

/** As node:http asks for; given again, such a header would fail where nobody expects it. */
const SENDABLE = /^[\t\x20-\x7e\x80-\xff]*$/;
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

export function isSendable(headers: FlatHeaders): boolean {
  for (let i = 0; i + 1 < headers.length; i += 2) if (!TOKEN.test(headers[i]!) || !SENDABLE.test(headers[i + 1]!)) return false;
  return true;
}

/** `keep` undefined: an entry that is given to those who waited for it, and not kept. */
export function entryOf(heard: Heard, keep: Keep | undefined, place: Place, nowMs: number): Entry {
  const { request, primary, status, tags, body } = heard;
  const headers = [...heard.headers];
  const etag = keep?.etag ?? (keep === undefined ? undefined : madeTag(status, body));
  if (keep?.etag === undefined && etag !== undefined) headers.push('etag', etag);
  if (status !== 204) headers.push('content-length', String(body.length));
  const parts = { primary, secondary: place.secondary, path: pathOf(request.asked), tags, headers, body };
  return {
    ...parts,
    ...place,
    status,
    etag,
    lastModified: keep?.lastModified,
    canValidate: (keep?.etag ?? keep?.lastModified) !== undefined,
    ...timesOf(keep, nowMs),
    bytes: costOf(parts),
    asked: false,
    ...UNLINKED,
  };
}

/** The function said that it still holds. */
export function renewed(old: Entry, headers: FlatHeaders, keep: Keep, place: Place): Entry {
  const parts = { ...old, headers, ...place, ...timesOf(keep, 0) };
  return { ...parts, bytes: costOf(parts), asked: true, ...UNLINKED };
}

/** Of the bytes of an answer that has no tag: the same bytes for the same headers, so it is a strong one. */
function madeTag(status: number, body: Buffer): string | undefined {
  return status === 200 ? `"${hash('sha256', body, 'base64url').slice(0, 22)}"` : undefined;
}

const UNLINKED = { newer: undefined, older: undefined, held: false } as const;

function timesOf(keep: Keep | undefined, nowMs: number) {
  return {
    bornMs: keep?.bornMs ?? nowMs,
    freshUntilMs: keep?.freshUntilMs ?? nowMs,
    staleWhileUntilMs: keep?.staleWhileUntilMs ?? nowMs,
    staleErrorUntilMs: keep?.staleErrorUntilMs ?? nowMs,
    forAuthorized: keep?.forAuthorized ?? false,
  };
}
