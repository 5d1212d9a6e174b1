// The answer to one event of a connection: collected up to a bound, and read as what the gateway is to do. Whatever the function's
// form, it is one of: nothing; a text or bytes to send; or an object of the keys below.
// Invariant: `done` is called once; an answer that means nothing here is a VirgaError that names the part.
// Used by connection.ts.
import type { Call, CallSink } from '../../functions/call.ts';
import { VirgaError } from '../../protocol/errors.ts';
import type { SocketReply } from '../../protocol/events.ts';
import { BODY_CHUNK_MAX } from '../../protocol/frames.ts';
import type { FlatHeaders } from '../../protocol/frames.ts';
import { headerIn } from '../flat-headers.ts';

export const GROUPS_MAX = 50;
export const GROUP_NAME_MAX = 128;
export const STATE_BYTES_MAX = 4_096;
const ANSWER_BYTES_MAX = 1024 * 1024;
const KEYS: readonly string[] = ['send', 'groups', 'state', 'close', 'status', 'subprotocol', 'body'] satisfies (keyof SocketReply)[];

/** What is to be done. */
export interface Reply {
  send?: { data: Buffer; isBinary: boolean };
  groups?: string[];
  /** JSON; null: none any more. */
  state?: string | null;
  close?: { code: number; reason: string };
  /** For connect alone; from 400 on the handshake is refused. */
  status: number;
  subprotocol?: string;
  body?: string;
}

export class EventAnswer implements CallSink {
  call: Call | undefined;
  readonly #done: (reply: Reply | VirgaError) => void;
  readonly #payload: Buffer | undefined;
  #sent = 0;
  #status = 0;
  #headers: FlatHeaders = [];
  #chunks: Buffer[] = [];
  #bytes = 0;
  #over = false;

  /** `payload`: where it is too large for the first frame. */
  constructor(payload: Buffer | undefined, done: (reply: Reply | VirgaError) => void) {
    this.#payload = payload;
    this.#done = done;
  }

