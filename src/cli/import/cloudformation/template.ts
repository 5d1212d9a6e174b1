// template.yaml of AWS SAM, and CloudFormation templates, as a project of Virga. Invariant: every resource is carried over, or left with
// what to do, and the report has its line. Called by import.ts.
import { basename } from 'node:path';
import { NAME_PATTERN } from '../../../protocol/settings.ts';
import { CommandError } from '../../failure.ts';
import { readSourceResources } from '../aws-sources.ts';
import { EventSources } from '../event-sources.ts';
import type { ImportFiles } from '../files.ts';
import type { ImportOptions } from '../import-options.ts';
import { architectureOf, instancesMinOf, memoryOf, timeoutOf, tmpOf, variablesOf } from '../foreign-settings.ts';
import { kebabName, Names } from '../project.ts';
import type { ImportedProject } from '../project.ts';
import type { Report } from '../report.ts';
import { Section } from '../section.ts';
import { ACCOUNT, REGION } from '../aws-places.ts';
import { entryOf, isNothing, textOf } from '../tree.ts';
import type { Mapping, Tree } from '../tree.ts';
import { gatewaysOf } from './gateways.ts';
import { readFunction } from './functions.ts';
import type { TemplateContext } from './functions.ts';
import { Intrinsics } from './intrinsics.ts';
import { remedyForResource } from './resources.ts';
import type { Resource } from './resources.ts';

const FUNCTION_TYPES = new Set(['AWS::Serverless::Function', 'AWS::Lambda::Function']);
const LAYER_TYPES = new Set(['AWS::Serverless::LayerVersion', 'AWS::Lambda::LayerVersion']);
const FUNCTIONS_MAX = 1_000;

export function readTemplate(
  file: string,
  files: ImportFiles,
  { options, report }: { options: ImportOptions; report: Report },
): ImportedProject {
  const tree = files.tree(file);
  if (tree.kind !== 'mapping' || entryOf(tree, 'Resources')?.kind !== 'mapping')
    throw new CommandError(`${file} has no Resources; expected a template of AWS SAM or CloudFormation`);
  const name = projectName(tree, files);
  const intrinsics = new Intrinsics({
    parameters: mappingAt(tree, 'Parameters'),
    mappings: mappingAt(tree, 'Mappings'),
    conditions: mappingAt(tree, 'Conditions'),
    resources: mappingAt(tree, 'Resources'),
    given: options.parameters,
    pseudo: {
      'AWS::Region': REGION,
      'AWS::AccountId': ACCOUNT,
      'AWS::Partition': 'aws',
      'AWS::URLSuffix': 'amazonaws.com',
      'AWS::StackName': name,
    },
  });
  const root = new Section(tree, { report, resolve: intrinsics.resolve, subject: '', path: '' });
  const project: ImportedProject = { name, defaults: { env: [] }, functions: [], absent: [] };
  report.carried(tree.at, '', `project ${name}`);
  root.ignore(
    'AWSTemplateFormatVersion',
    'Transform',
    'Description',
    'Parameters',
    'Mappings',
    'Conditions',
    'Metadata',
    'Resources',
    'Globals',
  );
  root.leave({
    Outputs: 'Virga has no outputs; `virga deploy` prints the URLs',
    Rules: 'parameters are not checked',
    Hooks: 'nothing to do: it is about how AWS deploys',
  });
  root.finish();
  const resources = presentResources(root, intrinsics, project);
  const sources = new EventSources();
  project.sources = sources;
  const sourceResources = readSourceResources(resources.values(), root, sources);
  const globals = root.section('Globals');
  const context: TemplateContext = {
    files,
    resources,
    layers: layersOf(resources, root),
    globals: globals === undefined ? undefined : readGlobals(globals, project),
    gateways: gatewaysOf(resources, root, globals?.section('Api'), globals?.section('HttpApi')),
    urls: 0,
    sources,
  };
  globals?.leave({
    SimpleTable: remedyForResource('AWS::Serverless::SimpleTable'),
    StateMachine: remedyForResource('AWS::Serverless::StateMachine'),
  });
  globals?.ignore('LayerVersion', 'CapacityProvider');
  globals?.finish();
  const functions = [...resources.values()].filter(({ type }) => FUNCTION_TYPES.has(type));
  if (functions.length > FUNCTIONS_MAX)
    throw new CommandError(`${file} has ${functions.length} functions; a project has at most ${FUNCTIONS_MAX}`);
  context.urls = functions.filter((fn) => hasUrl(fn, context)).length;
  const names = new Names(report);
  for (const fn of functions) readFunction(names.of(ownName(fn) ?? fn.id, fn.at), fn, { project, context, root });
  names.tell(project.functions);
  for (const { id, type, at } of resources.values())
    if (!FUNCTION_TYPES.has(type) && !LAYER_TYPES.has(type) && !context.gateways.understood.has(id) && !sourceResources.has(id))
      report.left(at, '', `resource ${id} (${type})`, remedyForResource(type));
  return project;
}

