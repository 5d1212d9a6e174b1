// What the bundle of a function of the form `google` begins with: the author's source, and the parts of the author's own functions
// framework that run it, which no import of the source brings along (its server, its register). Invariant: source and parts are
// of one copy, so that what the source registers is found. Used by node.ts; runtimes/node/forms/google takes it from there.
import { dirname, join } from 'node:path';
import type { Plugin } from 'rolldown';
import { VirgaError } from '../../protocol/errors.ts';
import { findPackage } from './packages.ts';

export const FRAMEWORK = '@google-cloud/functions-framework';
const ENTRY = 'virga-google-entry';
const PARTS = ['function_registry', 'testing', 'server'];

export function googleEntry(source: string, format: 'cjs' | 'esm'): { input: string; plugin: Plugin } {
  const framework = findPackage(FRAMEWORK, dirname(source));
  if (framework === undefined)
    throw new VirgaError(
      'build_failed',
      `the package '${FRAMEWORK}' is not installed; Google runs functions with it, and so does Virga: run \`npm install ${FRAMEWORK}\``,
    );
  const files = PARTS.map((part) => JSON.stringify(join(framework.folder, 'build', 'src', `${part}.js`)));
  const version = JSON.stringify(framework.json.version ?? '0.0.0');
  const parts = `framework: { ${PARTS.map((_, index) => `...part${index}`).join(', ')}, version: ${version} }`;
  const code = {
    esm: `import * as code from ${JSON.stringify(source)};
${files.map((file, index) => `import * as part${index} from ${file};`).join('\n')}
export const virgaGoogle = { code, ${parts} };`,
    cjs: `const code = require(${JSON.stringify(source)});
${files.map((file, index) => `const part${index} = require(${file});`).join('\n')}
exports.virgaGoogle = { code, ${parts} };`,
  }[format];
  return {
    input: ENTRY,
    plugin: {
      name: 'virga-google-entry',
      resolveId: (id) => (id === ENTRY ? `\0${ENTRY}` : null),
      load: (id) => (id === `\0${ENTRY}` ? { code, moduleType: 'js' } : null),
    },
  };
}
