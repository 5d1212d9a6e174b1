// What a handler returns for an event of a WebSocket, as the answer that the gateway reads: bytes as they are, all else as JSON, in
// which the bytes of `send` stand in base64. Pure. Called by handler-call.ts.
import type { ResponseMeta } from '../../protocol/frames.ts';

export function socketAnswer(result: unknown, toJson: (value: unknown) => string): { meta: ResponseMeta; body: Buffer } {
  if (result instanceof Uint8Array)
    return { meta: { status: 200, headers: ['content-type', 'application/octet-stream'] }, body: Buffer.from(result) };
  const { send } = (result ?? {}) as { send?: unknown };
  const value = send instanceof Uint8Array ? { ...(result as object), send: { base64: Buffer.from(send).toString('base64') } } : result;
  return { meta: { status: 200, headers: ['content-type', 'application/json'] }, body: Buffer.from(toJson(value)) };
}
