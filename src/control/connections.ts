// The WebSockets of a project for operators: GET /v1/projects/{project}/connections lists them, POST …/send sends to one, a group or
// all, DELETE …/{connection} closes one. Invariant: the edge has the only list of them, and does the same as for a function of
// the project. The requests are checked here, and the project's existence before them.
import { z } from '@hono/zod-openapi';
import type { ConnectionItem } from '../protocol/control-api.ts';
import type { ControlContext } from './context.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { pageOf, pageRequest } from './pagination.ts';
import { invalidRequest } from './problems.ts';
import { requireProject } from './project-records.ts';
import { name, pageOf as pageSchema, pageQuery, time, wholeNumber } from './schemas.ts';

type Needs = Pick<ControlContext, 'records' | 'edge'>;

/** Less than a frame between guest and host may carry, so that whoever sends is held to the same. */
const TEXT_MAX = 512 * 1024;

const group = z.string().min(1).max(128);
const connectionId = z.string().regex(/^con_[0-9a-hjkmnp-tv-z]{26}$/, 'must be the id of a connection: con_ and 26 characters');

const item = z
  .object({
    id: z.string(),
    route: z.string(),
    function: z.string(),
    client: z.string(),
    connectedAt: time,
    groups: z.array(z.string()),
    principal: z.string().nullable(),
  })
  .openapi('Connection') satisfies z.ZodType<ConnectionItem>;

const sending = z
  .strictObject({
    connection: connectionId.optional(),
    group: group.optional(),
    all: z.literal(true).optional(),
    text: z.string().max(TEXT_MAX).optional(),
    base64: z.base64().max(TEXT_MAX).optional(),
  })
  .openapi('SendRequest');

export function listConnections(app: ControlApp, { records, edge }: Needs): void {
  operation(
    app,
    {
      method: 'get',
      path: '/v1/projects/{project}/connections',
      summary: 'List the WebSockets of a project, oldest first',
      params: z.strictObject({ project: name }),
      query: z.strictObject({ ...pageQuery, group: group.optional() }),
      answers: { 200: { description: 'A page.', schema: pageSchema(item) } },
      errors: ['project_not_found'],
    },
    async ({ params: { project }, query }, c) => {
      await requireProject(records, project);
      const list = `connections/${project}/${query.group ?? ''}`;
      const page = pageRequest(list, query);
      const items = await edge.connections({ project, group: query.group, after: page.after, limit: page.limit + 1 });
      return c.json(pageOf(list, page, items, ({ id }) => id));
    },
  );
}

export function sendToConnections(app: ControlApp, { records, edge }: Needs): void {
  operation(
    app,
    {
      method: 'post',
      path: '/v1/projects/{project}/connections/send',
      summary: 'Send a message to one WebSocket, to a group, or to all of a project',
      params: z.strictObject({ project: name }),
      body: sending,
      answers: { 200: { description: 'How many it was sent to.', schema: z.object({ sent: z.int() }) } },
      errors: ['project_not_found', 'connection_not_found', 'project_overloaded'],
    },
    async ({ params: { project }, body }, c) => {
      const to = [body.connection, body.group, body.all].filter((one) => one !== undefined);
      if (to.length !== 1) throw invalidRequest([{ path: 'connection', message: 'give exactly one of connection, group and all' }]);
      if ((body.text === undefined) === (body.base64 === undefined))
        throw invalidRequest([{ path: 'text', message: 'give either text or base64' }]);
      await requireProject(records, project);
      const binary = body.base64 !== undefined;
      const data = binary ? Buffer.from(body.base64!, 'base64') : Buffer.from(body.text!);
      if (body.connection !== undefined) {
        await edge.askConnections(project, { op: 'connections.send', id: body.connection, binary }, data);
        return c.json({ sent: 1 });
      }
      const request = { op: 'connections.broadcast', group: body.group ?? null, binary } as const;
      return c.json((await edge.askConnections(project, request, data)) as { sent: number });
    },
  );
}

export function closeConnection(app: ControlApp, { records, edge }: Needs): void {
  operation(
    app,
    {
      method: 'delete',
      path: '/v1/projects/{project}/connections/{connection}',
      summary: 'Close a WebSocket',
      params: z.strictObject({ project: name, connection: connectionId }),
      query: z.strictObject({
        code: wholeNumber
          .refine((code) => code === 1000 || (code >= 3000 && code <= 4999), 'must be 1000 or from 3000 to 4999')
          .optional()
          .openapi({ type: 'integer', description: 'Default: 1000.' }),
        reason: z
          .string()
          .refine((text) => Buffer.byteLength(text) <= 123, 'must have at most 123 bytes')
          .optional(),
      }),
      answers: { 204: { description: 'It is being closed.' } },
      errors: ['project_not_found', 'connection_not_found'],
    },
    async ({ params, query }, c) => {
      await requireProject(records, params.project);
      const { code = 1000, reason = '' } = query;
      await edge.askConnections(params.project, { op: 'connections.close', id: params.connection, code, reason }, Buffer.alloc(0));
      return c.body(null, 204);
    },
  );
}
