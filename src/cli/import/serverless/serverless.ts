// serverless.yml (Serverless Framework 3 and 4, provider aws) as a project of Virga. Invariant: every key of the file is carried over,
// changed or left, and the report has its line. Called by import.ts.
import { basename } from 'node:path';
import { CommandError } from '../../failure.ts';
import { ACCOUNT } from '../aws-places.ts';
import { Intrinsics } from '../cloudformation/intrinsics.ts';
import { remedyForResource } from '../cloudformation/resources.ts';
import type { Resource } from '../cloudformation/resources.ts';
import { readSourceResources } from '../aws-sources.ts';
import { EventSources } from '../event-sources.ts';
import type { ImportFiles } from '../files.ts';
import type { ImportOptions } from '../import-options.ts';
import { architectureOf, memoryOf, timeoutOf, variablesOf } from '../foreign-settings.ts';
import { kebabName, Names } from '../project.ts';
import type { ImportedProject } from '../project.ts';
import type { Report } from '../report.ts';
import { Section } from '../section.ts';
import type { Resolve } from '../section.ts';
import { entryOf, isNothing, textOf } from '../tree.ts';
import type { Entry, Mapping, Tree } from '../tree.ts';
import { readFunction } from './functions.ts';
import { readPackaging } from './packaging.ts';
import { readPlugins } from './plugins.ts';
import { Variables } from './variables.ts';

/** What the framework gives a function that does not say. */
const MEMORY_DEFAULT_MIB = 1_024;
const FUNCTIONS_MAX = 1_000;
const OF_AWS = 'nothing to do: it is about how AWS deploys';
const PROVIDER: Record<string, string> = {
  iam: 'Virga gives functions no identity at AWS; where the code calls AWS, give it credentials',
  iamRoleStatements: 'Virga gives functions no identity at AWS; where the code calls AWS, give it credentials',
  role: 'Virga gives functions no identity at AWS; where the code calls AWS, give it credentials',
  vpc: 'functions reach the internet, and no private network',
  apiGateway: 'Virga serves routes itself; API keys, quotas and schemas are for the function to check',
  apiKeys: 'Virga has no API keys for routes; check who calls in the function',
  usagePlan: 'Virga has no quotas for callers',
  resourcePolicy: 'Virga has no policies for callers; check who calls in the function',
  logs: 'nothing to do: `virga logs` shows what functions say',
  logRetentionInDays: 'how long logs are kept is a setting of the node',
  tracing: 'nothing to do: every call has a trace',
  tags: 'nothing to do: Virga has no tags',
  stackTags: 'nothing to do: Virga has no tags',
  kmsKeyArn: 'nothing to do: it is a key of AWS',
  eventBridge: 'events are published to the project itself',
  alb: 'Virga has no load balancers; routes take their place',
  ecr: 'Virga runs no container images',
  cloudFront: 'Virga has no CDN',
  websocketsApiName: 'a route with `websocket` takes the place of the API',
  websocketsApiRouteSelectionExpression: 'it is `routeSelection` of a route with `websocket`',
};
for (const key of 'deploymentBucket deploymentPrefix deploymentMethod stackName stackParameters stackPolicy profile versionFunctions lambdaHashingVersion endpointType apiName disableRollback notificationArns rollbackConfiguration rolePermissionsBoundary vpcEndpointIds snapStart resolver'.split(
  ' ',
))
  PROVIDER[key] = OF_AWS;
const TOP: Record<string, string> = {
  outputs: 'Virga has no outputs',
  state: 'Virga has no state of plugins',
};

