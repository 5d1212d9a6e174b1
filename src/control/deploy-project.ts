// POST /v1/projects/{project}/deployments: makes the request the whole state of the project, or changes nothing.
// Invariant: concurrent deploys of one project come one after the other (row lock). An unchanged function makes no new
// version; one that returns to earlier code and settings gets its earlier number back; an unchanged project makes no deployment.
import { z } from '@hono/zod-openapi';
import type { DeployRequest } from '../protocol/settings.ts';
import type { Sql } from '../store/records/records.ts';
import { authProblems } from './auth-names.ts';
import type { ControlContext } from './context.ts';
import { fingerprintOf } from './fingerprint.ts';
import { deployAnswer, settle } from './new-state.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { invalidRequest } from './problems.ts';
import { findProject, highestVersions, lockOrCreateProject, versionsByFingerprint } from './project-records.ts';
import type { StoredProject, StoredVersion } from './project-records.ts';
import { routeProblems, sortedRoutes } from './routes.ts';
import { secretNames } from './secrets.ts';
import { webhookProblems } from './webhook-targets.ts';
import { trafficOf } from './traffic.ts';
import { deployAnswer as answerSchema, deployRequest, name } from './schemas.ts';

type Needs = Pick<
  ControlContext,
  | 'records'
  | 'blobs'
  | 'bus'
  | 'webhooksPrivate'
  | 'edge'
  | 'publisher'
  | 'refreshTopologies'
  | 'now'
  | 'limits'
  | 'egressPrivate'
  | 'domains'
  | 'urls'
  | 'log'
>;

export function deployProject(app: ControlApp, needs: Needs): void {
  operation(
    app,
    {
      method: 'post',
      path: '/v1/projects/{project}/deployments',
      summary: 'Deploy a project',
      description:
        'Makes the request the whole state of the project, which is created if need be: functions and routes that it does not name are removed. Atomic and idempotent. The artifacts were uploaded before.',
      params: z.strictObject({ project: name }),
      query: z.strictObject({
        dryRun: z.enum(['true', 'false']).optional().openapi({ description: 'Only say what would change.' }),
      }),
      body: deployRequest,
      answers: {
        201: { description: 'A new deployment is current.', schema: answerSchema },
        200: { description: 'Nothing changed, or this was a dry run.', schema: answerSchema },
      },
      errors: ['artifacts_missing', 'setting_not_enforceable', 'domain_taken', 'request_too_large', 'conflict'],
    },
    async ({ params: { project }, query, body, principal }, c) => {
      const problems = [
        ...routeProblems(body),
        ...authProblems(body, await secretNames(needs.records, project)),
        ...webhookProblems(body.events, needs.webhooksPrivate),
      ];
      if (problems.length > 0) throw invalidRequest(problems);
      const dryRun = query.dryRun === 'true';
      const stats = await needs.edge.stats();
      const settled = dryRun
        ? await deploy(needs.records, false)
        : await needs.records.transaction(async (sql) => await deploy(sql, (await lockOrCreateProject(sql, project)).created));
      const answer = await deployAnswer(settled, { ...needs, project, dryRun });
      return c.json(answer, answer.changed && !dryRun ? 201 : 200);

      async function deploy(sql: Sql, created: boolean): ReturnType<typeof settle> {
        const before = await findProject(sql, project);
        const { functions, fresh } = await versionsFor(sql, { project, before, request: body });
        const traffic = await trafficOf(sql, { project, functions: body.functions, deployed: functions });
        const next = {
          traffic,
          project,
          kind: 'deploy',
          createdBy: principal.tokenName,
          before,
          created: created || before === undefined,
          functions,
          fresh,
        } as const;
        return await settle(
          sql,
          { ...next, routes: sortedRoutes(body.routes), gateway: body.gateway, folders: usedFolders(body), events: body.events, dryRun },
          { ...needs, stats },
        );
      }
    },
  );
}

/** Those that a route serves; undefined: there are none. */
function usedFolders({ routes, folders = {} }: DeployRequest): Record<string, string> | undefined {
  const served = new Set(routes.flatMap((route) => (route.static === undefined ? [] : [route.static.folder])));
  return served.size === 0 ? undefined : Object.fromEntries(Object.entries(folders).filter(([folder]) => served.has(folder)));
}

/** The version of each function of the request: the current one, an earlier one, or one that is to be made. */
async function versionsFor(
  sql: Sql,
  { project, before, request }: { project: string; before: StoredProject | undefined; request: DeployRequest },
): Promise<{ functions: Map<string, StoredVersion>; fresh: StoredVersion[] }> {
  const functions = new Map<string, StoredVersion>();
  const changed = new Map<string, string>();
  for (const [fn, wanted] of Object.entries(request.functions)) {
    const fingerprint = fingerprintOf(wanted);
    const current = before?.versions.get(fn);
    if (current?.fingerprint === fingerprint) functions.set(fn, current);
    else changed.set(fn, fingerprint);
  }
  const earlier = await versionsByFingerprint(sql, project, changed);
  const highest = await highestVersions(sql, project, [...changed.keys()]);
  const fresh: StoredVersion[] = [];
  for (const [fn, fingerprint] of changed) {
    const known = earlier.get(fn);
    if (known !== undefined) {
      functions.set(fn, known);
      continue;
    }
    const { artifact, settings } = request.functions[fn]!;
    const version = { function: fn, number: (highest.get(fn) ?? 0) + 1, artifact, settings, fingerprint, createdAt: '' };
    functions.set(fn, version);
    fresh.push(version);
  }
  return { functions, fresh };
}
