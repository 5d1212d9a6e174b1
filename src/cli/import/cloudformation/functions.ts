// One AWS::Serverless::Function or AWS::Lambda::Function. Called by template.ts, for each.
import { GatewayRoutes } from '../aws-routes.ts';
import type { EventSources } from '../event-sources.ts';
import type { ImportFiles } from '../files.ts';
import { findCode } from '../lambda-code.ts';
import {
  architectureOf,
  consistentInstances,
  instancesMaxOf,
  instancesMinOf,
  memoryOf,
  timeoutOf,
  tmpOf,
  variablesOf,
} from '../foreign-settings.ts';
import type { ImportedFunction, ImportedProject } from '../project.ts';
import { isSecretValue } from '../secrets.ts';
import { Section } from '../section.ts';
import type { Found } from '../section.ts';
import { entryOf, isNothing, textOf } from '../tree.ts';
import { readEvents, readSpelled, readUrl } from './events.ts';
import type { Gateways } from './gateways.ts';
import type { Resource } from './resources.ts';
import { originalOf } from './virga-metadata.ts';

export interface TemplateContext {
  files: ImportFiles;
  resources: ReadonlyMap<string, Resource>;
  /** Folders by the id of the layer. */
  layers: ReadonlyMap<string, string>;
  /** `Globals.Function`. */
  globals: Section | undefined;
  gateways: Gateways;
  sources: EventSources;
  /** Functions with a URL of their own. */
  urls: number;
}

const NO_IDENTITY = 'Virga gives functions no identity at AWS; where the code calls AWS, give it credentials';
const NOT_NEEDED = 'nothing to do: it is about how AWS deploys';
const REMEDIES: Record<string, string> = {
  Role: NO_IDENTITY,
  Policies: NO_IDENTITY,
  RolePath: NO_IDENTITY,
  PermissionsBoundary: NO_IDENTITY,
  AssumeRolePolicyDocument: NO_IDENTITY,
  VpcConfig: 'functions reach the internet, and no private network',
  Tracing: 'nothing to do: every call has a trace',
  TracingConfig: 'nothing to do: every call has a trace',
  Tags: 'nothing to do: Virga has no tags',
  PropagateTags: 'nothing to do: Virga has no tags',
  DeadLetterQueue:
    'what fails at its last attempt is a dead letter: `virga dead-letters`; `async: {onFailure: {queue: …}}` sends it elsewhere',
  DeadLetterConfig:
    'what fails at its last attempt is a dead letter: `virga dead-letters`; `async: {onFailure: {queue: …}}` sends it elsewhere',
  EventInvokeConfig: 'write it as `async` of the function',
  FileSystemConfigs: 'Virga mounts no file systems; /tmp is of the instance',
  KmsKeyArn: 'nothing to do: it is a key of AWS',
  LoggingConfig: 'nothing to do: `virga logs` shows what a function says',
  SnapStart: 'nothing to do: Virga keeps started sandboxes ready',
  AutoPublishAlias: NOT_NEEDED,
  AutoPublishAliasAllProperties: NOT_NEEDED,
  AutoPublishCodeSha256: NOT_NEEDED,
  VersionDescription: NOT_NEEDED,
  VersionDeletionPolicy: NOT_NEEDED,
  CodeSigningConfigArn: NOT_NEEDED,
  RuntimeManagementConfig: NOT_NEEDED,
  DeploymentPreference: 'Virga moves the whole project at once; `virga rollback` returns',
};

