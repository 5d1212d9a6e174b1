// Writes virga.yaml. Invariants: what it writes passes parseManifest; values of variables that are left out stay out, only their names
// are there, in comments, with what to do. Called by import.ts.
import { Document, stringify, visit } from 'yaml';
import { durationText, sizeText } from '../../lib/units.ts';
import { routeText } from '../manifest/routes.ts';
import type { HttpMethod } from '../../protocol/http-methods.ts';
import type { ImportedFunction, ImportedProject, ImportedRoute, Settings, Variable } from './project.ts';
import { withShared } from './shared-settings.ts';
import { placeText } from './tree.ts';

const COMMENT_COLUMNS = 110;
const FLOW_CHARACTERS_MAX = 80;

export function manifestText(imported: ImportedProject, from: string): string {
  const project = withShared(imported);
  const { include = [] } = project.defaults;
  const defaults = [...settingLines(project.defaults, '  '), ...(include.length === 0 ? [] : [`  include: ${flow(include)}`])];
  const functions = project.functions.flatMap((fn) => [
    ...(fn.description === undefined ? [] : comment(fn.description, '  ')),
    `  ${fn.name}:`,
    ...functionLines(fn, '    '),
  ]);
  const absent = project.absent.flatMap(({ name, why }) => comment(`${name} is not carried over: ${why}`, '  '));
  const by = `Made from ${from} by \`virga import\`, which reported what it changed and what it left out.`;
  return [
    ...comment(by, ''),
    '# All keys: `virga reference manifest`.',
    `project: ${project.name}`,
    ...(project.gateway === undefined ? [] : blockLines({ gateway: project.gateway }, '')),
    ...sourceLines(project),
    ...(defaults.length === 0 ? [] : defaults.every(isComment) ? ['# defaults:', ...defaults] : ['defaults:', ...defaults]),
    ...(project.functions.length === 0 ? ['functions: {}'] : ['functions:', ...functions]),
    ...absent,
    '',
  ].join('\n');
}

function functionLines(fn: ImportedFunction, indent: string): string[] {
  const lines = [`${indent}source: ${yaml(fn.source)}`];
  if (fn.handler !== undefined) lines.push(`${indent}handler: ${yaml(fn.handler)}`);
  if (fn.command !== undefined) lines.push(`${indent}command: ${yaml(fn.command)}`);
  if (fn.httpEvent !== undefined) lines.push(`${indent}httpEvent: ${yaml(fn.httpEvent)}`);
  lines.push(...settingLines(fn, indent));
  for (const key of ['include', 'external', 'layers'] as const) if (fn[key].length > 0) lines.push(`${indent}${key}: ${flow(fn[key])}`);
  lines.push(...routeLines(fn.routes, indent));
  if (fn.triggers !== undefined && fn.triggers.length > 0)
    lines.push(`${indent}triggers:`, ...fn.triggers.map((trigger) => `${indent}  - ${inOneLine(trigger)}`));
  if (fn.async !== undefined) lines.push(`${indent}async: ${inOneLine(fn.async)}`);
  return lines;
}

/** A source on each line. */
function sourceLines({ sources }: ImportedProject): string[] {
  return Object.entries(sources?.sections() ?? {}).flatMap(([section, all]) => [
    `${section}:`,
    ...Object.entries(all).map(([name, rules]) => `  ${name}: ${inOneLine(rules)}`),
  ]);
}

function inOneLine(value: object): string {
  const document = new Document(value, { aliasDuplicateObjects: false });
  visit(document, { Collection: (_key, node) => void (node.flow = true) });
  return document.toString({ lineWidth: 0, flowCollectionPadding: false }).trimEnd();
}

function settingLines(settings: Settings, indent: string): string[] {
  const { runtime, form, memoryMiB, timeoutMs, tmpMiB, concurrency, cpus, instances } = settings;
  const entries: [string, string | undefined][] = [
    ['runtime', runtime],
    ['form', form],
    ['memory', memoryMiB === undefined ? undefined : sizeText(memoryMiB)],
    ['timeout', timeoutMs === undefined ? undefined : durationText(timeoutMs)],
    ['tmp', tmpMiB === undefined ? undefined : sizeText(tmpMiB)],
    ['concurrency', concurrency?.toString()],
    ['cpus', cpus?.toString()],
    ['instances', instancesText(instances)],
  ];
  const lines = entries.flatMap(([key, value]) => (value === undefined ? [] : [`${indent}${key}: ${value}`]));
  return [...lines, ...variableLines(settings.env, indent)];
}

