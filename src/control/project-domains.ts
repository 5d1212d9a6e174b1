// GET /v1/projects/{project}/domains, and POST …/domains/{domain}/verify: which names the project is served at, and the proof that
// they are its own. Invariant: a domain is served once this has answered that it is, unless the edge is away.
import { z } from '@hono/zod-openapi';
import type { DomainItem } from '../protocol/control-api.ts';
import type { ControlContext } from './context.ts';
import { domainsOf, proveDomain } from './domains.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { requireProject } from './project-records.ts';
import { name, time } from './schemas.ts';

const item = z
  .object({
    name: z.string(),
    project: z.string(),
    served: z.boolean(),
    proof: z.enum(['dns', 'trusted']).nullable(),
    provenAt: time.nullable(),
    record: z.object({ name: z.string(), value: z.string() }),
  })
  .openapi('Domain') satisfies z.ZodType<DomainItem>;
const domain = z.string().min(1).max(255);

export function listDomains(app: ControlApp, { records }: Pick<ControlContext, 'records'>): void {
  operation(
    app,
    {
      method: 'get',
      path: '/v1/projects/{project}/domains',
      summary: 'List the domains of a project, with what proves them',
      params: z.strictObject({ project: name }),
      answers: { 200: { description: 'All of them; there are at most a hundred.', schema: z.object({ items: z.array(item) }) } },
      errors: ['project_not_found'],
    },
    async ({ params: { project } }, c) => {
      await requireProject(records, project);
      return c.json({ items: await domainsOf(records, project) });
    },
  );
}

export function verifyDomain(app: ControlApp, needs: Pick<ControlContext, 'records' | 'edge' | 'domains' | 'log'>): void {
  const { records, edge, domains, log } = needs;
  operation(
    app,
    {
      method: 'post',
      path: '/v1/projects/{project}/domains/{domain}/verify',
      summary: 'Look for the proof of a domain, from when on it is served',
      params: z.strictObject({ project: name, domain }),
      answers: { 200: { description: 'It is served.', schema: item } },
      errors: ['project_not_found', 'domain_not_found', 'domain_not_proven', 'conflict'],
    },
    async ({ params }, c) => {
      await requireProject(records, params.project);
      const proven = await proveDomain(records, { project: params.project, name: params.domain.toLowerCase() }, domains);
      await records.query(`select pg_notify('virga_deployments', '0')`);
      try {
        await edge.sync(0);
      } catch (error) {
        log('warn', 'the edge did not confirm a domain', {
          domain: proven.name,
          reason: error instanceof Error ? error.message : String(error),
        });
      }
      return c.json(proven);
    },
  );
}
