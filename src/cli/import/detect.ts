// Which cloud's file it is, by its name and what is in it. Invariant: of several in one folder none is guessed. Used by import.ts.
import { CommandError } from '../failure.ts';
import type { ImportFiles } from './files.ts';
import type { ImportOptions } from './import-options.ts';
import type { ImportedProject } from './project.ts';
import type { Report } from './report.ts';
import { entryOf, textOf } from './tree.ts';

export type Reader = (file: string, files: ImportFiles, reading: { options: ImportOptions; report: Report }) => ImportedProject;

interface Kind {
  what: string;
  names: string[];
  load: () => Promise<Reader>;
}

const SERVERLESS: Kind = {
  what: 'a service of the Serverless Framework',
  names: ['serverless.yml', 'serverless.yaml', 'serverless.json'],
  load: async () => (await import('./serverless/serverless.ts')).readServerless,
};
const TEMPLATE: Kind = {
  what: 'a template of AWS SAM or CloudFormation',
  names: ['template.yaml', 'template.yml', 'template.json'],
  load: async () => (await import('./cloudformation/template.ts')).readTemplate,
};
const WRANGLER: Kind = {
  what: 'a Cloudflare Worker',
  names: ['wrangler.jsonc', 'wrangler.json', 'wrangler.toml'],
  load: async () => (await import('./wrangler/wrangler.ts')).readWrangler,
};
const AZURE: Kind = {
  what: 'an app of Azure Functions',
  names: ['host.json'],
  load: async () => (await import('./azure/azure.ts')).readAzure,
};
const CLOUD_RUN: Kind = {
  what: 'a service of Cloud Run',
  names: ['service.yaml', 'service.yml'],
  load: async () => (await import('./cloud-run/cloud-run.ts')).readCloudRun,
};
const OPENAPI: Kind = {
  what: 'an OpenAPI document',
  names: ['openapi.yaml', 'openapi.yml', 'openapi.json'],
  load: async () => (await import('./openapi/openapi.ts')).readOpenApi,
};
const KINDS = [SERVERLESS, TEMPLATE, WRANGLER, AZURE, CLOUD_RUN, OPENAPI];

/** What is code has to be run to be read, which an import does not do. */
const CODE: Record<string, string> = {
  'serverless.ts': 'print it as YAML first: serverless print > serverless.yml',
  'serverless.js': 'print it as YAML first: serverless print > serverless.yml',
  'cdk.json': 'write the template first: cdk synth > template.yaml',
};
const EXPECTED = KINDS.flatMap(({ names }) => names).join(', ');

/** `name` is a file of the folder; undefined: look for one. */
export async function detect(files: ImportFiles, name: string | undefined): Promise<{ file: string; read: Reader }> {
  if (name !== undefined) return named(name, files);
  const found = KINDS.flatMap((kind) => {
    const file = kind.names.find((one) => files.isFile(one));
    return file === undefined ? [] : [{ file, kind }];
  });
  if (found.length > 1)
    throw new CommandError(`the folder has ${found.map(({ file, kind }) => `${file} (${kind.what})`).join(' and ')}; name one of them`);
  if (found.length === 1) return { file: found[0]!.file, read: await found[0]!.kind.load() };
  const code = Object.keys(CODE).find((one) => files.isFile(one));
  if (code !== undefined) throw new CommandError(`${code} is code, which an import does not run; ${CODE[code]}`);
  throw new CommandError(`there is nothing to import in ${files.folder}; expected one of ${EXPECTED}`);
}

async function named(name: string, files: ImportFiles): Promise<{ file: string; read: Reader }> {
  const known = KINDS.find(({ names }) => names.includes(name));
  if (known !== undefined) return { file: name, read: await known.load() };
  if (CODE[name] !== undefined) throw new CommandError(`${name} is code, which an import does not run; ${CODE[name]}`);
  if (name === 'function.json') throw new CommandError('function.json describes one function; name the host.json of its app instead');
  const kind = /\.(?:ya?ml|jsonc?|toml)$/i.test(name) ? kindOf(name, files) : undefined;
  if (kind === undefined)
    throw new CommandError(`${name} is no file that an import knows; expected one of ${EXPECTED}, or one of their kinds by another name`);
  return { file: name, read: await kind.load() };
}

/** By what is in it: files may have other names, such as serverless.api.yml. */
function kindOf(name: string, files: ImportFiles): Kind | undefined {
  const tree = files.tree(name);
  if (entryOf(tree, 'openapi') !== undefined || entryOf(tree, 'swagger') !== undefined) return OPENAPI;
  if (entryOf(tree, 'Resources')?.kind === 'mapping') return TEMPLATE;
  if (textOf(entryOf(tree, 'apiVersion'))?.startsWith('serving.knative.dev/')) return CLOUD_RUN;
  if (entryOf(tree, 'provider') !== undefined && entryOf(tree, 'service') !== undefined) return SERVERLESS;
  if (entryOf(tree, 'compatibility_date') !== undefined) return WRANGLER;
  return undefined;
}