function instancesText(instances: Settings['instances']): string | undefined {
  const { min, max } = instances ?? {};
  const parts = [...(min === undefined ? [] : [`min: ${min}`]), ...(max === undefined ? [] : [`max: ${max}`])];
  return parts.length === 0 ? undefined : `{${parts.join(', ')}}`;
}

function variableLines(env: readonly Variable[], indent: string): string[] {
  if (env.length === 0) return [];
  const open = env.some(({ value }) => value !== undefined);
  const lines = env.map(({ name, value, note, at }) =>
    value === undefined
      ? `${indent}${open ? '  #' : '#  '} ${oneLine(`${name}: # ${note} (${placeText(at)})`)}`
      : `${indent}  ${name}: ${yaml(value)}`,
  );
  return [`${indent}${open ? '' : '# '}env:`, ...lines];
}

function routeLines(routes: readonly ImportedRoute[], indent: string): string[] {
  const open = routes.filter((route) => route.closed === undefined);
  const text = (route: ImportedRoute): string => yaml(routeText({ path: route.path, methods: route.methods as HttpMethod[] | null }));
  if (routes.length === 0) return [];
  if (open.length === 1 && routes.length === 1 && isPlain(open[0]!)) return [`${indent}http: ${text(open[0]!)}`];
  const lines = routes.flatMap((route) => {
    if (!isPlain(route)) return longRoute(route, indent, open.length > 0);
    return route.closed === undefined
      ? `${indent}  - ${text(route)}`
      : `${indent}${open.length === 0 ? '#  ' : '  #'} - ${text(route)} # ${oneLine(`${route.closed} (${placeText(route.at)})`)}`;
  });
  return [`${indent}${open.length === 0 ? '# ' : ''}http:`, ...lines];
}

function isPlain({ policy }: ImportedRoute): boolean {
  return policy === undefined || Object.keys(policy).length === 0;
}

/** With what the gateway does for it; in comments where it is closed. */
function longRoute({ path, methods, policy, closed, at }: ImportedRoute, indent: string, anyOpen: boolean): string[] {
  const lines = blockLines([{ path, ...(methods === null ? {} : { methods }), ...policy }], '  ');
  if (closed === undefined) return lines.map((line) => `${indent}${line}`);
  const mark = anyOpen ? '  #' : '#  ';
  return [`${indent}${mark} # ${oneLine(`${closed} (${placeText(at)})`)}`, ...lines.map((line) => `${indent}${mark} ${line.slice(2)}`)];
}

/** A value as YAML in lines; short lists and mappings on one. */
function blockLines(value: unknown, indent: string): string[] {
  const document = new Document(value, { aliasDuplicateObjects: false });
  visit(document, {
    Collection: (_key, node, path) => {
      if (path.length > 2 && (JSON.stringify(node.toJSON()) ?? '').length <= FLOW_CHARACTERS_MAX) node.flow = true;
    },
  });
  const text = document.toString({ lineWidth: 0, flowCollectionPadding: false });
  return text
    .trimEnd()
    .split('\n')
    .map((line) => `${indent}${line}`);
}

/** On one line, whatever is in it; texts that YAML would read as something else are quoted. */
function yaml(value: string): string {
  if (/[\n\r\t\0-\x1f\u007f-\u009f\u2028\u2029\ufeff]/.test(value) || value !== value.trim()) return JSON.stringify(value);
  const text = stringify(value, { lineWidth: 0, version: '1.2' }).replace(/\n$/, '');
  return text.includes('\n') || /^[|>]/.test(text) || /^(?:y|n|yes|no|on|off)$/i.test(text) ? JSON.stringify(value) : text;
}

function flow(values: readonly string[]): string {
  return `[${values.map((value) => (/^[\w./@-]+$/.test(value) && yaml(value) === value ? value : JSON.stringify(value))).join(', ')}]`;
}

function comment(text: string, indent: string): string[] {
  const lines: string[] = [];
  for (const word of oneLine(text).split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length < COMMENT_COLUMNS) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(`${indent}# ${word}`);
  }
  return lines;
}

function oneLine(text: string): string {
  return text.replace(/[\s\0-\x1f\u007f-\u009f\u2028\u2029\ufeff]+/g, ' ').trim();
}

function isComment(line: string): boolean {
  return line.trimStart().startsWith('#');
}