/** Those whose condition holds, or is not known. */
function presentResources(root: Section, intrinsics: Intrinsics, project: ImportedProject): Map<string, Resource> {
  const found = new Map<string, Resource>();
  const { report } = root.reading;
  for (const { key, at, value } of root.section('Resources')!.entries()) {
    const type = textOf(entryOf(value, 'Type'));
    if (value.kind !== 'mapping' || type === undefined) {
      report.left(at, '', `resource ${key}`, 'it has no type');
      continue;
    }
    const condition = textOf(entryOf(value, 'Condition'));
    const holds = condition === undefined ? true : intrinsics.condition(condition, at);
    if (holds === false) {
      report.left(at, '', `resource ${key} (${type})`, `its condition ${condition} does not hold; give other parameters with --param`);
      if (FUNCTION_TYPES.has(type)) project.absent.push({ name: kebabName(key), why: `its condition ${condition} does not hold` });
      continue;
    }
    if (holds === undefined) report.changed(at, '', `resource ${key}`, `is carried over though its condition ${condition} cannot be known`);
    found.set(key, { id: key, type, at, mapping: value });
  }
  return found;
}

/** `Globals.Function`: settings become defaults; what has no default in Virga is what a function falls back to. */
function readGlobals(globals: Section, project: ImportedProject): Section | undefined {
  const fn = globals.section('Function');
  if (fn === undefined) return undefined;
  const memory = fn.number('MemorySize');
  if (memory !== undefined) project.defaults.memoryMiB = memoryOf(memory, fn);
  const timeout = fn.number('Timeout');
  if (timeout !== undefined) project.defaults.timeoutMs = timeoutOf(timeout, fn);
  const storage = fn.section('EphemeralStorage')?.number('Size');
  if (storage !== undefined) project.defaults.tmpMiB = tmpOf(storage, fn);
  const provisioned = fn.section('ProvisionedConcurrencyConfig')?.number('ProvisionedConcurrentExecutions');
  if (provisioned !== undefined) project.defaults.instances = { min: instancesMinOf(provisioned, fn) };
  const variables = fn.section('Environment')?.section('Variables');
  if (variables !== undefined) project.defaults.env = variablesOf(variables);
  architectureOf(fn.take('Architectures'), 'Architectures', fn);
  fn.ignore('Runtime', 'Handler', 'CodeUri', 'Layers', 'PackageType', 'FunctionUrlConfig');
  fn.leave(GLOBAL_REMEDIES);
  fn.finish();
  return fn;
}

const GLOBAL_REMEDIES: Record<string, string> = {
  Tracing: 'nothing to do: every call has a trace',
  Tags: 'nothing to do: Virga has no tags',
  LoggingConfig: 'nothing to do: `virga logs` shows what functions say',
  AutoPublishAlias: 'nothing to do: each deploy makes versions of what changed',
  DeploymentPreference: 'Virga moves the whole project at once; `virga rollback` returns',
  VpcConfig: 'functions reach the internet, and no private network',
};

/** Layers of the template whose content is in the project. */
function layersOf(resources: ReadonlyMap<string, Resource>, root: Section): Map<string, string> {
  const { report } = root.reading;
  const layers = new Map<string, string>();
  for (const { id, type, at, mapping } of resources.values()) {
    if (!LAYER_TYPES.has(type)) continue;
    const properties = new Section(mapping, { ...root.reading, path: id }).section('Properties');
    const uri = properties?.take('ContentUri') ?? properties?.take('Content');
    const path = textOf(uri)?.replace(/^\.\//, '').replace(/\/+$/, '');
    if (path === undefined || path.startsWith('s3:'))
      report.left(
        at,
        '',
        `layer ${id}`,
        'its content is at AWS; download it, unpack it into a folder of the project, and name that in `layers`',
      );
    else layers.set(id, path || '.');
  }
  return layers;
}

function hasUrl({ type, mapping }: Resource, { globals }: TemplateContext): boolean {
  if (type !== 'AWS::Serverless::Function') return false;
  const own = entryOf(entryOf(mapping, 'Properties'), 'FunctionUrlConfig');
  return !isNothing(own) || globals?.has('FunctionUrlConfig') === true;
}

/** A template that `virga export` wrote says what things were called. */
function ownName({ mapping }: Resource): string | undefined {
  return textOf(entryOf(entryOf(entryOf(mapping, 'Metadata'), 'Virga'), 'name'));
}

function projectName(tree: Mapping, files: ImportFiles): string {
  const own = textOf(entryOf(entryOf(entryOf(tree, 'Metadata'), 'Virga'), 'project')) ?? basename(files.folder);
  return NAME_PATTERN.test(own) ? own : kebabName(own);
}

function mappingAt(tree: Tree, key: string): Mapping | undefined {
  const found = entryOf(tree, key);
  return found?.kind === 'mapping' ? found : undefined;
}
