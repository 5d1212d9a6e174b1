// What the source of an Azure app shows of things that have no counterpart in Virga: triggers, bindings, Durable Functions, keys.
// Invariant: each is named with its file, line and function, all at once; what is computed in the source is left to the load, where the guest
// refuses it (runtimes/node/forms/azure/support.ts). Called by node.ts and as-it-is.ts.
import { parseSync } from 'rolldown/utils';
import { VirgaError } from '../../protocol/errors.ts';
import type { ManifestFunction } from '../manifest/manifest.ts';

export interface SourceText {
  /** As it is shown. */
  path: string;
  text: string;
}

interface Syntax {
  type: string;
  start: number;
  [key: string]: unknown;
}

const TRIGGERS = new Set([
  'connectorTrigger',
  'cosmosDB',
  'eventHub',
  'mcpPrompt',
  'mcpResource',
  'mcpTool',
  'mySql',
  'serviceBusQueue',
  'serviceBusTopic',
  'sql',
  'webPubSub',
]);
const WITH_KEYS = new Set(['http', 'get', 'post', 'put', 'patch', 'deleteRequest']);
const LIBRARY = /['"]@azure\/functions['"]/;
const DURABLE = /(?:from\s*|require\s*\(\s*|import\s*\(?\s*)(['"])durable-functions\1/;
const PARSED = /\.[cm]?[jt]s$/;

export function checkAzureSources(fn: ManifestFunction, sources: Iterable<SourceText>): void {
  const problems: string[] = [];
  for (const { path, text } of sources) {
    if (!PARSED.test(path)) continue;
    const at = (start: number): string => `${path}:${text.slice(0, start).split('\n').length}`;
    const durable = DURABLE.exec(text);
    if (durable !== null) problems.push(`${at(durable.index)}: Durable Functions (durable-functions) have no counterpart in Virga`);
    if (!LIBRARY.test(text)) continue;
    for (const { start, message } of problemsOf(path, text, fn)) problems.push(`${at(start)}: ${message}`);
  }
  if (problems.length === 0) return;
  const remedy = fn.handler === undefined ? '\ntake it out, or deploy the other functions one by one, each with `handler: <name>`' : '';
  throw new VirgaError('build_failed', `${problems.join('\n')}${remedy}`);
}

function problemsOf(path: string, text: string, fn: ManifestFunction): { start: number; message: string }[] {
  const { program, errors } = parseSync(path, text);
  if (errors.length > 0) return []; // the build or the load reports it
  const keysIgnored = fn.settings.env['AZURE_FUNCTIONS_AUTH_LEVEL'] === 'anonymous';
  const problems: { start: number; message: string }[] = [];
  for (const { call, object, method } of callsIn(program as unknown as Syntax)) {
    const [first, second] = call['arguments'] as (Syntax | undefined)[];
    const name = first?.type === 'Literal' && typeof first['value'] === 'string' ? first['value'] : undefined;
    if (object === 'app') {
      if (fn.handler !== undefined && name !== undefined && name !== fn.handler) continue;
      const who = name === undefined ? 'a function' : `function '${name}'`;
      if (TRIGGERS.has(method))
        problems.push({ start: call.start, message: `${who} is triggered by ${method}, which has no counterpart in Virga` });
      const level = WITH_KEYS.has(method) && !keysIgnored ? propertyOf(second, 'authLevel') : undefined;
      if (level === 'function' || level === 'admin')
        problems.push({
          start: call.start,
          message: `${who} has authLevel '${level}', but Virga has no function keys: check who calls in the code and say authLevel: 'anonymous', or set AZURE_FUNCTIONS_AUTH_LEVEL: anonymous in \`env\` to let everybody call it`,
        });
    } else if (fn.handler === undefined && method !== 'http' && method !== 'generic')
      problems.push({ start: call.start, message: `the ${object} binding ${method} has no counterpart in Virga` });
  }
  return problems;
}

/** Calls such as `app.http(…)`, `output.storageQueue(…)`, and what a compiler makes of them: `functions_1.app.http(…)`. */
function* callsIn(node: Syntax): Generator<{ call: Syntax; object: 'app' | 'input' | 'output'; method: string }> {
  const callee = node['callee'] as Syntax | undefined;
  if (node.type === 'CallExpression' && callee?.type === 'MemberExpression') {
    const holder = callee['object'] as Syntax;
    const named = holder.type === 'MemberExpression' ? (holder['property'] as Syntax) : holder;
    const object = named['name'];
    const method = (callee['property'] as Syntax)['name'];
    if ((object === 'app' || object === 'input' || object === 'output') && typeof method === 'string') yield { call: node, object, method };
  }
  for (const child of Object.values(node)) {
    for (const one of Array.isArray(child) ? (child as unknown[]) : [child]) {
      if (typeof one === 'object' && one !== null && typeof (one as Syntax).type === 'string') yield* callsIn(one as Syntax);
    }
  }
}

function propertyOf(node: Syntax | undefined, name: string): unknown {
  if (node?.type !== 'ObjectExpression') return undefined;
  for (const property of node['properties'] as Syntax[]) {
    const key = property['key'] as Syntax | undefined;
    if ((key?.['name'] ?? key?.['value']) === name) return (property['value'] as Syntax)['value'];
  }
  return undefined;
}
