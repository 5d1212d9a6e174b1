// The framed protocol between the engine (host) and the code inside a sandbox (guest), over the socket on fd 3.
// Invariant: a frame is a 16-byte header and `length` payload bytes; both sides refuse a longer payload than
// FRAME_PAYLOAD_MAX, so one frame never grows a buffer without bound. Bodies are raw bytes, never JSON or base64.
// Callers: functions/instance.ts (host), runtimes/node (guest); runtimes/python holds the same contract in Python.
//
//   0        4      5       6        8          12        16
//   | length | type | flags | (zero) | stream   | arg     | payload …
//     u32 LE   u8     u8      u16      u32 LE     u32 LE
//
// Stream 0 is the instance itself; an invocation has a stream of its own, chosen by the host, from 1 up.
// Backpressure: on each stream each side may have CREDIT_WINDOW body bytes on the way (bytes inside REQUEST and
// RESPONSE count too); the reader grants more with CREDIT as it consumes. A sender without credit stops reading its source.

import type { WorkflowRequest } from './workflow-run.ts';

export const HEADER_BYTES = 16;
/** Largest payload of any frame, in bytes. A longer one is a protocol error that ends the instance. */
export const FRAME_PAYLOAD_MAX = 1024 * 1024;
/** Body bytes that may be on the way on one stream in one direction before the reader grants more. */
export const CREDIT_WINDOW = 256 * 1024;
/** Largest slice of a body that one frame carries. */
export const BODY_CHUNK_MAX = 64 * 1024;

export const FrameType = {
  /** host → guest, stream 0. JSON `InitPayload`. The guest loads the code and answers READY or FAILED. */
  INIT: 1,
  /** host → guest. `arg`: ms until the deadline. Payload: u32 LE meta length, `RequestMeta` as fields (see encodeMetaFrame), first body bytes. */
  REQUEST: 2,
  /** both ways. Body bytes; the END flag says that no more follow. */
  BODY: 3,
  /** both ways. `arg`: bytes granted to the peer on this stream. */
  CREDIT: 4,
  /**
   * host → guest: abandon this invocation (the client left, or its deadline passed); nothing more of its answer is wanted.
   * The slot stays taken until the guest ends the stream (END or ERROR) because its handler has settled.
   * guest → host: the rest of the request body is not wanted (a response may still come).
   */
  CANCEL: 5,
  /** host → guest, stream 0. No more requests will come: finish what runs, run exit hooks, exit 0. */
  STOP: 6,
  /** host → guest, stream 0. `arg`: that of the SERVICE. JSON `ServiceAnswer`. */
  SERVED: 7,
  /** guest → host, stream 0, the first frame. JSON `HelloPayload`: the runtime has booted. */
  HELLO: 16,
  /** guest → host, stream 0. JSON `ReadyPayload`: the code is loaded, requests may come. */
  READY: 17,
  /** guest → host, stream 0. JSON `GuestError`: the code could not be loaded. The guest exits 1 afterwards. */
  FAILED: 18,
  /** guest → host. Payload: u32 LE meta length, `ResponseMeta` as fields, first body bytes. */
  RESPONSE: 19,
  /** guest → host. JSON `GuestError`: the handler threw, or its answer cannot be sent. Ends the stream. */
  ERROR: 20,
  /** guest → host. `arg`: level (`LogLevel`). Payload: UTF-8 text of one record, at most LOG_LINE_MAX bytes. Stream 0 outside an invocation. */
  LOG: 21,
  /** guest → host, stream 0. `arg`: peak resident memory of the guest so far, in KiB. Sent before END when it has grown. */
  STATS: 22,
  /** guest → host, stream 0. `arg`: how many promises given to waitUntil have not settled; sent when it becomes 0 or more than 0. */
  BACKGROUND: 23,
  /**
   * Sent by the programs that compile an artifact ahead, not by guests: a file begins on this stream. Payload: its name,
   * UTF-8. Its bytes follow in BODY frames, the last of which has the END flag.
   */
  FILE: 24,
  /**
   * guest → host, stream 0. `arg`: chosen by the guest, another one for each that is not answered yet. Asks a service of the node
   * in the name of the instance's own project. Payload: u32 LE length, JSON `ServiceRequest`, bytes. Answered by SERVED.
   */
  SERVICE: 25,
} as const;
export type FrameType = (typeof FrameType)[keyof typeof FrameType];

export const Flag = {
  /**
   * The last frame of this direction of the stream (on REQUEST, RESPONSE, BODY). On the guest's last frame of a
   * response, `arg` is the handler's time in µs from the REQUEST's arrival; the slot is free afterwards.
   */
  END: 1,
} as const;

