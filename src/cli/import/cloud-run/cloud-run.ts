// service.yaml of Cloud Run (Knative) as a project of Virga: one function with runtime `web`. The file names an image; what is deployed here is
// the source beside it, if it says how it is started. Invariant: values that come from a store of secrets stay behind as names.
// Called by import.ts.
import { basename } from 'node:path';
import { CommandError } from '../../failure.ts';
import { sizeText } from '../../../lib/units.ts';
import type { ImportFiles } from '../files.ts';
import type { ImportOptions } from '../import-options.ts';
import { SECRET_NOTE, timeoutOf, variableOf } from '../foreign-settings.ts';
import { kebabName, LIMITS, Names, within } from '../project.ts';
import type { ImportedFunction, ImportedProject, Variable } from '../project.ts';
import type { Report } from '../report.ts';
import { Section } from '../section.ts';
import { entryOf, textOf } from '../tree.ts';
import { programOf } from './program.ts';

const INGRESS = 'run.googleapis.com/ingress';
const NOTHING = 'nothing to do: it is about how Google deploys';
const SCALE = /^(?:autoscaling\.knative\.dev|run\.googleapis\.com)\/(min|max)(?:Scale|Instances)$/i;

export function readCloudRun(file: string, files: ImportFiles, { report }: { options: ImportOptions; report: Report }): ImportedProject {
  const tree = files.tree(file);
  if (tree.kind !== 'mapping' || !textOf(entryOf(tree, 'apiVersion'))?.startsWith('serving.knative.dev/'))
    throw new CommandError(`${file} is no service of Cloud Run; expected apiVersion: serving.knative.dev/v1`);
  const root = new Section(tree, { report, resolve: (one) => one, subject: '', path: '' });
  const metadata = root.section('metadata');
  const original = metadata?.text('name')?.value ?? basename(files.folder);
  const names = new Names(report);
  const name = names.of(original, metadata?.placeOf('name') ?? tree.at);
  const project: ImportedProject = { name: kebabName(original), defaults: { env: [] }, functions: [], absent: [] };
  root.ignore('apiVersion', 'kind', 'status');
  metadata?.ignore('namespace', 'labels', 'generation', 'uid', 'resourceVersion', 'selfLink', 'creationTimestamp');
  const spec = root.section('spec', name);
  const template = spec?.section('template');
  const pod = template?.section('spec');
  const [container, ...further] = pod?.list('containers') ?? [];
  if (container?.kind !== 'mapping' || pod === undefined)
    throw new CommandError(`${file} has no container in spec.template.spec.containers`);
  const image = new Section(container, { ...pod.reading, path: 'containers' });
  for (const one of further)
    report.left(one.at, name, 'a further container', 'Virga runs one program in an instance; make it a function of its own');
  const found = programOf(files, { image, report, name });
  if (found === undefined) {
    const why = `what starts it cannot be found beside ${file}; add \`source\` and \`command\` by hand`;
    report.left(image.at, name, 'program', why);
    project.absent.push({ name, why });
    return project;
  }
  const fn: ImportedFunction = {
    name,
    at: image.at,
    ...found,
    routes: ['/', '/{path+}'].map((path) => ({ at: image.at, path, methods: null })),
    env: variablesOf(image),
    include: [],
    external: [],
    layers: [],
  };
  limits(image, fn);
  scaling(metadata?.section('annotations'), fn);
  const templateMetadata = template?.section('metadata');
  scaling(templateMetadata?.section('annotations'), fn);
  const concurrency = pod.number('containerConcurrency');
  if (concurrency !== undefined && concurrency.value > 0)
    fn.concurrency = within(concurrency.value, LIMITS.concurrency, (to) =>
      report.changed(concurrency.at, name, `containerConcurrency ${concurrency.value}`, `is ${to}`),
    );
  const timeout = pod.number('timeoutSeconds');
  if (timeout !== undefined) fn.timeoutMs = timeoutOf(timeout, pod);
  templateMetadata?.ignore('labels', 'name');
  pod.leave({
    serviceAccountName: 'Virga gives functions no identity at Google; where the code calls Google, give it credentials',
    volumes: 'Virga mounts no volumes; /tmp is of the instance',
  });
  image.ignore('ports', 'name');
  image.leave({
    livenessProbe: 'nothing to do: an instance that does not answer is replaced',
    startupProbe: 'nothing to do: an instance is ready when its port answers',
    readinessProbe: 'nothing to do: an instance is ready when its port answers',
    volumeMounts: 'Virga mounts no volumes; /tmp is of the instance',
  });
  spec!.leave({ traffic: 'Virga serves the version that is current' });
  for (const section of [root, metadata, spec, template, templateMetadata, pod, image]) section?.finish();
  project.functions.push(fn);
  names.tell(project.functions);
  return project;
}

