// What the control API answers when something throws. Invariant: a caller learns what it can act on and nothing else: the
// text of an unexpected error goes to the platform log, under the request id, never into the answer.
import { ERRORS, VirgaError } from '../protocol/errors.ts';

/** Errors of the database and the system that mean something to the caller; everything else is `internal`. */
export function failureOf(error: unknown, requestId: string): VirgaError {
  if (isVirgaError(error)) return error;
  const code = codeOf(error);
  if (code === 'ENOSPC' || code === 'EDQUOT' || code === '53100') {
    return new VirgaError('disk_full', 'the disk with the data folder is full; nothing was changed. Free some space and try again', {
      cause: error,
    });
  }
  if (code === '40P01' || code === '40001' || code === '55P03') {
    return new VirgaError('conflict', 'something else changed the same thing at the same time; nothing was changed, try again', {
      cause: error,
    });
  }
  if (code === '57014') {
    return new VirgaError(
      'unavailable',
      'the database took too long and was stopped; narrow the question down, e.g. with `since` or `function`',
      { cause: error },
    );
  }
  if (isConnectionLoss(code, error)) {
    return new VirgaError(
      'unavailable',
      'the database does not answer; it is restarted if it is the embedded one, so try again in a moment',
      { cause: error },
    );
  }
  return new VirgaError('internal', `something unexpected happened; the platform log has it under ${requestId}`, { cause: error });
}

function isVirgaError(error: unknown): error is VirgaError {
  return error instanceof Error && error.name === 'VirgaError' && Object.hasOwn(ERRORS, (error as VirgaError).code);
}

function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : '';
}

function isConnectionLoss(code: string, error: unknown): boolean {
  // 08: connection exceptions; 57P: shut down, crashed, cannot connect now; 53300: too many connections.
  if (/^(?:08...|57P0.|53300|ECONNREFUSED|ECONNRESET|EPIPE|ENOENT)$/.test(code)) return code !== 'ENOENT' || syscallOf(error) === 'connect';
  return (
    error instanceof Error &&
    /^(?:Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error)/i.test(error.message)
  );
}

function syscallOf(error: unknown): unknown {
  return (error as { syscall?: unknown }).syscall;
}