export function readServerless(
  file: string,
  files: ImportFiles,
  { options, report }: { options: ImportOptions; report: Report },
): ImportedProject {
  const tree = files.tree(file);
  if (tree.kind !== 'mapping')
    throw new CommandError(`${file} is no mapping; expected a serverless.yml with service, provider and functions`);
  const variables = new Variables({ root: tree, files, report, stage: options.stage, given: options.parameters });
  const resources = mergedMappings(variables.resolve(entryOf(tree, 'resources') ?? emptyMapping(tree)), 'Resources', variables.resolve);
  const intrinsics = new Intrinsics({
    parameters: undefined,
    mappings: undefined,
    conditions: undefined,
    resources,
    given: options.parameters,
    pseudo: { 'AWS::Region': variables.region, 'AWS::AccountId': ACCOUNT, 'AWS::Partition': 'aws', 'AWS::URLSuffix': 'amazonaws.com' },
    before: variables.resolve,
  });
  const root = new Section(tree, { report, resolve: intrinsics.resolve, subject: '', path: '' });
  const project: ImportedProject = { name: serviceName(root, files), defaults: { env: [] }, functions: [], absent: [] };
  root.ignore('frameworkVersion', 'org', 'app', 'console', 'configValidationMode', 'deprecationNotificationMode', 'disabledDeprecations');
  root.ignore('variablesResolutionMode', 'unresolvedVariablesNotificationMode', 'params', 'custom', 'projectDir', 'provider', 'licenseKey');
  if (root.boolean('useDotenv')?.value === true)
    root.left('useDotenv', 'its .env files are not read, since they hold secrets; set the variables in `env`');
  readPlugins(root);
  const provider = root.section('provider');
  const name = provider?.text('name')?.value ?? textOf(root.take('provider'));
  if (name !== 'aws')
    throw new CommandError(
      `${file}:${root.placeOf('provider').line}: provider is ${name ?? 'missing'}; expected provider.name: aws, the only one whose functions Virga knows`,
    );
  const packaging = readPackaging(root.section('package'), files);
  const layers = layerFolders(root);
  const common = providerSettings(provider, project);
  stagesOf(root);
  const names = new Names(report);
  const functions = functionEntries(root);
  if (functions.length > FUNCTIONS_MAX)
    throw new CommandError(`${file} has ${functions.length} functions; a project has at most ${FUNCTIONS_MAX}`);
  const sources = new EventSources();
  project.sources = sources;
  const understood = readSourceResources(resourceList(root, resources), root, sources);
  const context = { files, ...common, packaging, layers, sources, urls: functions.filter(({ value }) => hasUrl(value, root)).length };
  for (const { key, at, value } of functions) {
    const own = names.of(key, at);
    if (value.kind !== 'mapping') {
      report.left(at, own, `function ${key}`, value.kind === 'unresolved' ? value.reason : 'it is no mapping');
      project.absent.push({ name: own, why: 'what it is cannot be known from the file' });
    } else readFunction(own, new Section({ ...value, at }, { ...root.reading, subject: own, path: '' }), { project, context });
  }
  names.tell(project.functions);
  reportResources(root, resources, understood);
  root.leave(TOP);
  if (root.has('build')) root.changed('build', 'is not needed: Virga bundles JavaScript and TypeScript by itself');
  root.ignore('build');
  root.finish();
  return project;
}

function serviceName(root: Section, files: ImportFiles): string {
  const tree = root.take('service');
  const text = textOf(tree?.kind === 'mapping' ? entryOf(tree, 'name') : tree) ?? basename(files.folder);
  const name = kebabName(text);
  if (name === text) root.carried('service', `project ${name}`);
  else root.changed('service', `is the project ${name}: names are lower-case letters, digits and hyphens`);
  return name;
}

function providerSettings(provider: Section | undefined, project: ImportedProject) {
  if (provider === undefined) return { runtime: undefined, payload: '2.0' as const, commonLayers: [] };
  const { report } = provider.reading;
  provider.ignore('name', 'stage', 'region');
  const memory = provider.number('memorySize');
  project.defaults.memoryMiB = memory === undefined ? MEMORY_DEFAULT_MIB : memoryOf(memory, provider);
  if (memory === undefined)
    report.changed(provider.at, '', 'no provider.memorySize', 'is written down as 1 GiB, which the Serverless Framework gives');
  const timeout = provider.number('timeout');
  if (timeout !== undefined) project.defaults.timeoutMs = timeoutOf(timeout, provider);
  architectureOf(provider.take('architecture'), 'architecture', provider);
  const environment = provider.section('environment');
  if (environment !== undefined) project.defaults.env = variablesOf(environment);
  const httpApi = provider.section('httpApi');
  const payload = httpApi?.text('payload')?.value === '1.0' ? ('1.0' as const) : ('2.0' as const);
  httpApi?.leave({
    cors: 'answer OPTIONS requests and send the headers in the function',
    authorizers: 'Virga has no authorizers; check who calls in the function',
    metrics: 'nothing to do: `virga invocations` has every call',
  });
  httpApi?.finish();
  const commonLayers = provider.list('layers');
  const runtime = provider.text('runtime');
  provider.leave(PROVIDER);
  provider.finish();
  return { runtime, payload, commonLayers };
}

