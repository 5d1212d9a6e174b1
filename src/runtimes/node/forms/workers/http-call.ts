// An HTTP request as a Worker gets it. Invariant: the headers that Cloudflare's edge sets (CF-Connecting-IP and its kin) say what
// this gateway saw, whatever the client sent; the Request has no `cf`; redirects that the Worker fetches with it are passed on
// and not followed. Called by workers.ts.
import type { HttpRequestMeta } from '../../../../protocol/frames.ts';
import type { Context } from '../../context.ts';
import type { Invocation } from '../../invocation.ts';
import { callFetch } from '../../web-call.ts';
import { encodedAsSaid, isEncoded } from './encoded-body.ts';
import { missingHint } from './environment.ts';
import type { WorkerEnvironment } from './environment.ts';
import { ExecutionContext } from './execution-context.ts';
import type { Worker } from './worker.ts';

const REQUEST_INIT: RequestInit = { redirect: 'manual' };
/** Where Cloudflare has the code of a data centre. */
const PLACE = 'VRG';

export async function serveHttp(
  { worker, environment }: { worker: Worker; environment: WorkerEnvironment },
  { invocation, meta, context }: { invocation: Invocation; meta: HttpRequestMeta; context: Context },
): Promise<void> {
  if (!worker.has('fetch')) throw new TypeError('the Worker has no fetch(), and got an HTTP request');
  setEdgeHeaders(meta);
  const answer = async (request: Request): Promise<unknown> => {
    const response = await worker.fetch(request, environment, new ExecutionContext(invocation, context));
    return isEncoded(response) ? encodedAsSaid(response, meta) : response;
  };
  try {
    await callFetch(answer, invocation, context, REQUEST_INIT);
  } catch (error) {
    const hint = missingHint(error, environment);
    if (hint !== undefined) context.log.warn(hint);
    throw error;
  }
}

function setEdgeHeaders(meta: HttpRequestMeta): void {
  const { headers } = meta;
  for (let i = headers.length - 2; i >= 0; i -= 2) {
    const name = headers[i]!;
    // C, c, X, x: a look at the first letter spares most names the rest.
    const first = name.charCodeAt(0) | 32;
    if (first !== 0x63 && first !== 0x78) continue;
    const lower = name.toLowerCase();
    if (lower.startsWith('cf-') || lower === 'x-real-ip') headers.splice(i, 2);
  }
  const scheme = meta.url.slice(0, meta.url.indexOf(':'));
  // 16 digits of the trace id, so that it leads to the call: 00-<32 digits>-….
  headers.push('cf-connecting-ip', meta.client, 'x-real-ip', meta.client, 'cf-visitor', `{"scheme":"${scheme}"}`);
  if (meta.trace.length >= 19) headers.push('cf-ray', `${meta.trace.slice(3, 19)}-${PLACE}`);
}
