// GET /v1/projects/{project}/usage: what principals have used of their usage plans in the day and the month that are.
// Invariant: what it answers is as old as the edge's last write, a few seconds. The table is filled by gateway/throttle/quotas.ts.
import { z } from '@hono/zod-openapi';
import { listUsage as queryUsage } from '../observe/usage-counters.ts';
import type { UsageItem } from '../protocol/control-api.ts';
import { SUBJECT_LENGTH_MAX, periodOf } from '../protocol/usage.ts';
import type { ControlContext } from './context.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { pageOf, pageRequest } from './pagination.ts';
import { requireProject } from './project-records.ts';
import { name, pageOf as pageSchema, pageQuery, time } from './schemas.ts';

const item = z
  .object({ subject: z.string(), plan: z.string(), period: z.string(), used: z.int(), limit: z.int().nullable(), resetsAt: time })
  .openapi('Usage') satisfies z.ZodType<UsageItem>;

const text = z
  .string()
  .max(SUBJECT_LENGTH_MAX)
  .regex(/^[ -~]+$/, 'must be printable ASCII');

export function listUsage(app: ControlApp, { records, now }: Pick<ControlContext, 'records' | 'now'>): void {
  operation(
    app,
    {
      method: 'get',
      path: '/v1/projects/{project}/usage',
      summary: 'List what principals have used of their plans in this day or month',
      params: z.strictObject({ project: name }),
      query: z.strictObject({
        ...pageQuery,
        key: text.optional().openapi({ description: 'Id of an API key, or a whole subject such as `ip:203.0.113.7`.' }),
        plan: text.optional(),
      }),
      answers: { 200: { description: 'A page.', schema: pageSchema(item) } },
      errors: ['project_not_found'],
    },
    async ({ params: { project }, query }, c) => {
      const list = `usage/${project}`;
      const page = pageRequest(list, query);
      const plans = (await requireProject(records, project)).state.gateway?.plans ?? {};
      const periods = { day: periodOf('day', now()), month: periodOf('month', now()) };
      const [subject = '', period = ''] = page.after?.split('\n') ?? [];
      const counters = await queryUsage(records, {
        project,
        periods: [periods.day.key, periods.month.key],
        key: query.key,
        plan: query.plan,
        after: page.after === undefined ? undefined : { subject, period },
        limit: page.limit + 1,
      });
      const items = counters.map((counter) => {
        const per = counter.period === periods.day.key ? 'day' : 'month';
        const quota = Object.hasOwn(plans, counter.plan) ? plans[counter.plan]!.quota : undefined;
        return {
          subject: counter.subject,
          plan: counter.plan,
          period: counter.period,
          used: counter.used,
          limit: quota?.per === per ? quota.limit : null,
          resetsAt: new Date(periods[per].endsMs).toISOString(),
        };
      });
      return c.json(pageOf(list, page, items, (one) => `${one.subject}\n${one.period}`));
    },
  );
}
