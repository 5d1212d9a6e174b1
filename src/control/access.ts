// What the operations on API keys and secrets share: how a key is stored and shown, and how the edge learns of a change.
// Invariant: whoever changes keys or secrets calls accessChanged in the same transaction, and accessSeen after it.
import type { KeyItem } from '../protocol/control-api.ts';
import { VirgaError } from '../protocol/errors.ts';
import type { Sql } from '../store/records/records.ts';
import { z } from '@hono/zod-openapi';
import type { ControlContext } from './context.ts';
import { time } from './schemas.ts';

export const keyId = z.string().regex(/^vk_[0-9a-z]{10}$/, 'must be the id of an API key: vk_ and 10 characters');

export const keyItem = z
  .object({
    id: z.string(),
    name: z.string(),
    scopes: z.array(z.string()),
    plan: z.string().nullable(),
    routes: z.array(z.string()).nullable(),
    createdAt: time,
    rotatedAt: time.nullable(),
    previousUntil: time.nullable(),
    expiresAt: time.nullable(),
    lastUsedAt: time.nullable(),
  })
  .openapi('Key') satisfies z.ZodType<KeyItem>;

export const keyAnswer = keyItem.extend({ key: z.string(), warning: z.string().optional() }).openapi('NewKey');

export interface KeyRow {
  id: string;
  name: string;
  scopes: string[];
  plan: string | null;
  routes: string[] | null;
  created_at: Date;
  rotated_at: Date | null;
  previous_until: Date | null;
  expires_at: Date | null;
  last_used_at: Date | null;
}

export const KEY_COLUMNS = 'id, name, scopes, plan, routes, created_at, rotated_at, previous_until, expires_at, last_used_at';

export function keyItemOf(row: KeyRow, nowMs: number): KeyItem {
  const { id, name, scopes, plan, routes, previous_until: until } = row;
  const text = (date: Date | null): string | null => date?.toISOString() ?? null;
  return {
    id: `vk_${id}`,
    name,
    scopes,
    plan,
    routes,
    createdAt: row.created_at.toISOString(),
    rotatedAt: text(row.rotated_at),
    previousUntil: until !== null && until.getTime() > nowMs ? until.toISOString() : null,
    expiresAt: text(row.expires_at),
    lastUsedAt: text(row.last_used_at),
  };
}

export function keyNotFound(project: string, id: string): VirgaError {
  return new VirgaError('key_not_found', `project '${project}' has no API key ${id}; \`virga keys list\` lists those that it has`);
}

/** The edges hear of it at commit. */
export async function accessChanged(sql: Sql, project: string): Promise<void> {
  await sql.query(`select pg_notify('virga_access', $1)`, [project]);
}

/** Waits, bounded, until the edge knows. The change stands whether it does or not; a warning says so. */
export async function accessSeen({ edge, log }: Pick<ControlContext, 'edge' | 'log'>, project: string): Promise<{ warning?: string }> {
  try {
    await edge.syncAccess(project);
    return {};
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    log('warn', 'the edge did not confirm a change of keys or secrets', { project, reason });
    return { warning: `stored, but the edge has not confirmed it yet (${reason}); it takes it up by itself` };
  }
}
