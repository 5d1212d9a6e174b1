// What was recorded where `record` says so: GET /v1/projects/{project}/recordings (newest first) and …/{id}. Invariant: what was left out
// is named, and is nowhere here.
import { z } from '@hono/zod-openapi';
import { readRequest } from '../events/async/request.ts';
import type { RecordedMessage } from '../events/replay/record-events.ts';
import { findRecordings, listRecordings } from '../events/replay/recordings.ts';
import type { Recorded } from '../events/replay/recordings.ts';
import { resultOf } from '../events/replay/replay.ts';
import { VirgaError } from '../protocol/errors.ts';
import type { RecordingDetail, RecordingItem, ReplayResult } from '../protocol/replay-api.ts';
import type { ControlContext } from './context.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { pageOf, pageRequest } from './pagination.ts';
import { requireProject } from './project-records.ts';
import { name, pageOf as pageSchema, pageQuery, time } from './schemas.ts';
import { sinceMs } from './since.ts';

export const replayResult = z.object({
  status: z.int(),
  headers: z.array(z.string()),
  contentType: z.string(),
  text: z.string().optional(),
  base64: z.string().optional(),
  truncated: z.boolean(),
}) satisfies z.ZodType<ReplayResult>;
/** Of whatever can be run again: `inv_…`, `msg_…`, `evt_…`, or as the sender named it. */
export const replayedId = z
  .string()
  .min(1)
  .max(256)
  .refine((text) => !text.includes('\0'), 'must not have a NUL character');
export const replaySource = z.string().min(1).max(2_048);

const fields = {
  id: z.string(),
  source: z.string(),
  at: time,
  expiresAt: time,
  function: z.string().nullable(),
  version: z.int().nullable(),
  summary: z.string().nullable(),
  status: z.int().nullable(),
  outcomes: z.record(z.string(), z.object({ state: z.enum(['done', 'failed', 'dead']), at: time, error: z.string().optional() })),
  redacted: z.array(z.string()),
};
const item = z.object(fields).openapi('RecordingItem') satisfies z.ZodType<RecordingItem>;
const detail = z
  .object({
    ...fields,
    request: z.object({
      method: z.string().optional(),
      url: z.string().optional(),
      headers: z.array(z.string()).optional(),
      attributes: z.record(z.string(), z.string()).optional(),
      contentType: z.string().optional(),
      text: z.string().optional(),
      base64: z.string().optional(),
    }),
    answer: replayResult.nullable(),
  })
  .openapi('RecordingDetail') satisfies z.ZodType<RecordingDetail>;

export function listRecorded(app: ControlApp, { records, now }: Pick<ControlContext, 'records' | 'now'>): void {
  operation(
    app,
    {
      method: 'get',
      path: '/v1/projects/{project}/recordings',
      summary: 'List what was recorded, newest first',
      params: z.strictObject({ project: name }),
      query: z.strictObject({
        ...pageQuery,
        source: replaySource.optional().openapi({ description: 'e.g. `queue/orders`, `topic/prices`, `route/notes/{id}`.' }),
        since: z.string().max(64).optional().openapi({ description: 'How long ago (90s, 10m, 2h, 7d) or an ISO 8601 time.' }),
      }),
      answers: { 200: { description: 'A page.', schema: pageSchema(item) } },
      errors: ['project_not_found'],
    },
    async ({ params: { project }, query }, c) => {
      await requireProject(records, project);
      const list = `recordings/${project}`;
      const page = pageRequest(list, query);
      const [at = '', ...id] = page.after?.split(' ') ?? [];
      const before = page.after === undefined ? undefined : { at: Number(at), id: id.join(' ') };
      const filter = { project, source: query.source, sinceMs: sinceMs(query.since, now()), before, limit: page.limit + 1 };
      const found = await listRecordings(records, filter);
      const { items, next } = pageOf(list, page, found, (one) => `${one.at} ${one.id}`);
      return c.json({ items: items.map(itemOf), next });
    },
  );
}

export function readRecorded(app: ControlApp, { records }: Pick<ControlContext, 'records'>): void {
  operation(
    app,
    {
      method: 'get',
      path: '/v1/projects/{project}/recordings/{id}',
      summary: 'Read what was recorded of an event or a request',
      description: 'An event that passed several places has a recording for each.',
      params: z.strictObject({ project: name, id: replayedId }),
      answers: { 200: { description: 'All of this id.', schema: z.object({ items: z.array(detail) }) } },
      errors: ['recording_not_found'],
    },
    async ({ params: { project, id } }, c) => {
      const found = await findRecordings(records, project, id);
      if (found.length === 0)
        throw new VirgaError(
          'recording_not_found',
          `project '${project}' has no recording of '${id.slice(0, 100)}'; \`virga recordings\` lists those that it has`,
        );
      return c.json({ items: found.map(detailOf) });
    },
  );
}

function itemOf(one: Recorded): RecordingItem {
  const at = (ms: number): string => new Date(ms).toISOString();
  return {
    id: one.id,
    source: one.source,
    at: at(one.at),
    expiresAt: at(one.expiresAt),
    function: one.function,
    version: one.version,
    summary: one.summary,
    status: one.answer?.status ?? null,
    outcomes: Object.fromEntries(Object.entries(one.outcomes).map(([fn, note]) => [fn, { ...note, at: at(note.at) }])),
    redacted: one.redacted,
  };
}

function detailOf(one: Recorded): RecordingDetail {
  const answer = one.answer === null ? null : resultOf({ ...one.answer, body: one.answerBody ?? Buffer.alloc(0) });
  return { ...itemOf(one), request: requestOf(one), answer };
}

function requestOf({ source, content }: Recorded): RecordingDetail['request'] {
  if (!source.startsWith('route')) {
    const { body, attributes } = JSON.parse(content) as RecordedMessage;
    return { text: body, attributes };
  }
  const request = readRequest(content);
  if (request === undefined) return {};
  const { contentType, body, http } = request;
  const text = body.toString();
  return {
    ...(http === undefined ? {} : { method: http.method, url: http.url, headers: http.headers }),
    contentType,
    ...(body.equals(Buffer.from(text)) ? { text } : { base64: body.toString('base64') }),
  };
}