  bodyWanted(call: Call): void {
    const payload = this.#payload!;
    while (this.#sent < payload.length) {
      const slice = payload.subarray(this.#sent, this.#sent + BODY_CHUNK_MAX);
      this.#sent += slice.length;
      if (!call.writeBody(slice, this.#sent >= payload.length)) return;
    }
  }

  head(status: number, headers: FlatHeaders, body: Buffer, end: boolean): void {
    this.#status = status;
    this.#headers = headers;
    this.body(body, end);
  }

  body(chunk: Buffer, end: boolean): void {
    if (this.#over) return;
    this.#bytes += chunk.length;
    if (this.#bytes > ANSWER_BYTES_MAX) {
      if (!end) this.call?.abandon();
      return this.#finish(bad(`it has more than ${ANSWER_BYTES_MAX} bytes`));
    }
    if (chunk.length > 0) this.#chunks.push(Buffer.from(chunk));
    this.call?.consumed(chunk.length);
    if (end) this.#finish(this.#read());
  }

  failed(error: VirgaError): void {
    this.#finish(error);
  }

  #finish(reply: Reply | VirgaError): void {
    if (this.#over) return;
    this.#over = true;
    this.#chunks = [];
    this.#done(reply);
  }

  #read(): Reply | VirgaError {
    const bytes = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks);
    try {
      return replyOf(this.#status, headerIn(this.#headers, 'content-type') ?? '', bytes);
    } catch (error) {
      if (error instanceof VirgaError) return error;
      return bad('it is not JSON, though its content type says so');
    }
  }
}

/** Throws a VirgaError, or what JSON.parse throws. */
export function replyOf(status: number, contentType: string, bytes: Buffer): Reply {
  if (status >= 400) return { status, body: bytes.toString().slice(0, STATE_BYTES_MAX) };
  if (bytes.length === 0) return { status };
  if (!/^application\/(?:[\w.+-]+\+)?json\b/i.test(contentType)) {
    return { status, send: { data: bytes, isBinary: !/^text\//i.test(contentType) } };
  }
  const value = JSON.parse(bytes.toString()) as unknown;
  if (value === null) return { status };
  if (typeof value === 'string') return { status, send: { data: Buffer.from(value), isBinary: false } };
  if (typeof value !== 'object' || Array.isArray(value)) throw bad(`it is ${Array.isArray(value) ? 'an array' : `a ${typeof value}`}`);
  return fromObject(value as Record<string, unknown>, status);
}

function fromObject(value: Record<string, unknown>, status: number): Reply {
  const unknown = Object.keys(value).find((key) => !KEYS.includes(key));
  if (unknown !== undefined)
    throw bad(`it has the key '${unknown.slice(0, 80)}'; known are ${KEYS.join(', ')}; a message is a text: use JSON.stringify`);
  const { send, groups, state, close, subprotocol, body } = value as SocketReply;
  const reply: Reply = { status };
  if (send !== undefined && send !== null) reply.send = toSend(send);
  if (groups !== undefined && groups !== null) reply.groups = groupsOf(groups);
  if (state !== undefined) reply.state = stateOf(state);
  if (close === true) reply.close = { code: 1000, reason: '' };
  else if (close !== undefined && close !== null && close !== false) reply.close = closeOf(close);
  if (value['status'] !== undefined) reply.status = statusOf(value['status']);
  if (subprotocol !== undefined && subprotocol !== null) {
    if (typeof subprotocol !== 'string' || !/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$/.test(subprotocol))
      throw bad('its subprotocol is no name');
    reply.subprotocol = subprotocol;
  }
  if (typeof body === 'string') reply.body = body;
  return reply;
}

function toSend(send: unknown): { data: Buffer; isBinary: boolean } {
  if (typeof send === 'string') return { data: Buffer.from(send), isBinary: false };
  const base64 = (send as { base64?: unknown }).base64;
  if (typeof base64 !== 'string') throw bad('its `send` is neither a text nor bytes');
  return { data: Buffer.from(base64, 'base64'), isBinary: true };
}

export function groupsOf(groups: unknown): string[] {
  const sound = Array.isArray(groups) && groups.length <= GROUPS_MAX && groups.every(isGroupName);
  if (!sound) throw bad(`its groups are not at most ${GROUPS_MAX} names of 1 to ${GROUP_NAME_MAX} characters`);
  return [...new Set(groups)];
}

export function isGroupName(name: unknown): name is string {
  return typeof name === 'string' && name.length > 0 && name.length <= GROUP_NAME_MAX;
}

function stateOf(state: unknown): string | null {
  if (state === null) return null;
  const text = JSON.stringify(state);
  if (Buffer.byteLength(text) > STATE_BYTES_MAX) throw bad(`its state has more than ${STATE_BYTES_MAX} bytes of JSON`);
  return text;
}

export function closeOf(close: unknown): { code: number; reason: string } {
  const { code = 1000, reason = '' } = close as { code?: unknown; reason?: unknown };
  const sound =
    typeof code === 'number' && (code === 1000 || (code >= 3000 && code <= 4999) || (code >= 1007 && code <= 1013 && code !== 1010));
  if (!sound || !Number.isInteger(code))
    throw bad(`it closes with ${String(code).slice(0, 20)}; 1000, 1007 to 1009, 1011 to 1013, or 3000 to 4999 may be said`);
  if (typeof reason !== 'string' || Buffer.byteLength(reason) > 123) throw bad('its reason to close is no text of at most 123 bytes');
  return { code, reason };
}

function statusOf(status: unknown): number {
  if (typeof status === 'number' && Number.isInteger(status) && status >= 200 && status <= 599) return status;
  throw bad(`its status is ${String(status).slice(0, 20)}, not a number from 200 to 599`);
}

function bad(why: string): VirgaError {
  return new VirgaError('function_bad_response', `the function's answer to an event of a connection cannot be used: ${why}`);
}
