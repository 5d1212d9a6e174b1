// What `gateway.openapi` adds to the routes of a project: the document, and the page to try calls on. Invariant: the document is made
// when it is first asked for, once for each deployment, so a deployment costs nothing for it. Called by read-model-load.ts by way of
// targets.ts.
import { createHash } from 'node:crypto';
import { openApiDocument } from '../../protocol/openapi/document.ts';
import type { DocumentSource } from '../../protocol/openapi/document.ts';
import type { GatewayRequest, LocalAnswer, LocalTarget, OwnRoute } from '../stage.ts';
import { docsPage } from './docs-page.ts';

export function openApiRoutes(source: DocumentSource): OwnRoute[] {
  const { serve, docs } = source.gateway.openapi ?? {};
  if (serve === undefined) return [];
  const routes: OwnRoute[] = [{ route: { path: serve, methods: ['GET'] }, local: new DocumentTarget(source) }];
  if (docs !== undefined) {
    // From the page's folder up to the root, and down to the document.
    const address = '../'.repeat(docs.split('/').length - 2) + serve.slice(1);
    routes.push({ route: { path: docs, methods: ['GET'] }, local: { answer: () => docsPage(address) } });
  }
  return routes;
}

class DocumentTarget implements LocalTarget {
  readonly #source: DocumentSource;
  #made: { body: Buffer; etag: string } | undefined;

  constructor(source: DocumentSource) {
    this.#source = source;
  }

  answer(request: GatewayRequest): LocalAnswer {
    const { body, etag } = (this.#made ??= this.#make());
    const headers = ['etag', etag, 'cache-control', 'no-cache'];
    if (matches(request.header('if-none-match'), etag)) return { status: 304, headers };
    return { status: 200, headers: ['content-type', 'application/json', ...headers], body };
  }

  #make(): { body: Buffer; etag: string } {
    const body = Buffer.from(JSON.stringify(openApiDocument(this.#source)));
    return { body, etag: `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"` };
  }
}

/** https://www.rfc-editor.org/rfc/rfc9110#name-if-none-match: weakly compared. */
function matches(asked: string | undefined, etag: string): boolean {
  return asked !== undefined && asked.split(',').some((one) => ['*', etag].includes(one.trim().replace(/^W\//, '')));
}
