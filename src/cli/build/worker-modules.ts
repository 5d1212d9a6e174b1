// What a Cloudflare Worker imports that no bundler knows: `cloudflare:…` modules, which the guest provides, and files as
// WebAssembly.Module or bytes, which lie beside the bundle. Invariant: nothing of Cloudflare's is left to the first call: what
// Virga lacks is noted with file and line. A plugin of rolldown, used by node.ts.
import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { basename, relative, sep } from 'node:path';
import type { Plugin } from 'rolldown';
import type { ArtifactEntry } from './archive.ts';
import { placeOf } from './worker-source.ts';

const PROVIDED_MODULES = ['cloudflare:workers', 'cloudflare:sockets'];
/** As Wrangler bundles, what is made for Workers goes before what is made for Node. */
export const WORKER_CONDITIONS = ['workerd', 'worker', 'node'];
const FILE = /\.(?:wasm(?:\?module)?|bin)$/;
/** Before the path of such a file. */
const MARK = '\0virga-file:';

/** Both are filled here; rounds of bundling find the same again. */
interface Found {
  folder: string;
  files: Map<string, ArtifactEntry>;
  problems: Set<string>;
}

export function workerModules({ folder, files, problems }: Found): Plugin {
  return {
    name: 'virga-worker-modules',
    resolveId: {
      filter: { id: [/^cloudflare:/, FILE] },
      async handler(specifier, importer) {
        if (specifier.startsWith('cloudflare:')) {
          if (!PROVIDED_MODULES.includes(specifier)) problems.add(missingModule(specifier, importer, folder));
          return { id: specifier, external: true };
        }
        const found = await this.resolve(specifier.replace(/\?module$/, ''), importer, { skipSelf: true });
        if (found === null || found.external !== false || !found.id.startsWith('/')) return null;
        return { id: `${MARK}${found.id}`, moduleSideEffects: false };
      },
    },
    load: {
      filter: { id: /^\0virga-file:/ },
      handler(id) {
        const file = id.slice(MARK.length);
        const path = placeIn(folder, file);
        files.set(path, { path, file, bytes: statSync(file).size });
        this.addWatchFile(file);
        const read = `process.getBuiltinModule('node:fs').readFileSync(new URL(${JSON.stringify(`./${encodeURI(path)}`)}, import.meta.url))`;
        if (file.endsWith('.wasm')) return `export default new WebAssembly.Module(${read});`;
        return `const bytes = ${read};\nexport default bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);`;
      },
    },
  };
}

/** Its place in the project; a file of elsewhere (a package, a workspace above) gets one. */
function placeIn(folder: string, file: string): string {
  const path = relative(folder, file).split(sep).join('/');
  if (!path.startsWith('../') && !path.startsWith('node_modules/')) return path;
  const hash = createHash('sha256').update(readFileSync(file)).digest('hex').slice(0, 8);
  return `.files/${hash}-${basename(file)}`;
}

function missingModule(specifier: string, importer: string | undefined, folder: string): string {
  const text = importer === undefined ? '' : readFileSync(importer, 'utf8');
  const at = Math.max(0, text.search(new RegExp(`['"]${specifier}['"]`)));
  const place = importer === undefined ? specifier : placeOf(relative(folder, importer), text, at);
  return `${place}: the module '${specifier}' of Cloudflare has no counterpart in Virga, which has ${PROVIDED_MODULES.join(' and ')}`;
}