export const LogLevel = { debug: 0, info: 1, warn: 2, error: 3 } as const;
export type LogLevelName = keyof typeof LogLevel;
/** Longest text of one LOG frame in bytes; the guest cuts longer ones and appends "… (cut)". */
export const LOG_LINE_MAX = 16 * 1024;

export interface InitPayload {
  project: string;
  function: string;
  version: number;
  /** Absolute path, as seen inside the sandbox, of the folder with the artifact. */
  codeFolder: string;
  /**
   * `<file>` or `<file>#<export>`, relative to codeFolder, e.g. `index.mjs`, `index.mjs#handler`, `main.py#handler`.
   * Without an export: Node takes `default.fetch`/`default.event`, else `handler`; Python takes `handler`.
   */
  handler: string;
  /** Who adapts the code to these frames (runtimes/<language>/forms): a form of settings.ts, or a runtime that starts a program. Absent: nobody. */
  form?: string;
  /** As in VersionSettings. */
  runtime: string;
  command?: string[];
  httpEvent?: string;
  /** Becomes the process's environment (nothing comes from the host). */
  env: Record<string, string>;
  memoryMiB: number;
  timeoutMs: number;
  concurrency: number;
  /** The host gives the loading up after this long, ms. */
  loadTimeoutMs?: number;
  /** Log bytes a second that the guest sends at most (with a burst of ten times this); it counts and reports what it drops. */
  logBytesPerSecond: number;
  /** Absolute path, as seen inside, of the folder with the artifact's compiled code. Absent: there is none. */
  compiledFolder?: string;
}

export interface HelloPayload {
  /** e.g. `nodejs26`. */
  runtime: string;
  /** e.g. `v26.10.0`. */
  runtimeVersion: string;
  bootMs: number;
}

export interface ReadyPayload {
  /** Time to read the code (ms). */
  loadMs: number;
  /** Time to compile and evaluate it, top-level await included (ms). */
  initMs: number;
  /** What can be called: `fetch` (web style), `event` (web style, events), `handler` (handler style), `serve` (a form's own way). */
  exports: ('fetch' | 'event' | 'handler' | 'serve')[];
}

export interface GuestError {
  name: string;
  message: string;
  stack: string;
}

/**
 * `connections`: to the WebSockets of the project, where the bytes of the frame are the message. `events`, `queues`, `topics`, `streams`: a JSON
 * list of what is sent. `workflow`: of runs (workflow-run.ts).
 */
export type ServiceRequest =
  | { op: 'connections.send'; id: string; binary: boolean }
  /** `group` null: all. */
  | { op: 'connections.broadcast'; group: string | null; binary: boolean; except?: string }
  | { op: 'connections.close'; id: string; code?: number; reason?: string }
  | { op: 'connections.join' | 'connections.leave'; id: string; group: string }
  /** `trace`: W3C traceparent of the invocation that asks. */
  | { op: 'events.publish'; trace?: string }
  | { op: 'queues.send'; queue: string }
  | { op: 'topics.publish'; topic: string; trace?: string }
  | { op: 'streams.append'; stream: string }
  | { op: 'runs.start'; workflow: string; id?: string }
  | { op: 'runs.send'; workflow: string; run: string; event: string; id?: string }
  | WorkflowRequest;

export type ServiceAnswer = { value: unknown } | { error: { code: string; message: string } };

/** Of one instance at the same time, without an answer; further ones are refused. */
export const SERVICES_MAX = 256;

/** Headers travel flat and in order: name, value, name, value… Values are Latin-1 strings, as node:http gives them. */
export type FlatHeaders = string[];

export interface HttpRequestMeta {
  kind: 'http';
  /** Invocation id, `inv_…`. */
  id: string;
  /** W3C traceparent of this invocation. */
  trace: string;
  method: string;
  /** Absolute URL as the client saw it, e.g. `http://tour.localhost:8080/notes/7?x=1`. */
  url: string;
  headers: FlatHeaders;
  /** Route that matched, e.g. `/notes/{id}`, and its parameters (percent-decoded). */
  route: string;
  params: Record<string, string>;
  /** Address of the client, e.g. `127.0.0.1`. */
  client: string;
  /** Who calls, where the gateway found it out: a `Principal` as JSON, which is read by whoever wants it. */
  principal?: string;
}

export interface EventRequestMeta {
  kind: 'event';
  id: string;
  trace: string;
  /** What caused it: `invoke` today; queues, schedules and the rest later. */
  trigger: string;
  /** Media type of the body; `application/json` when the body is the JSON payload. */
  contentType: string;
  /** What the caller says of itself, for code of AWS Lambda: JSON, in ASCII alone. Absent: nothing. */
  clientContext?: string;
}
export type RequestMeta = HttpRequestMeta | EventRequestMeta;

