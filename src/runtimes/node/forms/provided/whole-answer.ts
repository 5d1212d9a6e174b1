// The whole answer of a program (POST …/response) as the answer of its invocation. Invariant: over HTTP it is the JSON that API
// Gateway takes, or a BadResponse that says so; a direct invocation gets the bytes as they are. Called by runtime-api.ts.
import { isUtf8 } from 'node:buffer';
import { BadResponse } from '../../failure.ts';
import { fromLambdaResult } from '../lambda/events.ts';
import type { Assignment } from './assignments.ts';

export async function wholeAnswer({ invocation, event }: Assignment, body: Buffer, httpEvent: string | undefined): Promise<void> {
  const { meta, answer } = invocation;
  if (meta.kind === 'event') {
    const result = parsed(body);
    // What came of a queue or a table may name what has to come again.
    const outcome = event === undefined || 'error' in result ? undefined : fromLambdaResult(result.value, { meta, event });
    if (outcome !== undefined) return answer.whole({ status: 200, headers: outcome.headers }, outcome.body);
    const type = !('error' in result) ? 'application/json' : isUtf8(body) ? 'text/plain;charset=UTF-8' : 'application/octet-stream';
    // By its looks, not by its header: curl, for one, says of everything that it is a form.
    return answer.whole({ status: 200, headers: ['content-type', type] }, body);
  }
  const result = parsed(body);
  if ('error' in result)
    throw new BadResponse(
      `it is not JSON (${result.error}), and an HTTP request is answered by JSON such as {"statusCode": 200, "body": "…"}`,
    );
  const { status, headers, body: content } = fromLambdaResult(result.value, { meta, event, httpEvent });
  if (meta.method === 'HEAD' || status === 204 || status === 304) return answer.empty({ status, headers });
  return answer.whole({ status, headers }, content);
}

function parsed(body: Buffer): { value: unknown } | { error: string } {
  try {
    return { value: JSON.parse(body.toString('utf8')) };
  } catch (error) {
    return { error: (error as Error).message };
  }
}
