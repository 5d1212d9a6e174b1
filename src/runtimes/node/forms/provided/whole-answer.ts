// The whole answer of a program (POST …/response) as the answer of its invocation. Invariant: over HTTP it is the JSON that API
// Gateway takes, or a BadResponse that says so; a direct invocation gets the bytes as they are. Called by runtime-api.ts.
import { isUtf8 } from 'node:buffer';
import { fromResult } from '../../api-gateway.ts';
import { BadResponse } from '../../failure.ts';
import type { Invocation } from '../../invocation.ts';

export async function wholeAnswer({ meta, answer }: Invocation, body: Buffer): Promise<void> {
  if (meta.kind === 'event') return answer.whole({ status: 200, headers: ['content-type', typeOf(body)] }, body);
  const { status, headers, body: content } = fromResult(resultOf(body), JSON.stringify);
  if (meta.method === 'HEAD' || status === 204 || status === 304) return answer.empty({ status, headers });
  return answer.whole({ status, headers }, content);
}

function resultOf(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch (error) {
    throw new BadResponse(
      `it is not JSON (${(error as Error).message}), and API Gateway takes JSON such as {"statusCode": 200, "body": "…"}`,
    );
  }
}

/** Programs name any type (curl's default is that of a form): what it is is looked at. */
function typeOf(body: Buffer): string {
  if (!isUtf8(body)) return 'application/octet-stream';
  try {
    JSON.parse(body.toString('utf8'));
    return 'application/json';
  } catch {
    return 'text/plain;charset=UTF-8';
  }
}
