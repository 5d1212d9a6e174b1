// What every operation of the control client fails with. Compare by `code` (the table is docs/reference/errors.md);
// two codes are the client's own: `unreachable` (no answer came) and `bad_answer` (something that is not Virga answered).
import type { ErrorBody, ErrorCode, Fault } from '../../src/protocol/errors.ts';

export type ApiErrorCode = ErrorCode | 'unreachable' | 'bad_answer';

/** One problem of an `invalid_request`; `detail` is a list of these. */
export interface RequestProblem {
  /** Where, e.g. `functions.hello.settings.memoryMiB` or `?limit`. */
  path: string;
  message: string;
  /** The offending value (cut when it is long); absent when a value is missing. */
  value?: unknown;
}

export class VirgaApiError extends Error {
  readonly code: ApiErrorCode;
  /** HTTP status; 0 when no answer came. */
  readonly status: number;
  readonly fault: Fault;
  /** Names this request in the platform's log; empty when no answer came. */
  readonly requestId: string;
  readonly detail: unknown;
  /** Seconds after which another try makes sense, where the server says so. */
  readonly retryAfterS: number | undefined;

  constructor(
    code: ApiErrorCode,
    message: string,
    options: { status: number; fault: Fault; requestId: string; detail?: unknown; retryAfterS?: number | undefined; cause?: unknown },
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'VirgaApiError';
    this.code = code;
    this.status = options.status;
    this.fault = options.fault;
    this.requestId = options.requestId;
    this.detail = options.detail;
    this.retryAfterS = options.retryAfterS;
  }
}

/** Turns an answer that is not 2xx into the error that it carries. */
export async function apiErrorOf(response: Response, url: string): Promise<VirgaApiError> {
  const requestId = response.headers.get('x-request-id') ?? '';
  const retryAfter = Number(response.headers.get('retry-after') ?? Number.NaN);
  const retryAfterS = Number.isFinite(retryAfter) ? retryAfter : undefined;
  const text = await response.text().catch(() => '');
  let body: Partial<ErrorBody> = {};
  try {
    body = JSON.parse(text) as Partial<ErrorBody>;
  } catch {
    // Falls through to bad_answer below.
  }
  const error = typeof body === 'object' && body !== null ? body.error : undefined;
  if (error === undefined || typeof error.code !== 'string' || typeof error.message !== 'string') {
    const excerpt = text.length > 200 ? `${text.slice(0, 200)}…` : text;
    const message = `${url} answered ${response.status} with something that is not an answer of Virga's control API: ${JSON.stringify(excerpt)}; check the URL`;
    return new VirgaApiError('bad_answer', message, { status: response.status, fault: 'caller', requestId });
  }
  return new VirgaApiError(error.code, error.message, {
    status: response.status,
    fault: error.fault,
    requestId: error.requestId ?? requestId,
    detail: error.detail,
    retryAfterS,
  });
}
