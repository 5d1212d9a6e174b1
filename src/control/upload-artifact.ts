// PUT /v1/artifacts/{sha256}: stores the code of a version. The bytes stream to the blob store (which checks the hash)
// and are unpacked at once, so that a bad archive is refused here and not at the first call. Invariant: the row is
// written last; what fails on the way, or is aborted, leaves no row, no files and no blob that was not there before.
import { Readable } from 'node:stream';
import { z } from '@hono/zod-openapi';
import type { ArtifactAnswer } from '../protocol/control-api.ts';
import { VirgaError } from '../protocol/errors.ts';
import type { ArtifactsInUse } from './artifacts-in-use.ts';
import { bodyChunks, checkBodyHeaders } from './body.ts';
import type { BodyLimit } from './body.ts';
import type { ControlContext } from './context.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { sha256 } from './schemas.ts';

type Needs = Pick<ControlContext, 'records' | 'blobs' | 'artifactFolders' | 'limits'> & { artifactsInUse: ArtifactsInUse };

const answer = z.object({ sha256, bytes: z.int() }).openapi('Artifact') satisfies z.ZodType<ArtifactAnswer>;
const MEDIA_TYPES = ['application/octet-stream', 'application/gzip', 'application/x-gzip'];

export function uploadArtifact(app: ControlApp, needs: Needs): void {
  operation(
    app,
    {
      method: 'put',
      path: '/v1/artifacts/{sha256}',
      summary: 'Upload an artifact',
      description:
        'A gzip-compressed tar with the files of one version, named by the sha256 of its bytes. Uploading what is there already succeeds.',
      params: z.strictObject({ sha256 }),
      rawBody: 'application/octet-stream',
      answers: {
        201: { description: 'It is stored.', schema: answer },
        200: { description: 'It was there already.', schema: answer },
      },
      errors: ['invalid_request', 'artifact_too_large', 'artifact_invalid', 'disk_full'],
    },
    async ({ params }, c) => {
      const { incoming } = c.env;
      const type = incoming.headers['content-type']?.split(';')[0]!.trim().toLowerCase();
      if (type !== undefined && !MEDIA_TYPES.includes(type)) {
        throw new VirgaError('invalid_request', `the content-type must be application/octet-stream (got '${type.slice(0, 100)}')`);
      }
      const limit: BodyLimit = {
        maxBytes: needs.limits.artifactBytesMax,
        idleMs: needs.limits.bodyIdleMs,
        code: 'artifact_too_large',
        what: 'the artifact',
        limit: 'VIRGA_LIMIT_ARTIFACT_BYTES',
      };
      checkBodyHeaders(incoming, limit);
      try {
        const stored = await needs.artifactsInUse.uploading(params.sha256, () => store(params.sha256, bodyChunks(incoming, limit), needs));
        return c.json({ sha256: params.sha256, bytes: stored.bytes }, stored.existed ? 200 : 201);
      } catch (error) {
        await removeLeftover(params.sha256, needs);
        throw error;
      }
    },
  );
}

async function store(
  sha: string,
  chunks: AsyncIterable<Buffer>,
  { records, blobs, artifactFolders, limits }: Needs,
): Promise<{ bytes: number; existed: boolean }> {
  const { bytes } = await blobs.put(sha, Readable.from(chunks, { objectMode: false }), { maxBytes: limits.artifactBytesMax });
  await artifactFolders.ensure(sha);
  // An upload of what is there renews it: it is about to be deployed, so housekeeping leaves it alone for a while.
  const { rows } = await records.query<{ inserted: boolean }>(
    `insert into artifacts (sha256, bytes) values ($1, $2)
     on conflict (sha256) do update set created_at = now() returning xmax = 0 as inserted`,
    [sha, bytes],
  );
  return { bytes, existed: !rows[0]!.inserted };
}

/** After a failure: a blob that no row knows goes, unless another upload of the same bytes runs (then that one sees to it). */
async function removeLeftover(sha: string, { records, blobs, artifactsInUse }: Needs): Promise<void> {
  await artifactsInUse.removing(sha, async () => {
    const { rows } = await records.query('select 1 from artifacts where sha256 = $1', [sha]);
    if (rows.length === 0) await blobs.delete(sha);
  });
}
