// Plugins of the Serverless Framework: which of them Virga makes unnecessary, and what those did that it does not. Used by serverless.ts.
import type { Section } from '../section.ts';
import { entryOf, textOf } from '../tree.ts';

const BUNDLES = 'is not needed: Virga bundles JavaScript and TypeScript by itself';
/** Carried over by Virga's own means. */
const NOT_NEEDED: Record<string, string> = {
  'serverless-esbuild': BUNDLES,
  'serverless-webpack': `${BUNDLES}; loaders and defines of its own are not applied`,
  'serverless-bundle': BUNDLES,
  'serverless-plugin-typescript': BUNDLES,
  'serverless-optimize': BUNDLES,
  'serverless-rollup-plugin': BUNDLES,
  'serverless-offline': 'is not needed: `virga dev` runs the project on this machine',
  'serverless-python-requirements': 'is not needed: requirements.txt is installed at the deploy',
  'serverless-prune-plugin': 'is not needed: Virga keeps versions by itself',
  'serverless-plugin-common-excludes': 'is not needed: only what the code imports goes along',
  'serverless-plugin-include-dependencies': 'is not needed: only what the code imports goes along',
  'serverless-plugin-warmup': 'is not needed: set instances.min where an instance shall be ready',
  'serverless-plugin-split-stacks': 'is not needed: a project has no stacks',
  'serverless-deployment-bucket': 'is not needed: artifacts are kept by Virga',
  'serverless-s3-remover': 'is not needed: `virga remove` removes a project',
};
const LEFT: Record<string, string> = {
  'serverless-dotenv-plugin': 'its .env files are not read, since they hold secrets; set the variables in `env`',
  'serverless-domain-manager': 'point the domain at the node that serves the project',
  'serverless-iam-roles-per-function': 'Virga gives functions no identity at AWS',
  'serverless-step-functions': 'Virga has no state machines; call the steps from a function',
  'serverless-dynamodb-local': 'Virga brings no DynamoDB; run it beside and set its address in `env`',
  'serverless-offline-sqs': 'nothing to do: `virga dev` has queues',
  'serverless-apigw-binary': 'is not needed: bodies that are no text are passed on as bytes',
};

export function readPlugins(root: Section): void {
  const tree = root.take('plugins');
  const modules = tree?.kind === 'mapping' ? entryOf(tree, 'modules') : tree;
  if (modules?.kind !== 'list') return;
  const { report, resolve } = root.reading;
  for (const item of modules.items) {
    const name = textOf(resolve(item));
    if (name === undefined) continue;
    const how = NOT_NEEDED[name];
    if (how === undefined)
      report.left(
        item.at,
        '',
        `plugin ${name}`,
        LEFT[name] ?? 'Virga runs no plugins; see what it did, and do it in the code or before the deploy',
      );
    else report.changed(item.at, '', `plugin ${name}`, how);
  }
}