/** `stages` of version 4: its parameters are variables; nothing else of it is known here. */
function stagesOf(root: Section): void {
  const stages = root.section('stages');
  for (const { key, value } of stages?.entries() ?? []) {
    if (value.kind !== 'mapping') continue;
    const stage = new Section(value, { ...root.reading, path: `stages.${key}` });
    stage.ignore('params', 'default');
    stage.finish();
  }
}

/** By the logical name that CloudFormation knows a layer by. */
function layerFolders(root: Section): Map<string, string> {
  const folders = new Map<string, string>();
  for (const { key, at, value } of root.section('layers')?.entries() ?? []) {
    if (value.kind !== 'mapping') continue;
    const layer = new Section(value, { ...root.reading, path: `layers.${key}` });
    const artifact = layer.section('package')?.text('artifact')?.value;
    const path = (artifact ?? layer.text('path')?.value)?.replace(/^\.\//, '').replace(/\/+$/, '');
    layer.ignore(
      'path',
      'name',
      'description',
      'compatibleRuntimes',
      'compatibleArchitectures',
      'licenseInfo',
      'allowedAccounts',
      'retain',
    );
    if (path === undefined) root.reading.report.left(at, '', `layer ${key}`, 'it has no path');
    else folders.set(logicalName(key), path);
    layer.finish();
  }
  return folders;
}

function logicalName(key: string): string {
  const plain = key.replaceAll('-', 'Dash').replaceAll('_', 'Underscore');
  return `${plain[0]!.toUpperCase()}${plain.slice(1)}LambdaLayer`;
}

function functionEntries(root: Section): { key: string; at: Entry['at']; value: Tree }[] {
  const tree = root.take('functions');
  const mapping = tree === undefined ? undefined : mergedMappings(tree, undefined, root.reading.resolve);
  return [...(mapping?.entries ?? [])].map(([key, entry]) => ({ key, at: entry.at, value: root.reading.resolve(entry.value) }));
}

function hasUrl(value: Tree, root: Section): boolean {
  const url = entryOf(value, 'url');
  const resolved = url === undefined ? undefined : root.reading.resolve(url);
  return !isNothing(resolved) && textOf(resolved) !== 'false';
}

function resourceList(root: Section, resources: Mapping): Resource[] {
  return [...resources.entries].flatMap(([id, { at, value }]) => {
    const mapping = root.reading.resolve(value);
    return mapping.kind === 'mapping' ? [{ id, type: textOf(entryOf(mapping, 'Type')) ?? 'unknown', at, mapping }] : [];
  });
}

function reportResources(root: Section, resources: Mapping, understood: ReadonlySet<string>): void {
  root.ignore('resources');
  for (const [name, { at, value }] of resources.entries) {
    if (understood.has(name)) continue;
    const type = textOf(entryOf(root.reading.resolve(value), 'Type')) ?? 'unknown';
    root.reading.report.left(at, '', `resource ${name} (${type})`, remedyForResource(type));
  }
}

/** A mapping, or a list of mappings (each perhaps of another file), as one; `under` is a key of each. */
function mergedMappings(tree: Tree, under: string | undefined, resolve: Resolve): Mapping {
  const merged = emptyMapping(tree);
  for (const part of tree.kind === 'list' ? tree.items.map(resolve) : [tree]) {
    const mapping = under === undefined ? part : resolve(entryOf(part, under) ?? emptyMapping(part));
    if (mapping.kind === 'mapping') for (const [key, entry] of mapping.entries) merged.entries.set(key, entry);
  }
  return merged;
}

function emptyMapping({ at }: Tree): Mapping {
  return { kind: 'mapping', at, entries: new Map() };
}
