// The template of AWS SAM, as text. Invariants: a secret has no default in it; what `virga import` needs to get the project back
// stands as metadata beside each function (read by import/cloudformation/virga-metadata.ts). Pure. Called by export-lambda.ts.
import { Document, visit } from 'yaml';
import type { FunctionEvents } from './function-events.ts';
import type { Parameter } from './function-variables.ts';
import type { LayerResource } from './layer-resources.ts';

export interface FunctionResource {
  id: string;
  /** In virga.yaml. */
  name: string;
  original: { runtime: string; form: string; handler: string | undefined; variables: string };
  properties: Record<string, unknown>;
}

interface TemplateParts {
  project: string;
  parameters: (Parameter & { /** It is no secret. */ open?: boolean })[];
  functions: FunctionResource[];
  layers: LayerResource[];
  kinds: ReadonlySet<FunctionEvents['kind']>;
}

/** Plain in every YAML, but for the words below. */
const PLAIN = /^[A-Za-z/](?:[\w./+@$(){} ,;-]|:(?=\S))*$/;
const NO_TEXT = /^(?:y|n|yes|no|on|off|true|false|null)$|[ ]$/i;
const API = 'execute-api.${AWS::Region}.${AWS::URLSuffix}';

export function templateText({ project, parameters, functions, layers, kinds }: TemplateParts): string {
  const outputs: Record<string, unknown> = {};
  if (kinds.has('HttpApi')) outputs['HttpApiUrl'] = { Value: { 'Fn::Sub': `https://\${ServerlessHttpApi}.${API}/` } };
  if (kinds.has('Api')) outputs['RestApiUrl'] = { Value: { 'Fn::Sub': `https://\${ServerlessRestApi}.${API}/Prod/` } };
  for (const { id, properties } of functions)
    if ('FunctionUrlConfig' in properties) outputs[`${id}Address`] = { Value: { 'Fn::GetAtt': [`${id}Url`, 'FunctionUrl'] } };
  const template = {
    AWSTemplateFormatVersion: '2010-09-09',
    Transform: 'AWS::Serverless-2016-10-31',
    Metadata: { Virga: { project } },
    ...(parameters.length === 0
      ? {}
      : {
          Parameters: Object.fromEntries(
            parameters.map(({ id, description, open }) => [
              id,
              { Type: 'String', ...(open === true ? {} : { NoEcho: true }), Description: description },
            ]),
          ),
        }),
    Resources: {
      ...Object.fromEntries(
        layers.map(({ id, path }) => [id, { Type: 'AWS::Serverless::LayerVersion', Properties: { ContentUri: path } }]),
      ),
      ...Object.fromEntries(functions.map((fn) => [fn.id, functionResource(fn)])),
    },
    ...(Object.keys(outputs).length === 0 ? {} : { Outputs: outputs }),
  };
  return `# Made by \`virga export\` for AWS SAM: \`sam deploy --guided\` in this folder.\n${yamlText(template)}`;
}

/** AWS reads YAML 1.1, where `no`, `012`, `1:30` and `2010-09-09` are no texts; Virga reads 1.2. In quotes they are, in both. */
function yamlText(value: object): string {
  const document = new Document(value, { aliasDuplicateObjects: false });
  visit(document, {
    Scalar(_key, node) {
      if (typeof node.value === 'string' && (!PLAIN.test(node.value) || NO_TEXT.test(node.value))) node.type = 'QUOTE_DOUBLE';
    },
  });
  return document.toString({ lineWidth: 0 });
}

function functionResource({ name, original, properties }: FunctionResource): object {
  const { runtime, form, handler, variables } = original;
  const metadata = { name, runtime, form, ...(handler === undefined ? {} : { handler }), ...(variables === '' ? {} : { variables }) };
  return { Type: 'AWS::Serverless::Function', Metadata: { Virga: metadata }, Properties: properties };
}
