// What a Cloudflare Worker needs that Virga lacks, found at the deploy: in its source (worker-source.ts), its imports
// (worker-modules.ts) and its wrangler file (wrangler-bindings.ts). Invariant: everything that is known of is reported at once, by
// name, file and line. Used by node.ts and as-it-is.ts.
import { join } from 'node:path';
import { VirgaError } from '../../protocol/errors.ts';
import type { Manifest, ManifestFunction } from '../manifest/manifest.ts';
import type { SourceText } from './azure-source.ts';
import { remarksOn } from './worker-source.ts';
import { wranglerRemarks } from './wrangler-bindings.ts';

interface WorkerParts {
  manifest: Manifest;
  /** The author's own code. */
  sources: Iterable<SourceText>;
  /** What is wrong with its imports. */
  problems?: Iterable<string>;
  /** Names that the bundle exports, when it is an ES module. */
  exports?: readonly string[];
}

export interface CheckedWorker {
  warnings: string[];
  /** Files whose change calls for another build. */
  sources: string[];
}

export function checkWorker(fn: ManifestFunction, { manifest, sources, problems = [], exports }: WorkerParts): CheckedWorker {
  const source = remarksOn(sources);
  const absolute = (one: ManifestFunction): string => join(manifest.folder, one.source);
  const others = new Set(manifest.functions.map(absolute));
  others.delete(absolute(fn));
  const wrangler = wranglerRemarks({ source: absolute(fn), others, top: manifest.folder, names: source.names, env: fn.settings.env });
  const all = [...problems, ...source.problems, ...(wrangler?.problems ?? [])];
  const wanted = fn.handler ?? 'default';
  if (exports?.includes(wanted) === false && (fn.handler !== undefined || !source.listens))
    all.unshift(
      `${fn.source} exports ${exports.join(', ') || 'nothing'}, and not ${wanted}; a Worker is \`export default { fetch(request, env, ctx) {…} }\``,
    );
  if (all.length > 0) throw new VirgaError('build_failed', all.join('\n'));
  return { warnings: [...source.warnings, ...(wrangler?.warnings ?? [])], sources: wrangler === undefined ? [] : [wrangler.file] };
}