export interface ResponseMeta {
  /** For kind `event` 200 with the JSON result as body; a web style function without `event` answers as it would over HTTP. */
  status: number;
  headers: FlatHeaders;
}

export interface Frame {
  type: number;
  flags: number;
  stream: number;
  arg: number;
  payload: Buffer;
}

/** One frame as one Buffer. `payload` may be omitted. */
export function encodeFrame(type: FrameType, options: { flags?: number; stream?: number; arg?: number; payload?: Uint8Array }): Buffer {
  const payload = options.payload;
  const length = payload === undefined ? 0 : payload.byteLength;
  const frame = Buffer.allocUnsafe(HEADER_BYTES + length);
  writeHeader(frame, length, type, options.flags ?? 0, options.stream ?? 0, options.arg ?? 0);
  if (payload !== undefined) frame.set(payload, HEADER_BYTES);
  return frame;
}

/** A header alone: the caller writes the payload after it (large bodies are not copied). */
export function encodeHeader(type: FrameType, options: { length: number; flags?: number; stream?: number; arg?: number }): Buffer {
  const header = Buffer.allocUnsafe(HEADER_BYTES);
  writeHeader(header, options.length, type, options.flags ?? 0, options.stream ?? 0, options.arg ?? 0);
  return header;
}

export function encodeJsonFrame(type: FrameType, value: unknown, options: { flags?: number; stream?: number; arg?: number } = {}): Buffer {
  return encodeFrame(type, { ...options, payload: Buffer.from(JSON.stringify(value)) });
}

/**
 * A REQUEST or RESPONSE frame: header, meta length, meta, first body bytes, in one Buffer. The meta is UTF-8 text whose
 * fields stand between NUL characters, which none of them may hold (HTTP allows none; a field that has one makes the count of
 * fields wrong, which the peer refuses):
 *
 *   h, id, trace, method, url, route, client, params (JSON, or nothing), principal (JSON, or nothing), count of header fields, name, value, …
 *   e, id, trace, trigger, contentType, clientContext (or nothing)
 *   r, status, count of header fields, name, value, …
 *
 * As JSON the meta of one call cost edge and guest 5 µs more, on a machine where bare node:http takes 11 µs a request.
 */
export function encodeMetaFrame(
  type: FrameType,
  meta: RequestMeta | ResponseMeta,
  body: Uint8Array | undefined,
  options: { flags: number; stream: number; arg: number },
): Buffer {
  const text = 'status' in meta ? responseText(meta) : requestText(meta);
  const bodyBytes = body === undefined ? 0 : body.byteLength;
  const metaBytes = Buffer.byteLength(text);
  const length = 4 + metaBytes + bodyBytes;
  const frame = Buffer.allocUnsafe(HEADER_BYTES + length);
  writeHeader(frame, length, type, options.flags, options.stream, options.arg);
  frame.writeUInt32LE(metaBytes, HEADER_BYTES);
  frame.write(text, HEADER_BYTES + 4);
  if (body !== undefined && bodyBytes > 0) frame.set(body, HEADER_BYTES + 4 + metaBytes);
  return frame;
}

/** Splits the payload of a REQUEST or RESPONSE. Throws RangeError or SyntaxError when it is malformed. */
export function decodeMeta<M extends RequestMeta | ResponseMeta>(payload: Buffer): { meta: M; body: Buffer } {
  const metaBytes = payload.readUInt32LE(0);
  if (metaBytes > payload.length - 4) throw new RangeError(`meta of ${metaBytes} bytes in a payload of ${payload.length}`);
  const fields = payload.toString('utf8', 4, 4 + metaBytes).split(SEPARATOR);
  return { meta: metaOf(fields) as M, body: payload.subarray(4 + metaBytes) };
}

const SEPARATOR = '\0';
const REQUEST_FIELDS = 10;
const EVENT_FIELDS = 6;
const RESPONSE_FIELDS = 3;
type RequestFields = [string, string, string, string, string, string, string, string, string];
const NO_PARAMS: Record<string, string> = Object.freeze({});

function requestText(meta: RequestMeta): string {
  if (meta.kind === 'event') return `e\0${meta.id}\0${meta.trace}\0${meta.trigger}\0${meta.contentType}\0${meta.clientContext ?? ''}`;
  let params = '';
  for (const _ in meta.params) {
    params = JSON.stringify(meta.params);
    break;
  }
  const fixed = `h\0${meta.id}\0${meta.trace}\0${meta.method}\0${meta.url}\0${meta.route}\0${meta.client}\0${params}\0${meta.principal ?? ''}`;
  return withHeaders(fixed, meta.headers);
}

