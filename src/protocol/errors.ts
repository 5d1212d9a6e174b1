// The one table of errors: code, HTTP status, whose fault it is, whether to retry. Every API answers with these, as
// {"error":{"code","message","fault","requestId","detail"?}}. Errors are compared by code, never by class, across
// processes. docs/reference/errors.md is generated from this table.
import type { Explanation } from './explanation.ts';

export type Fault = 'caller' | 'function' | 'platform';
export type Retry = 'no' | 'later' | 'now';

interface Entry {
  status: number;
  fault: Fault;
  retry: Retry;
  /** What it means and what to do about it, for the reference documentation. */
  meaning: string;
}

export const ERRORS = {
  invalid_request: { status: 400, fault: 'caller', retry: 'no', meaning: 'The request is malformed; the message names the value.' },
  unauthorized: { status: 401, fault: 'caller', retry: 'no', meaning: 'No token, or one that is not known. `virga login` stores one.' },
  caller_unknown: { status: 401, fault: 'caller', retry: 'no', meaning: 'The route asks who calls, and nothing, or nothing valid, was sent; `WWW-Authenticate` says what is taken.' },
  forbidden: { status: 403, fault: 'caller', retry: 'no', meaning: 'The token is known but may not do this.' },
  caller_not_allowed: { status: 403, fault: 'caller', retry: 'no', meaning: 'The caller is known, and lacks a scope, a claim or the right to this route.' },
  address_not_allowed: { status: 403, fault: 'caller', retry: 'no', meaning: 'The route is not open to the address of the client (`ip` in virga.yaml).' },
  not_found: { status: 404, fault: 'caller', retry: 'no', meaning: 'There is no such path in this API.' },
  project_not_found: { status: 404, fault: 'caller', retry: 'no', meaning: 'There is no project of this name; `virga projects` lists them.' },
  function_not_found: { status: 404, fault: 'caller', retry: 'no', meaning: 'The project has no function of this name; `virga functions` lists them.' },
  version_not_found: { status: 404, fault: 'caller', retry: 'no', meaning: 'The function has no such version; `virga versions` lists them.' },
  deployment_not_found: { status: 404, fault: 'caller', retry: 'no', meaning: 'The project has no such deployment to return to.' },
  artifact_not_found: { status: 404, fault: 'caller', retry: 'no', meaning: 'The artifact was never uploaded.' },
  key_not_found: { status: 404, fault: 'caller', retry: 'no', meaning: 'The project has no API key of this id; `virga keys list` lists them.' },
  secret_not_found: { status: 404, fault: 'caller', retry: 'no', meaning: 'The project has no secret of this name; `virga secrets list` lists them.' },
  stream_not_found: { status: 404, fault: 'caller', retry: 'no', meaning: 'The project has no stream of this name; `virga streams` lists them.' },
  consumer_not_found: { status: 404, fault: 'caller', retry: 'no', meaning: 'No function of this name reads the stream; `virga streams consumers` lists those that do.' },
  workflow_not_found: { status: 404, fault: 'caller', retry: 'no', meaning: 'The project has no workflow of this name: a function with `workflow` in virga.yaml; `virga workflows` lists them.' },
  run_not_found: { status: 404, fault: 'caller', retry: 'no', meaning: 'The workflow has no run of this id (any more); `virga workflows` lists them.' },
  invocation_not_found: { status: 404, fault: 'caller', retry: 'no', meaning: 'There is no record of this invocation (any more).' },
  invocation_not_ended: { status: 409, fault: 'caller', retry: 'later', meaning: 'The asynchronous invocation has no answer yet; its status says when it has.' },
  invocation_not_queued: { status: 409, fault: 'caller', retry: 'no', meaning: 'The asynchronous invocation runs already, or has ended: it cannot be cancelled any more.' },
  queue_not_found: { status: 404, fault: 'caller', retry: 'no', meaning: 'The project has no queue of this name; `virga queues` lists them.' },
  topic_not_found: { status: 404, fault: 'caller', retry: 'no', meaning: 'The project has no topic of this name; `virga topics` lists them.' },
  schedule_not_found: { status: 404, fault: 'caller', retry: 'no', meaning: 'The project has no schedule of this name; `virga schedules` lists them.' },
  source_not_found: { status: 404, fault: 'caller', retry: 'no', meaning: 'Nothing of the project is delivered under this name; the message says what is.' },
  message_not_found: { status: 404, fault: 'caller', retry: 'no', meaning: 'There is no message of this id (any more): it was handled, dropped, or never there.' },
  redrive_not_found: { status: 404, fault: 'caller', retry: 'no', meaning: 'No redrive of this id runs, and none that ended is remembered.' },
  recording_not_found: { status: 404, fault: 'caller', retry: 'no', meaning: 'Nothing that could be run again has this id (any more); `virga recordings` lists what was recorded.' },
  route_not_found: { status: 404, fault: 'caller', retry: 'no', meaning: 'No route of the project matches this path.' },
  connection_not_found: { status: 410, fault: 'caller', retry: 'no', meaning: 'The project has no WebSocket connection of this id (any more).' },
  file_not_found: { status: 404, fault: 'caller', retry: 'no', meaning: 'The folder that the route serves has no such file.' },
  method_not_allowed: { status: 405, fault: 'caller', retry: 'no', meaning: 'The path exists, but not with this method; `Allow` lists those that do.' },
  domain_not_found: { status: 404, fault: 'caller', retry: 'no', meaning: 'The project has no such domain; `virga domains` lists those that it has.' },
  request_timeout: { status: 408, fault: 'caller', retry: 'now', meaning: 'The request, or its body, came slower than this node waits.' },
  run_ended: { status: 409, fault: 'caller', retry: 'no', meaning: 'The run of the workflow has ended: no event reaches it, and it cannot be cancelled.' },
  run_not_failed: { status: 409, fault: 'caller', retry: 'no', meaning: 'Only a run that has failed, or was cancelled, can be tried again.' },
  workflow_lost: { status: 409, fault: 'caller', retry: 'no', meaning: 'Another wake-up has the run of the workflow, or it has ended; nothing more is written in the name of this one.' },
  conflict: { status: 409, fault: 'caller', retry: 'later', meaning: 'Something else changed the same thing at the same time.' },
  message_held: { status: 409, fault: 'caller', retry: 'later', meaning: 'The message is with a receiver at the moment, and cannot be taken away from it.' },
  queue_has_function: { status: 409, fault: 'caller', retry: 'no', meaning: 'The messages of the queue go to a function, and nobody else receives them; look at them with `virga queues peek`.' },
  queue_not_empty: { status: 409, fault: 'caller', retry: 'later', meaning: 'What is asked for takes an empty queue, and this one has messages; the message says how many.' },
  redrive_running: { status: 409, fault: 'caller', retry: 'later', meaning: 'A redrive of the same dead letters runs already; wait for it, or cancel it.' },
  secret_in_use: { status: 409, fault: 'caller', retry: 'no', meaning: 'What is deployed names this secret; deploy without it first.' },
  artifacts_missing: { status: 409, fault: 'caller', retry: 'no', meaning: 'The deployment names artifacts that were not uploaded; `detail.missing` lists them.' },
  domain_taken: { status: 409, fault: 'caller', retry: 'no', meaning: 'The domain belongs to another project of this node.' },
  domain_not_proven: { status: 409, fault: 'caller', retry: 'later', meaning: 'The TXT record that proves the ownership of a domain is not there (yet); `virga domains` shows it.' },
  request_too_large: { status: 413, fault: 'caller', retry: 'no', meaning: 'The body is larger than the limit that the message names.' },
  artifact_too_large: { status: 413, fault: 'caller', retry: 'no', meaning: 'The artifact is larger than the server accepts.' },
  url_too_long: { status: 414, fault: 'caller', retry: 'no', meaning: 'The URL is longer than this node accepts (`VIRGA_LIMIT_URL_BYTES`).' },
  unsupported_media_type: { status: 415, fault: 'caller', retry: 'no', meaning: 'The route does not take bodies of this type; the message says which it takes.' },
  artifact_invalid: { status: 422, fault: 'caller', retry: 'no', meaning: 'The bytes do not have the promised sha256, or are not a valid archive.' },
  invalid_manifest: { status: 422, fault: 'caller', retry: 'no', meaning: 'virga.yaml is not valid; every problem is listed with its place.' },
  setting_not_enforceable: { status: 422, fault: 'caller', retry: 'no', meaning: 'This node cannot enforce a setting that the function asks for; the message says which and why.' },
  build_failed: { status: 422, fault: 'caller', retry: 'no', meaning: 'The function could not be built on the client.' },
  idempotency_key_reused: { status: 422, fault: 'caller', retry: 'no', meaning: 'The `Idempotency-Key` was used with another request before; each request has a key of its own.' },
  replay_impossible: { status: 422, fault: 'caller', retry: 'no', meaning: 'What has this id cannot be run again; the message says why.' },
  too_many: { status: 422, fault: 'caller', retry: 'no', meaning: 'There are as many of these as may be; the message names the limit.' },
  function_overloaded: { status: 429, fault: 'caller', retry: 'later', meaning: 'More calls of the function come than it can serve, or its queue is full; `Retry-After` says when to try again.' },
  rate_limited: {
    status: 429,
    fault: 'caller',
    retry: 'later',
    meaning: 'A `throttle` or `concurrency` of the route, of the plan or of the node is used up; the message says which, `detail.policies` names it as `RateLimit-Policy` does, `Retry-After` says when to try again.',
  },
  quota_exceeded: { status: 429, fault: 'caller', retry: 'later', meaning: 'The quota of the usage plan is used up for this day or month (UTC); `Retry-After` says when the next one begins.' },
  workflow_full: {
    status: 429,
    fault: 'caller',
    retry: 'later',
    meaning: 'The workflow has as many runs that have not ended as it may (`maxRuns`), or the run as many events that it waits for none of, or as many runs wait for the same events as may; nothing was stored.',
  },
  workflow_too_large: { status: 413, fault: 'caller', retry: 'no', meaning: 'The run of the workflow has more steps, or more bytes of results, than are kept; the message names the limit.' },
  queue_full: { status: 429, fault: 'caller', retry: 'later', meaning: 'The queue has as many messages, or bytes, as it may (`maxMessages`, `maxBytes`); nothing was stored. It has room again when messages are handled, or purged.' },
  project_overloaded: { status: 429, fault: 'caller', retry: 'later', meaning: 'As many calls of the project wait as may; `Retry-After` says when to try again.' },
  headers_too_large: { status: 431, fault: 'caller', retry: 'no', meaning: 'The headers are more, or larger, than this node accepts; the message names the limit.' },
  websocket_required: { status: 426, fault: 'caller', retry: 'no', meaning: 'The route is a WebSocket of version 13; nothing else is served there.' },
  client_closed_request: { status: 499, fault: 'caller', retry: 'no', meaning: 'The client left before the answer was complete.' },
  internal: { status: 500, fault: 'platform', retry: 'later', meaning: 'A fault of Virga itself; the platform log has it under the request id.' },
  authorizer_failed: { status: 502, fault: 'function', retry: 'no', meaning: 'The function that decides who may call failed, or answered with something else than a decision.' },
  function_error: { status: 502, fault: 'function', retry: 'no', meaning: 'The handler threw; `virga logs` shows the stack.' },
  function_bad_response: { status: 502, fault: 'function', retry: 'no', meaning: 'The handler answered with something that is not a response.' },
  function_crashed: { status: 502, fault: 'function', retry: 'no', meaning: 'The process of the function ended during the call.' },
  function_load_failed: { status: 502, fault: 'function', retry: 'no', meaning: 'The code could not be loaded; `detail.stack` says where.' },
  response_not_valid: { status: 502, fault: 'function', retry: 'no', meaning: 'The answer does not fit the `response` schema of its route; `detail.errors` says where.' },
  function_out_of_memory: { status: 502, fault: 'function', retry: 'no', meaning: 'The function was killed at its memory limit; raise `memory` in virga.yaml.' },
  upgrade_not_supported: { status: 501, fault: 'caller', retry: 'no', meaning: 'The function takes no WebSocket connections, nor other protocols; those of the runtimes web, bun and deno do.' },
  node_overloaded: { status: 503, fault: 'platform', retry: 'later', meaning: 'As many calls wait on this node as may; `Retry-After` says when to try again.' },
  unavailable: { status: 503, fault: 'platform', retry: 'later', meaning: 'Virga is starting, stopping, or lacks something it needs; the message says what.' },
  issuer_unavailable: { status: 503, fault: 'platform', retry: 'later', meaning: 'What the gateway verifies callers by (keys of an issuer, a secret) cannot be had; the message says why.' },
  sandbox_unavailable: { status: 503, fault: 'platform', retry: 'later', meaning: 'No sandbox could be started on this node; the message says why.' },
  invocation_expired: { status: 504, fault: 'function', retry: 'no', meaning: 'The asynchronous invocation had not succeeded within the `maxAge` of its function.' },
  function_timeout: { status: 504, fault: 'function', retry: 'no', meaning: 'The function did not answer within its `timeout`; its instance was killed.' },
  not_cached: { status: 504, fault: 'caller', retry: 'no', meaning: 'The request takes only an answer that the gateway has kept (`Cache-Control: only-if-cached`), and there is none.' },
  disk_full: { status: 507, fault: 'platform', retry: 'later', meaning: 'The disk with the data folder is full; nothing was changed. Free some space.' },
} as const satisfies Record<string, Entry>;

