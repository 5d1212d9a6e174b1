// The control role's side of the edge's private server (edge.sock in the run folder). Invariant: every question has a
// bound in time and in bytes; an edge that is away is an expected outcome (`unavailable`, or undefined), never a crash.
import { Agent, request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { EventCall, EventOutcome } from '../events/invoker.ts';
import type { ConnectionItem } from '../protocol/control-api.ts';
import { VirgaError } from '../protocol/errors.ts';
import type { CachePurged, CacheStats } from '../protocol/cache-stats.ts';
import type { ErrorCode } from '../protocol/errors.ts';
import type { ServiceAnswer, ServiceRequest } from '../protocol/frames.ts';
import type { CertificateStats, EdgeStats } from '../protocol/stats.ts';
import type { EdgeAnswer, EdgeClient, EdgeInvocation } from './context.ts';

/** The edge gives up after 5 s by itself. */
const SYNC_TIMEOUT_MS = 6_000;
const STATS_TIMEOUT_MS = 1_000;
const CACHE_TIMEOUT_MS = 5_000;
const STATS_BYTES_MAX = 64 * 1024 * 1024;
/** Besides the result itself: the record, 1,000 log lines of 16 KiB, and what JSON adds. */
const INVOKE_EXTRA_BYTES = 40 * 1024 * 1024;

interface Question {
  method: 'GET' | 'POST';
  path: string;
  headers?: Record<string, string>;
  body?: AsyncIterable<Uint8Array>;
  /** null: the function's own timeout bounds it. */
  timeoutMs: number | null;
  maxBytes: number;
  signal?: AbortSignal;
}

export class EdgeSocket implements EdgeClient {
  readonly #socketPath: string;
  readonly #invokeBytesMax: number;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1_000, maxFreeSockets: 8, timeout: 0 });

  constructor(options: { socketPath: string; invokeBytesMax: number }) {
    this.#socketPath = options.socketPath;
    this.#invokeBytesMax = options.invokeBytesMax;
  }

  async sync(deployment: number): Promise<void> {
    await this.#tell(`/sync?deployment=${deployment}`);
  }

  async syncAccess(project: string): Promise<void> {
    await this.#tell(`/access?project=${encodeURIComponent(project)}`);
  }

  async #tell(path: string): Promise<void> {
    const answer = await this.#ask({ method: 'POST', path, timeoutMs: SYNC_TIMEOUT_MS, maxBytes: 64 * 1024 });
    if (answer.status !== 204) throw new VirgaError('unavailable', `the edge answered ${answer.status} ${messageOf(answer.body)}`.trim());
  }

  async stats(): Promise<EdgeStats | undefined> {
    try {
      const answer = await this.#ask({ method: 'GET', path: '/stats', timeoutMs: STATS_TIMEOUT_MS, maxBytes: STATS_BYTES_MAX });
      return answer.status === 200 ? (JSON.parse(answer.body.toString('utf8')) as EdgeStats) : undefined;
    } catch {
      return undefined;
    }
  }

  async certificates(): Promise<CertificateStats | undefined> {
    try {
      const answer = await this.#ask({ method: 'GET', path: '/certificates', timeoutMs: STATS_TIMEOUT_MS, maxBytes: STATS_BYTES_MAX });
      return answer.status === 200 ? (JSON.parse(answer.body.toString('utf8')) as CertificateStats) : undefined;
    } catch {
      return undefined;
    }
  }

  /** The edge reads its certificates anew; one that is away reads them when it starts. */
  async refreshCertificates(): Promise<void> {
    await this.#ask({ method: 'POST', path: '/certificates', timeoutMs: SYNC_TIMEOUT_MS, maxBytes: 64 * 1024 }).catch(() => {});
  }

  async invoke(call: EdgeInvocation): Promise<EdgeAnswer> {
    const query = new URLSearchParams({ project: call.project, function: call.function });
    if (call.version !== undefined) query.set('version', String(call.version));
    const headers: Record<string, string> = { 'content-type': call.contentType, 'x-request-id': call.requestId };
    if (call.traceparent !== undefined) headers['traceparent'] = call.traceparent;
    if (call.clientContext !== undefined) headers['x-client-context'] = call.clientContext;
    return await this.#ask({
      method: 'POST',
      path: `/invoke?${query.toString()}`,
      headers,
      body: call.body,
      timeoutMs: null,
      // A result travels as JSON text or base64, and is never larger than the payload bound of both directions.
      maxBytes: this.#invokeBytesMax * 2 + INVOKE_EXTRA_BYTES,
      signal: call.signal,
    });
  }

  async call({ signal, body, ...call }: EventCall): Promise<EventOutcome> {
    const asked = Buffer.from(JSON.stringify({ call, base64: body.toString('base64') }));
    const answer = await this.#ask({
      method: 'POST',
      path: '/call',
      body: Readable.from([asked]),
      timeoutMs: null,
      maxBytes: this.#invokeBytesMax * 2 + INVOKE_EXTRA_BYTES,
      ...(signal === undefined ? {} : { signal }),
    });
    if (answer.status !== 200) throw new VirgaError('unavailable', `the edge answered ${answer.status} ${messageOf(answer.body)}`.trim());
    const { outcome, base64 } = JSON.parse(answer.body.toString('utf8')) as { outcome: EventOutcome; base64: string };
    return outcome.ok ? { ...outcome, body: Buffer.from(base64, 'base64') } : outcome;
  }

  async connections(filter: {
    project: string;
    group: string | undefined;
    after: string | undefined;
    limit: number;
  }): Promise<ConnectionItem[]> {
    const query = new URLSearchParams({ project: filter.project, limit: String(filter.limit), after: filter.after ?? '' });
    if (filter.group !== undefined) query.set('group', filter.group);
    const answer = await this.#ask({
      method: 'GET',
      path: `/connections?${query.toString()}`,
      timeoutMs: STATS_TIMEOUT_MS,
      maxBytes: STATS_BYTES_MAX,
    });
    if (answer.status !== 200) throw new VirgaError('unavailable', `the edge answered ${answer.status} ${messageOf(answer.body)}`.trim());
    return JSON.parse(answer.body.toString('utf8')) as ConnectionItem[];
  }

  async askConnections(project: string, asked: ServiceRequest, data: Buffer): Promise<unknown> {
    const body = Buffer.from(JSON.stringify({ request: asked, base64: data.toString('base64') }));
    const path = `/connections?${new URLSearchParams({ project }).toString()}`;
    const answer = await this.#ask({
      method: 'POST',
      path,
      body: Readable.from([body]),
      timeoutMs: SYNC_TIMEOUT_MS,
      maxBytes: 64 * 1024,
    });
    const said = JSON.parse(answer.body.toString('utf8')) as ServiceAnswer;
    if ('error' in said) throw new VirgaError(said.error.code as ErrorCode, said.error.message);
    return said.value;
  }

  async cacheStats(project: string): Promise<CacheStats> {
    return await this.#cache<CacheStats>('GET', `/cache?${new URLSearchParams({ project }).toString()}`);
  }

  async purgeCache(project: string, { path, tag }: { path?: string | undefined; tag?: string | undefined }): Promise<CachePurged> {
    const query = new URLSearchParams({ project, ...(path !== undefined && { path }), ...(tag !== undefined && { tag }) });
    return await this.#cache<CachePurged>('POST', `/cache/purge?${query.toString()}`);
  }

  async #cache<T>(method: 'GET' | 'POST', path: string): Promise<T> {
    const answer = await this.#ask({ method, path, timeoutMs: CACHE_TIMEOUT_MS, maxBytes: 64 * 1024 });
    if (answer.status !== 200) throw new VirgaError('unavailable', `the edge answered ${answer.status} ${messageOf(answer.body)}`.trim());
    return JSON.parse(answer.body.toString('utf8')) as T;
  }

  close(): void {
    this.#agent.destroy();
  }

  async #ask(question: Question): Promise<EdgeAnswer> {
    const timeout = question.timeoutMs === null ? undefined : AbortSignal.timeout(question.timeoutMs);
    const signals = [question.signal, timeout].filter((signal) => signal !== undefined);
    const { promise, resolve, reject } = Promise.withResolvers<EdgeAnswer>();
    const outgoing = request(
      {
        socketPath: this.#socketPath,
        agent: this.#agent,
        method: question.method,
        path: question.path,
        headers: { host: 'edge', ...question.headers },
        signal: AbortSignal.any(signals),
      },
      (incoming) => void readAnswer(incoming, question.maxBytes).then(resolve, reject),
    );
    outgoing.on('error', reject);
    const source = Readable.from(question.body ?? [], { objectMode: false });
    // An edge that answers before the end (unknown function, queue full) stops reading: its answer counts, not the broken pipe.
    pipeline(source, outgoing).catch((error: unknown) => {
      if (error instanceof VirgaError) reject(error);
    });
    try {
      return await promise;
    } catch (error) {
      outgoing.destroy();
      if (error instanceof VirgaError) throw error;
      if (question.signal?.aborted) throw new VirgaError('client_closed_request', 'the client left before the answer', { cause: error });
      const reason = timeout?.aborted
        ? `did not answer within ${question.timeoutMs} ms`
        : `does not answer (${(error as NodeJS.ErrnoException).code ?? String(error)})`;
      throw new VirgaError('unavailable', `the edge ${reason}; it is restarted by itself, so try again in a moment`, { cause: error });
    } finally {
      // Lets go of a body that was not read to its end, so that the server can drain it.
      source.destroy();
    }
  }
}

async function readAnswer(incoming: IncomingMessage, maxBytes: number): Promise<EdgeAnswer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw new VirgaError('internal', `the edge answered more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return {
    status: incoming.statusCode ?? 500,
    contentType: incoming.headers['content-type'] ?? 'application/json',
    retryAfter: incoming.headers['retry-after'],
    body: Buffer.concat(chunks),
  };
}

function messageOf(body: Buffer): string {
  try {
    return (JSON.parse(body.toString('utf8')) as { error: { message: string } }).error.message;
  } catch {
    return '';
  }
}
