// GET /v1/certificates: what HTTPS is served with, from files and by ACME, and what is wrong with it. Invariant: says nothing of
// any key; answers while the edge is away (then without those of files).
import { z } from '@hono/zod-openapi';
import type { CertificateItem, CertificatesAnswer } from '../protocol/control-api.ts';
import type { CertificateStats } from '../protocol/stats.ts';
import type { ControlContext } from './context.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { time } from './schemas.ts';

const item = z
  .object({
    names: z.array(z.string()),
    origin: z.enum(['file', 'acme']),
    file: z.string().nullable(),
    issuer: z.string().nullable(),
    validFrom: time.nullable(),
    validUntil: time.nullable(),
    state: z.enum(['valid', 'expired', 'early', 'none']),
    renewedAt: time.nullable(),
    lastError: z.string().nullable(),
  })
  .openapi('Certificate') satisfies z.ZodType<CertificateItem>;

const answer = z.object({ items: z.array(item), problems: z.array(z.string()) }) satisfies z.ZodType<CertificatesAnswer>;

interface Row {
  name: string;
  issuer: string | null;
  not_before: Date | null;
  not_after: Date | null;
  next_attempt_at: Date;
  last_error: string | null;
}

export function listCertificates(app: ControlApp, { records, edge, now }: Pick<ControlContext, 'records' | 'edge' | 'now'>): void {
  operation(
    app,
    {
      method: 'get',
      path: '/v1/certificates',
      summary: 'List the certificates that HTTPS is served with',
      answers: { 200: { description: 'Those of files as the edge has them, then those of ACME by name.', schema: answer } },
      errors: [],
    },
    async (_input, c) => {
      const [stats, { rows }] = await Promise.all([
        edge.certificates(),
        records.query<Row>('select name, issuer, not_before, not_after, next_attempt_at, last_error from certificates order by name'),
      ]);
      const files = (stats?.held ?? []).filter(({ origin }) => origin === 'file').map((held) => ofFile(held, now()));
      return c.json({ items: [...files, ...rows.map((row) => ofAcme(row, now()))], problems: stats?.problems ?? [] });
    },
  );
}

function ofFile({ names, label, issuer, notBefore, notAfter }: CertificateStats['held'][number], now: number): CertificateItem {
  const [validFrom, validUntil] = [new Date(notBefore).toISOString(), new Date(notAfter).toISOString()];
  return {
    names,
    origin: 'file',
    file: label,
    issuer,
    validFrom,
    validUntil,
    state: stateOf(notBefore, notAfter, now),
    renewedAt: null,
    lastError: null,
  };
}

function ofAcme(row: Row, now: number): CertificateItem {
  return {
    names: [row.name],
    origin: 'acme',
    file: null,
    issuer: row.issuer,
    validFrom: row.not_before?.toISOString() ?? null,
    validUntil: row.not_after?.toISOString() ?? null,
    state: row.not_after === null ? 'none' : stateOf(row.not_before!.getTime(), row.not_after.getTime(), now),
    renewedAt: row.next_attempt_at.toISOString(),
    lastError: row.last_error,
  };
}

function stateOf(notBefore: number, notAfter: number, now: number): CertificateItem['state'] {
  return notAfter <= now ? 'expired' : notBefore > now ? 'early' : 'valid';
}
