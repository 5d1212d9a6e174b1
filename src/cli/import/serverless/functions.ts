// One function of serverless.yml. Called by serverless.ts, for each.
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
import type { Found, Section } from '../section.ts';
import { isSecretValue } from '../secrets.ts';
import { isNothing, textOf } from '../tree.ts';
import type { Tree } from '../tree.ts';
import { readEvents } from './events.ts';
import { readPackaging } from './packaging.ts';
import type { Packaging } from './packaging.ts';

/** What functions take from the rest of the file. */
export interface ServiceContext {
  files: ImportFiles;
  runtime: Found<string> | undefined;
  payload: '1.0' | '2.0';
  packaging: Packaging;
  /** Folders by the logical name that functions refer to them with. */
  layers: ReadonlyMap<string, string>;
  /** `provider.layers`. */
  commonLayers: readonly Tree[];
  urls: number;
  sources: EventSources;
}

const NO_IDENTITY = 'Virga gives functions no identity at AWS; where the code calls AWS, give it credentials';
const REMEDIES: Record<string, string> = {
  role: NO_IDENTITY,
  iamRoleStatements: NO_IDENTITY,
  iamRoleStatementsName: NO_IDENTITY,
  iamRoleStatementsInherit: NO_IDENTITY,
  vpc: 'functions reach the internet, and no private network',
  tags: 'nothing to do: Virga has no tags',
  tracing: 'nothing to do: every call has a trace',
  onError: 'what fails at its last attempt is a dead letter: `virga dead-letters`; `async: {onFailure: {queue: …}}` sends it elsewhere',
  destinations: 'write them as `onSuccess` and `onFailure` of `async`',
  fileSystemConfig: 'Virga mounts no file systems; /tmp is of the instance',
  kmsKeyArn: 'nothing to do: it is a key of AWS',
  awsKmsKeyArn: 'nothing to do: it is a key of AWS',
  maximumRetryAttempts: 'write it as `async: {retry: {attempts: …}}`, which counts the first one too',
  maximumEventAge: 'write it as `async: {maxAge: …}`',
  condition: 'the function is carried over whatever the condition says',
  dependsOn: 'nothing to do: a project is deployed as a whole',
  disableLogs: 'nothing to do: `virga logs` shows what a function says',
  logs: 'nothing to do: `virga logs` shows what a function says',
  logRetentionInDays: 'how long logs are kept is a setting of the node',
  snapStart: 'nothing to do: Virga keeps started sandboxes ready',
  versionFunction: 'nothing to do: each deploy makes versions of what changed',
  warmup: 'set instances.min where an instance shall be ready',
};

export function readFunction(name: string, fn: Section, { project, context }: { project: ImportedProject; context: ServiceContext }): void {
  const { report } = fn.reading;
  const { files } = context;
  const absent = (why: string): void => {
    project.absent.push({ name, why });
    fn.ignore(...fn.keys());
  };
  if (fn.has('image')) {
    fn.left('image', 'Virga runs no container images; give it the source, with runtime: web when the image serves HTTP');
    return absent('it is a container image');
  }
  const packaging = readPackaging(fn.section('package'), files);
  const artifact = packaging.artifact ?? context.packaging.artifact;
  const code = findCode(
    { name, at: fn.at, runtime: fn.text('runtime') ?? context.runtime, handler: fn.text('handler'), base: artifact ?? '.' },
    files,
    report,
  );
  if ('why' in code) return absent(code.why);
  const routes = new GatewayRoutes(report);
  const environment = fn.section('environment');
  const settings: ImportedFunction = {
    name,
    at: fn.at,
    ...code,
    routes: routes.routes,
    env: environment === undefined ? [] : variablesOf(environment),
    include: artifact === undefined ? [...new Set([...context.packaging.include, ...packaging.include])] : [],
    external: [],
    layers: layersOf(fn, context),
  };
  const description = fn.text('description')?.value;
  if (description !== undefined && !isSecretValue(description)) settings.description = description;
  applySettings(settings, fn);
  readEvents(fn, { routes, payload: context.payload, alone: context.urls === 1, target: { fn: settings, sources: context.sources } });
  if (routes.httpEvent !== undefined && settings.form === 'lambda') settings.httpEvent = routes.httpEvent;
  const deployed = fn.text('name');
  if (deployed !== undefined) report.changed(deployed.at, name, `name ${deployed.value}`, `is ${name}, also in AWS_LAMBDA_FUNCTION_NAME`);
  fn.leave(REMEDIES);
  fn.finish();
  project.functions.push(settings);
}

function applySettings(settings: ImportedFunction, fn: Section): void {
  const memory = fn.number('memorySize');
  if (memory !== undefined) settings.memoryMiB = memoryOf(memory, fn);
  const timeout = fn.number('timeout');
  if (timeout !== undefined) settings.timeoutMs = timeoutOf(timeout, fn);
  const tmp = fn.number('ephemeralStorageSize');
  if (tmp !== undefined) settings.tmpMiB = tmpOf(tmp, fn);
  const reserved = fn.number('reservedConcurrency');
  const max = reserved === undefined ? undefined : instancesMaxOf(reserved, fn);
  const provisioned = fn.number('provisionedConcurrency');
  const min = provisioned === undefined ? undefined : instancesMinOf(provisioned, fn);
  if (min !== undefined || max !== undefined)
    settings.instances = { ...(min === undefined ? {} : { min }), ...(max === undefined ? {} : { max }) };
  consistentInstances(settings, fn);
  architectureOf(fn.take('architecture'), 'architecture', fn);
}

/** Those of the file by their folders; others are at AWS. */
export function layersOf(fn: Section, { layers, commonLayers }: Pick<ServiceContext, 'layers' | 'commonLayers'>): string[] {
  const { report, subject } = fn.reading;
  const own = fn.has('layers') ? fn.list('layers') : commonLayers.map((layer) => fn.reading.resolve(layer));
  return own.flatMap((layer) => {
    if (isNothing(layer)) return [];
    const name = layer.kind === 'unresolved' ? layer.resource : undefined;
    const folder = name === undefined ? undefined : layers.get(name);
    if (folder !== undefined) {
      report.carried(layer.at, subject, `layer ${folder}`);
      return [folder];
    }
    const shown = name ?? (textOf(layer)?.startsWith('arn:') ? textOf(layer)!.split(':').slice(-2).join(':') : 'of another place');
    report.left(
      layer.at,
      subject,
      `layer ${shown}`,
      'it is at AWS; download it, unpack it into a folder of the project, and name that in `layers`',
    );
    return [];
  });
}
