// GET /v1/openapi.json: open; the description of this API, made once from the schemas that validate its requests.
// docs/reference/openapi.json is this document; reference.test.ts checks that it is current.
import { z } from '@hono/zod-openapi';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';

export function readOpenApi(app: ControlApp): void {
  let document: object | undefined;
  operation(
    app,
    {
      method: 'get',
      path: '/v1/openapi.json',
      summary: 'The OpenAPI 3.1 description of this API',
      open: true,
      answers: { 200: { description: 'The document.', schema: z.record(z.string(), z.unknown()) } },
      errors: [],
    },
    (_input, c) => c.json((document ??= openApiOf(app))),
  );
}

export function openApiOf(app: ControlApp): object {
  const registry = app.hono.openAPIRegistry;
  if (!registry.definitions.some((definition) => definition.type === 'component')) {
    registry.registerComponent('securitySchemes', 'token', {
      type: 'http',
      scheme: 'bearer',
      description: 'The operator token of the node (`operator-token` in its data folder), as `Authorization: Bearer vrg_…`.',
    });
  }
  return app.hono.getOpenAPI31Document({
    openapi: '3.1.0',
    info: {
      title: 'Virga control API',
      version: '1',
      description:
        'Errors are `{"error": {"code", "message", "fault", "requestId", "detail"?}}`; the codes are listed in errors.md. Every answer has an `x-request-id`, taken from the request if it has one. Lists are `{"items", "next"}`: `next` goes into `?cursor=`.',
      license: { name: 'Apache-2.0', url: 'https://www.apache.org/licenses/LICENSE-2.0' },
    },
    servers: [{ url: 'http://127.0.0.1:8081' }],
  });
}