function variablesOf(image: Section): Variable[] {
  return image.list('env').flatMap((item) => {
    const name = textOf(entryOf(item, 'name'));
    if (name === undefined) return [];
    const secret = entryOf(item, 'valueFrom') !== undefined;
    if (secret) {
      image.reading.report.left(item.at, image.reading.subject, `variable ${name}`, SECRET_NOTE);
      return [{ name, at: item.at, value: undefined, note: SECRET_NOTE }];
    }
    const value = entryOf(item, 'value');
    const variable = value === undefined ? undefined : variableOf(name, item.at, value, image);
    return variable === undefined ? [] : [variable];
  });
}

function limits(image: Section, fn: ImportedFunction): void {
  const resources = image.section('resources');
  const bounds = resources?.section('limits');
  const memory = bounds?.text('memory');
  const { report, subject } = image.reading;
  if (memory !== undefined) {
    const mib = quantityMiB(memory.value);
    if (mib === undefined) report.left(memory.at, subject, `memory ${memory.value}`, 'expected a size such as 512Mi; set `memory` by hand');
    else {
      fn.memoryMiB = within(mib, LIMITS.memoryMiB, (to) =>
        report.changed(memory.at, subject, `memory ${memory.value}`, `is ${sizeText(to)}`),
      );
      if (fn.memoryMiB === mib) report.carried(memory.at, subject, `memory ${sizeText(mib)}`);
    }
  }
  const cpu = bounds?.text('cpu');
  const cpus = cpu === undefined ? Number.NaN : cpu.value.endsWith('m') ? Number(cpu.value.slice(0, -1)) / 1_000 : Number(cpu.value);
  if (cpus >= LIMITS.cpus.min && cpus <= LIMITS.cpus.max) {
    fn.cpus = cpus;
    report.carried(cpu!.at, subject, `cpus ${cpus}`);
  } else if (cpu !== undefined) report.left(cpu.at, subject, `cpu ${cpu.value}`, 'set `cpus` by hand');
  bounds?.finish();
  resources?.ignore('requests');
  resources?.finish();
}

function scaling(annotations: Section | undefined, fn: ImportedFunction): void {
  for (const { key, at, value } of annotations?.entries() ?? []) {
    const { report } = annotations!.reading;
    if (key === INGRESS && textOf(value) !== 'all') {
      for (const route of fn.routes) route.closed = 'was reached from within alone; check who calls, then open it';
      report.left(at, fn.name, key, 'Virga has no network within: check who calls, then take the # before the routes away');
      continue;
    }
    const bound = SCALE.exec(key)?.[1]?.toLowerCase();
    const number = Number(textOf(value) ?? Number.NaN);
    if (bound === 'min' && Number.isInteger(number) && number <= LIMITS.instancesMin.max) fn.instances = { ...fn.instances, min: number };
    else if (bound === 'max' && Number.isInteger(number) && number >= 1 && number <= LIMITS.instancesMax.max)
      fn.instances = { ...fn.instances, max: number };
    else {
      report.left(at, fn.name, key, NOTHING);
      continue;
    }
    report.carried(at, fn.name, `instances.${bound} ${number}`);
  }
  const { min = 0, max = LIMITS.instancesMax.default } = fn.instances ?? {};
  if (min > max) fn.instances = { min, max: min };
}

/** `512Mi`, `2Gi`, `1G` in MiB. */
function quantityMiB(text: string): number | undefined {
  const [, amount, unit] = /^(\d+(?:\.\d+)?)(Ki|Mi|Gi|k|M|G)?$/.exec(text) ?? [];
  if (amount === undefined) return undefined;
  const bytes = { Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, k: 1e3, M: 1e6, G: 1e9 }[unit ?? ''] ?? 1;
  return Math.ceil((Number(amount) * bytes) / 2 ** 20);
}
