// From a virga.yaml to a folder that `sam deploy` takes: template.yaml, a zip for each function and each layer, and a report. Invariants:
// nothing is written before everything is built; the same project gives the same bytes; what is not carried over, or not as
// it was, is in the report. Called by commands/export.ts.
import { existsSync, readdirSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, sep } from 'node:path';
import type { ArtifactEntry } from '../build/archive.ts';
import { buildParts } from '../build/build.ts';
import type { FunctionParts } from '../build/build.ts';
import { CommandError } from '../failure.ts';
import type { Item } from '../import/report.ts';
import type { Manifest, ManifestFunction } from '../manifest/manifest.ts';
import { routeText } from '../manifest/routes.ts';
import { bytesText } from '../../lib/units.ts';
import { targetText } from '../../protocol/route-text.ts';
import { ExportReport } from './export-report.ts';
import type { FunctionReport } from './export-report.ts';
import { lambdaCode, whyNot } from './function-code.ts';
import { eventProperties } from './function-events.ts';
import type { FunctionEvents } from './function-events.ts';
import { settingProperties } from './function-settings.ts';
import { SecretParameters, variablesOf } from './function-variables.ts';
import { LayerResources } from './layer-resources.ts';
import { LogicalIds } from './logical-ids.ts';
import { templateText } from './template.ts';
import type { FunctionResource } from './template.ts';
import { writeZip } from './zip-archive.ts';

export interface ExportOptions {
  /** Absolute. */
  output: string;
  force: boolean;
  cacheFolder: string;
  /** Of the machine that native code is built for. */
  cpu: string;
  note(text: string): void;
}

export interface Exported {
  /** Relative to the output. */
  files: string[];
  functions: string[];
  absent: { name: string; why: string }[];
  /** Parameters of the template that have no default. */
  parameters: string[];
  items: Item[];
}

const TEMPLATE = 'template.yaml';
/** Of a function with its layers, unpacked. */
const CODE_BYTES_MAX = 250 * 1024 * 1024;
const ROUTES_MAX = 300;

export async function exportToLambda(manifest: Manifest, options: ExportOptions): Promise<Exported> {
  const { output, force } = options;
  if (!force && existsSync(output) && readdirSync(output).length > 0)
    throw new CommandError(`${output} is there already and not empty; --force overwrites what is in it, --output names another folder`);
  const report = new ExportReport(manifest);
  const absent = manifest.functions.flatMap((fn) => {
    const why = whyNot(fn);
    if (why !== undefined) report.of(fn.name).left('', formText(fn), why);
    return why === undefined ? [] : [{ name: fn.name, why }];
  });
  const workFolder = await mkdtemp(join(tmpdir(), 'virga-export-'));
  try {
    const left = new Set(absent.map(({ name }) => name));
    const only = new Set(manifest.functions.map(({ name }) => name).filter((name) => !left.has(name)));
    const built = await buildParts(manifest, { workFolder, cacheFolder: options.cacheFolder, only, note: (text) => options.note(text) });
    const { text, zips, parameters } = compose(manifest, built, { report, options });
    await mkdir(join(output, 'layers'), { recursive: true });
    for (const [path, entries] of zips) await writeZip(entries, join(output, path));
    await writeFile(join(output, TEMPLATE), text);
    if (![...zips.keys()].some((path) => path.startsWith('layers/')) && readdirSync(join(output, 'layers')).length === 0)
      await rm(join(output, 'layers'), { recursive: true });
    return { files: [TEMPLATE, ...zips.keys()], functions: [...only], absent, parameters, items: report.items() };
  } finally {
    await rm(workFolder, { recursive: true, force: true });
  }
}

interface Composed {
  text: string;
  zips: Map<string, ArtifactEntry[]>;
  parameters: string[];
}

/** Everything that is to be written, by its path. */
function compose(
  manifest: Manifest,
  built: readonly FunctionParts[],
  { report, options }: { report: ExportReport; options: ExportOptions },
): Composed {
  const ids = new LogicalIds();
  const secrets = new SecretParameters(ids);
  const layers = new LayerResources(ids);
  const zips = new Map<string, ArtifactEntry[]>();
  const functions: FunctionResource[] = [];
  const kinds = new Set<FunctionEvents['kind']>();
  let webAdapter = false;
  let routes = 0;
  for (const parts of built) {
    const { fn } = parts;
    const own = report.of(fn.name);
    own.carried('', 'function');
    const code = lambdaCode({ ...parts, entries: outside(parts.entries, options.output) }, manifest.project, own);
    const events = eventProperties(fn, manifest, { report: own, streams: code.streams });
    kinds.add(events.kind);
    routes += events.count;
    webAdapter ||= code.webAdapter;
    const variables = variablesOf(fn, code.variables, { secrets, report: own });
    const uses = [...(code.webAdapter ? [{ Ref: WEB_ADAPTER }] : []), ...layers.of(parts, own)];
    checkSize(parts, own);
    zips.set(`${fn.name}.zip`, code.entries);
    functions.push({
      id: ids.of(fn.name, 'Function'),
      name: fn.name,
      original: { ...code.original, variables: Object.keys(code.variables).join(' ') },
      properties: {
        CodeUri: `${fn.name}.zip`,
        Handler: code.handler,
        Runtime: code.runtime,
        ...(options.cpu === 'arm64' ? { Architectures: ['arm64'] } : {}),
        ...settingProperties(fn, events.count, own),
        ...(Object.keys(variables).length === 0 ? {} : { Environment: { Variables: variables } }),
        ...(uses.length === 0 ? {} : { Layers: uses }),
        ...events.properties,
      },
    });
  }
  for (const route of manifest.routes)
    if (route.function === undefined)
      report
        .of('')
        .left('', `route ${routeText(route)}`, `${targetText(route)}: at AWS that is a matter of CloudFront in front of the API`);
  if (routes > ROUTES_MAX)
    report
      .of('')
      .left(
        '',
        `${routes} routes`,
        `an API of AWS takes ${ROUTES_MAX}, unless its owner asks for more; let functions take the rest of a path ({path+})`,
      );
  for (const [path, entries] of layers.zips) zips.set(path, entries);
  const parameters = [...secrets.parameters, ...(webAdapter ? [{ id: WEB_ADAPTER, description: WEB_ADAPTER_TEXT, open: true }] : [])];
  const text = templateText({ project: manifest.project, parameters, functions, layers: layers.resources, kinds });
  return { text, zips, parameters: parameters.map(({ id }) => id) };
}

const WEB_ADAPTER = 'WebAdapterLayer';
const WEB_ADAPTER_TEXT =
  'ARN of the layer of the AWS Lambda Web Adapter in your region; https://github.com/awslabs/aws-lambda-web-adapter lists them';

/** What an earlier export left in a folder that is taken as it is. */
function outside(entries: readonly ArtifactEntry[], output: string): ArtifactEntry[] {
  return entries.filter((entry) => !('file' in entry && entry.file.startsWith(output + sep)));
}

function checkSize({ entries, layers }: FunctionParts, report: FunctionReport): void {
  const bytes = [...entries, ...layers.files].reduce(
    (sum, entry) => sum + ('content' in entry ? entry.content.length : 'file' in entry ? entry.bytes : 0),
    0,
  );
  if (bytes > CODE_BYTES_MAX)
    report.left('', `code of ${bytesText(bytes)}`, `AWS takes ${bytesText(CODE_BYTES_MAX)}, layers included; make a container image of it`);
}

function formText({ settings }: ManifestFunction): string {
  return settings.form === 'native' ? `runtime ${settings.runtime}` : `form ${settings.form}`;
}
