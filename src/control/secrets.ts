// What the operations on secrets share, and which names a project has. Invariant: no value is ever read here.
import { z } from '@hono/zod-openapi';
import type { SecretItem } from '../protocol/control-api.ts';
import type { Sql } from '../store/records/records.ts';
import { time } from './schemas.ts';

export const secretItem = z
  .object({ name: z.string(), createdAt: time, updatedAt: time })
  .openapi('Secret') satisfies z.ZodType<SecretItem>;

export interface SecretRow {
  name: string;
  created_at: Date;
  updated_at: Date;
}

export function secretItemOf(row: SecretRow): SecretItem {
  return { name: row.name, createdAt: row.created_at.toISOString(), updatedAt: row.updated_at.toISOString() };
}

export async function secretNames(sql: Sql, project: string): Promise<string[]> {
  const { rows } = await sql.query<{ name: string }>('select name from secrets where project = $1 order by name', [project]);
  return rows.map(({ name }) => name);
}
