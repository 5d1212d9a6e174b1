// Whether a failed statement is worth to be repeated: Postgres is away, starts, or stops. Used by the parts of events/workflows/.

const SQL_STATE = /^[0-9A-Z]{5}$/;
/** Connection exceptions, lack of resources, intervention of an operator: shut down, starting up. */
const AWAY = /^(?:08|53|57)/;

export function isAway(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  if (typeof code !== 'string') return error instanceof Error && /terminat|connection|ended|timeout/i.test(error.message);
  return SQL_STATE.test(code) ? AWAY.test(code) : /^(?:E[A-Z]+|VIRGA)/.test(code) || code === 'unavailable';
}