export function readFunction(
  name: string,
  resource: Resource,
  { project, context, root }: { project: ImportedProject; context: TemplateContext; root: Section },
): void {
  const { report } = root.reading;
  const { files, globals, gateways } = context;
  const fn = new Section(resource.mapping, { ...root.reading, subject: name }).section('Properties') ?? emptySection(resource, root, name);
  const absent = (why: string): void => void project.absent.push({ name, why });
  const packageType = fn.text('PackageType') ?? globals?.text('PackageType');
  if (packageType?.value === 'Image' || fn.has('ImageUri')) {
    report.left(
      resource.at,
      name,
      'container image',
      'Virga runs no container images; give it the source, with runtime: web when the image serves HTTP',
    );
    return absent('it is a container image');
  }
  if (fn.has('InlineCode') || entryOf(fn.take('Code'), 'ZipFile') !== undefined) {
    report.left(
      fn.placeOf(fn.has('InlineCode') ? 'InlineCode' : 'Code'),
      name,
      'code inside of the template',
      'move it into a file and name that as `source`',
    );
    return absent('its code is in the template');
  }
  const runtime = fn.text('Runtime') ?? globals?.text('Runtime');
  const handler = fn.text('Handler') ?? globals?.text('Handler');
  const base = codeBase(fn, context);
  const original = originalOf(resource.mapping);
  const built = [`.aws-sam/build/${resource.id}`];
  const code =
    original?.code(base, { files, report, name, at: resource.at }) ??
    findCode({ name, at: resource.at, runtime, handler, base, built }, files, report);
  if ('why' in code) return absent(code.why);
  const routes = new GatewayRoutes(report);
  const variables = fn.section('Environment')?.section('Variables');
  const settings: ImportedFunction = {
    name,
    at: resource.at,
    ...code,
    routes: routes.routes,
    env: (variables === undefined ? [] : variablesOf(variables)).filter((variable) => original?.isOwn(variable.name) ?? true),
    include: [],
    external: [],
    layers: layersOf(fn, context),
  };
  const description = fn.text('Description')?.value;
  if (description !== undefined && !isSecretValue(description)) settings.description = description;
  applySettings(settings, fn);
  const options = {
    routes,
    gateways,
    target: { fn: settings, sources: context.sources },
    alone: context.urls + [...gateways.spelled.values()].flat().filter(({ path }) => path === '$url').length === 1,
  };
  readEvents(fn.section('Events'), options);
  readUrl(fn.section('FunctionUrlConfig') ?? globals?.section('FunctionUrlConfig', name), name, options);
  readSpelled(gateways.spelled.get(resource.id) ?? [], fn, options);
  if (routes.httpEvent !== undefined && (settings.form === 'lambda' || settings.runtime === 'provided'))
    settings.httpEvent = routes.httpEvent;
  const deployed = fn.take('FunctionName');
  if (deployed !== undefined) fn.changed('FunctionName', `is ${name}, also in AWS_LAMBDA_FUNCTION_NAME`);
  fn.leave(REMEDIES);
  fn.finish();
  project.functions.push(settings);
}

function emptySection({ mapping, at }: Resource, root: Section, name: string): Section {
  return new Section({ kind: 'mapping', at: mapping.at ?? at, entries: new Map() }, { ...root.reading, subject: name, path: '' });
}

/** A folder or a .zip of the project; undefined, and reported: the code is at AWS, or nobody can tell. */
function codeBase(fn: Section, { globals, files }: TemplateContext): string | undefined {
  const key = fn.has('CodeUri') ? 'CodeUri' : 'Code';
  const tree = fn.take('CodeUri') ?? fn.take('Code') ?? globals?.take('CodeUri');
  if (tree === undefined) return '.';
  const text = textOf(tree);
  if (text !== undefined && !/^s3:|^https?:/.test(text))
    return files.normal(text) ?? (text.replace(/^\.\//, '').replace(/\/+$/, '') || '.');
  const why = tree.kind === 'unresolved' ? tree.reason : 'it is in a bucket of AWS';
  fn.left(key, `${why}; download it into the project, and name the .zip as \`source\``);
  return undefined;
}

function applySettings(settings: ImportedFunction, fn: Section): void {
  const memory = fn.number('MemorySize');
  if (memory !== undefined) settings.memoryMiB = memoryOf(memory, fn);
  const timeout = fn.number('Timeout');
  if (timeout !== undefined) settings.timeoutMs = timeoutOf(timeout, fn);
  const tmp = fn.section('EphemeralStorage')?.number('Size');
  if (tmp !== undefined) settings.tmpMiB = tmpOf(tmp, fn);
  const reserved: Found<number> | undefined = fn.number('ReservedConcurrentExecutions');
  const max = reserved === undefined ? undefined : instancesMaxOf(reserved, fn);
  const provisioned = fn.section('ProvisionedConcurrencyConfig')?.number('ProvisionedConcurrentExecutions');
  const min = provisioned === undefined ? undefined : instancesMinOf(provisioned, fn);
  if (min !== undefined || max !== undefined)
    settings.instances = { ...(min === undefined ? {} : { min }), ...(max === undefined ? {} : { max }) };
  consistentInstances(settings, fn);
  architectureOf(fn.take('Architectures'), 'Architectures', fn);
}

function layersOf(fn: Section, { layers, globals }: TemplateContext): string[] {
  const { report, subject } = fn.reading;
  // Globals come first, as SAM joins the lists.
  return [...(globals?.list('Layers') ?? []), ...fn.list('Layers')].flatMap((layer) => {
    if (isNothing(layer)) return [];
    const id = layer.kind === 'unresolved' ? layer.resource : undefined;
    const folder = id === undefined ? undefined : layers.get(id);
    if (folder !== undefined) {
      report.carried(layer.at, subject, `layer ${folder}`);
      return [folder];
    }
    const text = textOf(layer);
    const shown = id ?? (text?.startsWith('arn:') ? text.split(':').slice(-2).join(':') : 'of another place');
    report.left(
      layer.at,
      subject,
      `layer ${shown}`,
      'it is at AWS; download it, unpack it into a folder of the project, and name that in `layers`',
    );
    return [];
  });
}
