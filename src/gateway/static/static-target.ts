// A route that serves the files of a folder: which file a path means, in which coding, whole, in part or not at all (RFC 9110).
// Invariant: a path is compared with the names in the index, decoded once; it never becomes the path of a file by itself.
// Made by targets.ts for each deployment.
import { VirgaError } from '../../protocol/errors.ts';
import type { FlatHeaders } from '../../protocol/frames.ts';
import type { StaticRules } from '../../protocol/policies/static.ts';
import { byteRange } from '../byte-ranges.ts';
import { notModified, preconditionFails, rangeHolds } from '../conditional.ts';
import type { GatewayRequest, LocalAnswer, LocalTarget, Refusal } from '../stage.ts';
import { codingFor } from './accept-encoding.ts';
import type { Coding, FileIndex, StaticFile } from './file-index.ts';
import { isImmutable } from './immutable.ts';
import type { StaticFolder } from './static-files.ts';

type Answer = LocalAnswer | Refusal | Promise<LocalAnswer | Refusal>;

const ALLOW = 'GET, HEAD, OPTIONS';
const FOR_EVER = 'public, max-age=31536000, immutable';

export class StaticTarget implements LocalTarget {
  readonly #folder: StaticFolder;
  readonly #rules: StaticRules;
  /** The parameter that names the file. */
  readonly #parameter: string;
  readonly #indexName: string;
  readonly #fallback: string | undefined;

  constructor(folder: StaticFolder, rules: StaticRules, path: string) {
    this.#folder = folder;
    this.#rules = rules;
    this.#parameter = /\{([^{}]+)\+\}$/.exec(path)?.[1] ?? '';
    this.#indexName = rules.index ?? 'index.html';
    this.#fallback = rules.fallback ?? (rules.spa === true ? this.#indexName : undefined);
  }

  answer(request: GatewayRequest): Answer {
    const { index } = this.#folder;
    return index === undefined ? this.#folder.load().then((loaded) => this.#answer(request, loaded)) : this.#answer(request, index);
  }

  #answer(request: GatewayRequest, index: FileIndex): Answer {
    const { method } = request;
    if (method !== 'GET' && method !== 'HEAD') return notAllowed(method);
    const { files } = index;
    const mark = request.asked.indexOf('?');
    const path = mark < 0 ? request.asked : request.asked.slice(0, mark);
    const name = request.params[this.#parameter] ?? '';
    const asFolder = name === '' ? this.#indexName : `${name}/${this.#indexName}`;
    if (path.endsWith('/')) {
      const file = files.get(asFolder);
      if (file !== undefined) return this.#send(request, index, file);
    } else {
      const file = files.get(name) ?? (this.#rules.cleanUrls === true ? files.get(`${name}.html`) : undefined);
      if (file !== undefined) return this.#send(request, index, file);
      if (files.has(asFolder)) {
        const location = `${request.prefix}${path.replace(/^\/{2,}/, '/')}/${mark < 0 ? '' : request.asked.slice(mark)}`;
        return { status: 308, headers: ['location', location, 'cache-control', 'no-cache'] };
      }
    }
    return this.#missing(request, index, path);
  }

  /** There is no such file. */
  #missing(request: GatewayRequest, index: FileIndex, path: string): Answer {
    const fallback = this.#fallback === undefined ? undefined : index.files.get(this.#fallback);
    if (fallback !== undefined && request.header('accept')?.includes('text/html') === true)
      return this.#send(request, index, fallback, ['vary', 'accept']);
    const page = this.#rules.notFound === undefined ? undefined : index.files.get(this.#rules.notFound);
    if (page === undefined) return { error: new VirgaError('file_not_found', `there is no file for ${path.slice(0, 200)}`) };
    const headers = ['content-type', page.type, 'x-content-type-options', 'nosniff', 'cache-control', 'no-cache'];
    return this.#whole(request, page, { status: 404, headers });
  }

  #send(request: GatewayRequest, { lastModified }: FileIndex, file: StaticFile, more: FlatHeaders = []): Answer {
    const { headers: asked } = request.incoming;
    const range = request.method === 'GET' ? asked.range : undefined;
    // A part is one of the file as it is: what is cut from something compressed is of no use.
    const coding = range === undefined ? codingFor(asked['accept-encoding'], file) : undefined;
    const etag = coding === undefined ? `"${file.hash}"` : `"${file.hash}-${coding}"`;
    const headers: FlatHeaders = ['etag', etag, 'last-modified', lastModified, 'cache-control', this.#cacheControl(file), ...more];
    addVaryFor(headers, file);
    const validators = { etag, lastModified };
    if (preconditionFails({ ifMatch: asked['if-match'], ifUnmodifiedSince: asked['if-unmodified-since'] }, validators))
      return { status: 412, headers };
    if (notModified({ ifNoneMatch: asked['if-none-match'], ifModifiedSince: asked['if-modified-since'] }, validators))
      return { status: 304, headers };
    headers.push('content-type', file.type, 'x-content-type-options', 'nosniff', 'accept-ranges', 'bytes');
    if (range !== undefined && rangeHolds(request.header('if-range'), validators)) {
      const part = byteRange(range, file.bytes);
      if (part === 'unsatisfiable') return { status: 416, headers: ['content-range', `bytes */${file.bytes}`] };
      if (part !== undefined) {
        headers.push(
          'content-range',
          `bytes ${part.first}-${part.last}/${file.bytes}`,
          'content-length',
          String(part.last - part.first + 1),
        );
        return withBody(this.#folder.part(file, part), { status: 206, headers });
      }
    }
    return this.#whole(request, file, { status: 200, headers, coding });
  }

  #whole(
    { method }: GatewayRequest,
    file: StaticFile,
    { status, headers, coding }: { status: number; headers: FlatHeaders; coding?: Coding | undefined },
  ): Answer {
    if (coding !== undefined) headers.push('content-encoding', coding);
    headers.push('content-length', String(coding === undefined ? file.bytes : file[coding]!));
    return method === 'HEAD' ? { status, headers } : withBody(this.#folder.whole(file, coding), { status, headers });
  }

  #cacheControl({ path }: StaticFile): string {
    return isImmutable(path, this.#rules.immutable) ? FOR_EVER : (this.#rules.cacheControl ?? 'no-cache');
  }
}

function withBody(
  body: ReturnType<StaticFolder['whole']>,
  answer: { status: number; headers: FlatHeaders },
): LocalAnswer | Promise<LocalAnswer> {
  return body instanceof Promise ? body.then((read) => ({ ...answer, body: read })) : { ...answer, body };
}

function addVaryFor(headers: FlatHeaders, file: StaticFile): void {
  if (file.br === undefined && file.gzip === undefined) return;
  const at = headers.indexOf('vary');
  if (at < 0) headers.push('vary', 'accept-encoding');
  else headers[at + 1] += ', accept-encoding';
}

function notAllowed(method: string): LocalAnswer | Refusal {
  if (method === 'OPTIONS') return { status: 204, headers: ['allow', ALLOW] };
  return { error: new VirgaError('method_not_allowed', `${method} is not allowed on files; allowed: ${ALLOW}`), headers: ['allow', ALLOW] };
}