function responseText(meta: ResponseMeta): string {
  return withHeaders(`r\0${meta.status}`, meta.headers);
}

function withHeaders(fixed: string, headers: FlatHeaders): string {
  let text = `${fixed}\0${headers.length}`;
  for (const field of headers) text += SEPARATOR + field;
  return text;
}

function metaOf(fields: string[]): RequestMeta | ResponseMeta {
  switch (fields[0]) {
    case 'h': {
      const headers = headersOf(fields, REQUEST_FIELDS);
      const [, id, trace, method, url, route, client, params, principal] = fields as RequestFields;
      const parsed = params === '' ? NO_PARAMS : (JSON.parse(params) as Record<string, string>);
      const meta: HttpRequestMeta = { kind: 'http', id, trace, method, url, headers, route, params: parsed, client };
      if (principal !== '') meta.principal = principal;
      return meta;
    }
    case 'e': {
      if (fields.length !== EVENT_FIELDS) throw new RangeError(`an event's meta of ${fields.length} fields`);
      const [, id, trace, trigger, contentType, clientContext] = fields as [string, string, string, string, string, string];
      const meta: EventRequestMeta = { kind: 'event', id, trace, trigger, contentType };
      if (clientContext !== '') meta.clientContext = clientContext;
      return meta;
    }
    case 'r':
      return { status: Number(fields[1]), headers: headersOf(fields, RESPONSE_FIELDS) };
    default:
      throw new RangeError('a meta of an unknown kind');
  }
}

/** The fields after the fixed ones, of which the last says how many follow. */
function headersOf(fields: string[], fixed: number): FlatHeaders {
  if (fields.length < fixed || Number(fields[fixed - 1]) !== fields.length - fixed) {
    throw new RangeError(`a meta of ${fields.length} fields that announces another number`);
  }
  return fields.slice(fixed);
}

function writeHeader(frame: Buffer, length: number, type: number, flags: number, stream: number, arg: number): void {
  frame.writeUInt32LE(length, 0);
  // Type, flags, and two bytes of zero.
  frame.writeUInt32LE(type | (flags << 8), 4);
  frame.writeUInt32LE(stream, 8);
  frame.writeUInt32LE(arg, 12);
}

/**
 * Cuts a byte stream into frames. `push` calls `onFrame` for each whole frame in order; payloads are views of the
 * chunk where one chunk holds the frame, so a caller that keeps one longer copies it. Throws RangeError on a payload
 * over FRAME_PAYLOAD_MAX: the connection is then of no use.
 */
export class FrameReader {
  #rest: Buffer[] = [];
  #restBytes = 0;
  #onFrame: (frame: Frame) => void;

  constructor(onFrame: (frame: Frame) => void) {
    this.#onFrame = onFrame;
  }

  push(chunk: Buffer): void {
    let data = chunk;
    if (this.#restBytes > 0) {
      this.#rest.push(chunk);
      this.#restBytes += chunk.length;
      if (this.#restBytes < this.#needed()) return;
      data = Buffer.concat(this.#rest, this.#restBytes);
      this.#rest = [];
      this.#restBytes = 0;
    }
    let at = 0;
    while (data.length - at >= HEADER_BYTES) {
      const length = data.readUInt32LE(at);
      if (length > FRAME_PAYLOAD_MAX) throw new RangeError(`a frame of ${length} bytes; at most ${FRAME_PAYLOAD_MAX} are allowed`);
      const end = at + HEADER_BYTES + length;
      if (end > data.length) break;
      this.#onFrame({
        type: data[at + 4]!,
        flags: data[at + 5]!,
        stream: data.readUInt32LE(at + 8),
        arg: data.readUInt32LE(at + 12),
        payload: data.subarray(at + HEADER_BYTES, end),
      });
      at = end;
    }
    if (at < data.length) {
      this.#rest = [at === 0 ? data : data.subarray(at)];
      this.#restBytes = data.length - at;
    }
  }

  /** Bytes that the unfinished frame needs in all, as far as known. */
  #needed(): number {
    let first = this.#rest[0]!;
    if (first.length < 4) {
      if (this.#restBytes < 4) return HEADER_BYTES;
      first = Buffer.concat(this.#rest, this.#restBytes);
      this.#rest = [first];
    }
    const length = first.readUInt32LE(0);
    return length > FRAME_PAYLOAD_MAX ? 0 : HEADER_BYTES + length;
  }
}
