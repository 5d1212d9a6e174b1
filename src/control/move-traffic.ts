// PUT /v1/projects/{project}/functions/{function}/live: moves the requests of one function between its versions, and leaves all else
// as it is deployed. Invariant: it is a deployment like any (it is in the history, and a rollback undoes it), without a build.
import { z } from '@hono/zod-openapi';
import { live } from '../protocol/policies/traffic.ts';
import type { ControlContext } from './context.ts';
import { functionNotFound } from './list-versions.ts';
import { deployAnswer, settle, trafficByFunction } from './new-state.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { lockProject, requireProject } from './project-records.ts';
import { deployAnswer as answerSchema, name } from './schemas.ts';
import { trafficOf } from './traffic.ts';

type Needs = Pick<
  ControlContext,
  'records' | 'blobs' | 'bus' | 'edge' | 'publisher' | 'refreshTopologies' | 'now' | 'limits' | 'egressPrivate' | 'domains' | 'urls' | 'log'
>;

export function moveTraffic(app: ControlApp, needs: Needs): void {
  operation(
    app,
    {
      method: 'put',
      path: '/v1/projects/{project}/functions/{function}/live',
      summary: 'Say which versions of a function get its requests',
      description: 'Nothing else of the project changes. The next deployment says it anew.',
      params: z.strictObject({ project: name, function: name }),
      body: z.strictObject({ live: live.nullable().openapi({ description: 'null: the version that was deployed last, alone.' }) }),
      answers: {
        201: { description: 'A new deployment is current.', schema: answerSchema },
        200: { description: 'It was so already.', schema: answerSchema },
      },
      errors: ['project_not_found', 'function_not_found', 'artifacts_missing', 'conflict'],
    },
    async ({ params: { project, function: fn }, body, principal }, c) => {
      const stats = await needs.edge.stats();
      const settled = await needs.records.transaction(async (sql) => {
        await lockProject(sql, project);
        const before = await requireProject(sql, project);
        const { versions: functions, state } = before;
        if (!functions.has(fn)) throw functionNotFound(project, fn);
        const asked = { [fn]: body.live === null ? {} : { live: body.live } };
        const moved = await trafficOf(sql, { project, functions: asked, deployed: functions });
        const traffic = trafficByFunction(state);
        const { live: _before, ...others } = traffic.get(fn) ?? {};
        traffic.set(fn, { ...others, ...moved.get(fn) });
        return await settle(
          sql,
          {
            project,
            kind: 'deploy',
            createdBy: principal.tokenName,
            before,
            created: false,
            functions,
            fresh: [],
            traffic,
            routes: state.routes,
            gateway: state.gateway,
            folders: state.folders,
            events: state.events,
            dryRun: false,
          },
          { ...needs, stats },
        );
      });
      const answer = await deployAnswer(settled, { ...needs, project, dryRun: false });
      return c.json(answer, answer.changed ? 201 : 200);
    },
  );
}