export type ErrorCode = keyof typeof ERRORS;

export interface ErrorBody {
  error: { code: ErrorCode; message: string; fault: Fault; requestId: string; detail?: unknown };
}

/** A failure with a code of the table. `detail` goes to the caller as it is: nothing secret belongs in it. */
export class VirgaError extends Error {
  readonly code: ErrorCode;
  readonly detail: unknown;
  /** For the record of the call, not for the caller: it may quote what the function printed. */
  readonly explanation: Explanation | null;
  /** Seconds after which it is worth to try again, where that is known. */
  readonly retryAfterS: number | undefined;

  constructor(code: ErrorCode, message: string, options: { detail?: unknown; cause?: unknown; explanation?: Explanation; retryAfterS?: number } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'VirgaError';
    this.code = code;
    this.detail = options.detail;
    this.explanation = options.explanation ?? null;
    this.retryAfterS = options.retryAfterS;
  }

  get status(): number {
    return ERRORS[this.code].status;
  }
}

export function errorBody(error: { code: ErrorCode; message: string; detail?: unknown }, requestId: string): ErrorBody {
  const body: ErrorBody = { error: { code: error.code, message: error.message, fault: ERRORS[error.code].fault, requestId } };
  if (error.detail !== undefined) body.error.detail = error.detail;
  return body;
}
