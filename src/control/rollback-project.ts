// POST /v1/projects/{project}/rollback: returns to an earlier deployment as a whole. Invariant: it makes a new deployment
// with the old state, so history only grows. Without `to` it goes to the newest other state before the current one; a
// second one without `to` therefore undoes the first.
import { z } from '@hono/zod-openapi';
import { VirgaError } from '../protocol/errors.ts';
import type { ProjectState } from '../protocol/settings.ts';
import type { Sql } from '../store/records/records.ts';
import type { ControlContext } from './context.ts';
import { deployAnswer, settle, trafficByFunction } from './new-state.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { lockProject, requireProject, versionsOf } from './project-records.ts';
import type { StoredProject } from './project-records.ts';
import { deployAnswer as answerSchema, name } from './schemas.ts';

type Needs = Pick<
  ControlContext,
  'records' | 'blobs' | 'bus' | 'edge' | 'publisher' | 'refreshTopologies' | 'now' | 'limits' | 'egressPrivate' | 'domains' | 'urls' | 'log'
>;

export function rollbackProject(app: ControlApp, needs: Needs): void {
  operation(
    app,
    {
      method: 'post',
      path: '/v1/projects/{project}/rollback',
      summary: 'Return to an earlier deployment',
      params: z.strictObject({ project: name }),
      body: z.strictObject({
        to: z
          .int()
          .min(1)
          .optional()
          .openapi({ description: 'Id of a deployment of this project; without it, the one before the current one.' }),
      }),
      answers: {
        201: { description: 'A new deployment, with the earlier state, is current.', schema: answerSchema },
        200: { description: 'The project has this state already.', schema: answerSchema },
      },
      errors: ['project_not_found', 'deployment_not_found', 'artifacts_missing', 'setting_not_enforceable', 'domain_taken', 'conflict'],
    },
    async ({ params: { project }, body, principal }, c) => {
      const stats = await needs.edge.stats();
      const settled = await needs.records.transaction(async (sql) => {
        await lockProject(sql, project);
        const before = await requireProject(sql, project);
        const state = await stateToReturnTo(sql, before, body.to);
        const functions = await versionsOf(sql, project, state);
        const next = {
          project,
          kind: 'rollback',
          createdBy: principal.tokenName,
          before,
          created: false,
          functions,
          traffic: trafficByFunction(state),
          fresh: [],
        } as const;
        return await settle(
          sql,
          { ...next, fresh: [], routes: state.routes, gateway: state.gateway, folders: state.folders, events: state.events, dryRun: false },
          { ...needs, stats },
        );
      });
      const answer = await deployAnswer(settled, { ...needs, project, dryRun: false });
      return c.json(answer, answer.changed ? 201 : 200);
    },
  );
}

async function stateToReturnTo(sql: Sql, project: StoredProject, to: number | undefined): Promise<ProjectState> {
  const { rows } = await sql.query<{ state: ProjectState }>(
    to === undefined
      ? 'select state from deployments where project = $1 and id < $2 order by id desc limit 1'
      : 'select state from deployments where project = $1 and id = $2',
    [project.name, to ?? project.deployment ?? 0],
  );
  if (rows[0] !== undefined) return rows[0].state;
  const message =
    to === undefined
      ? `project '${project.name}' has no deployment before the current one (${project.deployment ?? 'none'}), so there is nothing to return to`
      : `project '${project.name}' has no deployment ${to} (any more); GET /v1/projects/${project.name}/deployments lists those that are`;
  throw new VirgaError('deployment_not_found', message);
}
