// What the source of a Cloudflare Worker shows of things that have no counterpart in Virga: Durable Objects and workflows are
// problems, since such a class can never be made; HTMLRewriter and WebSocketPair are worth a warning, since the path that uses
// them may never be taken. Invariant: each is named with its file and line. Used by worker-check.ts.
import { parseSync } from 'rolldown/utils';
import type { SourceText } from './azure-source.ts';

export interface Remarks {
  problems: string[];
  warnings: string[];
}

interface Syntax {
  type: string;
  start: number;
  [key: string]: unknown;
}

const CLASSES: Record<string, string> = {
  DurableObject: 'a Durable Object, and Virga has none: keep its state in a database, and take the class out',
  WorkflowEntrypoint: 'a workflow, and Virga has none: take the class out',
};
const GLOBALS: Record<string, string> = {
  HTMLRewriter: 'it fails when it is made',
  WebSocketPair: 'it fails when it is made; WebSockets are for the runtime web',
};
const PARSED = /\.[cm]?[jt]sx?$/;
const NAME_CHARACTERS_MAX = 100;

export interface SourceRemarks extends Remarks {
  /** Everything that the code names, but in types: variables, properties, texts. */
  names: ReadonlySet<string>;
  /** Whether a listener is added, as service workers do. */
  listens: boolean;
}

export function remarksOn(sources: Iterable<SourceText>): SourceRemarks {
  const names = new Set<string>();
  const remarks: Remarks = { problems: [], warnings: [] };
  for (const { path, text } of sources) {
    if (!PARSED.test(path)) continue;
    const { program, errors } = parseSync(path, text);
    if (errors.length > 0) continue; // the bundler reports it, or the load
    for (const node of nodesOf(program)) {
      const name = node.type === 'Literal' || node.type === 'TemplateElement' ? textOf(node) : nameOf(node);
      if (name !== undefined && name.length <= NAME_CHARACTERS_MAX) names.add(name);
      remark(node, (start) => placeOf(path, text, start), remarks);
    }
  }
  return { ...remarks, names, listens: names.has('addEventListener') };
}

function remark(node: Syntax, at: (start: number) => string, { problems, warnings }: Remarks): void {
  if (node.type === 'ClassDeclaration' || node.type === 'ClassExpression') {
    const why = CLASSES[nameOf(node['superClass']) ?? ''];
    if (why !== undefined) problems.push(`${at(node.start)}: ${nameOf(node['id']) ?? 'a class'} is ${why}`);
  } else if (node.type === 'NewExpression') {
    const made = nameOf(node['callee']) ?? '';
    const lack = GLOBALS[made];
    if (lack !== undefined) warnings.push(`${at(node.start)}: ${made} of Cloudflare has no counterpart in Virga: ${lack}`);
  }
}

export function placeOf(path: string, text: string, at: number): string {
  return `${path}:${text.slice(0, at).split('\n').length}`;
}

function nameOf(node: unknown): string | undefined {
  const { type, name } = (node ?? {}) as Partial<Syntax>;
  return type === 'Identifier' && typeof name === 'string' ? name : undefined;
}

function textOf({ value }: Syntax): string | undefined {
  return typeof value === 'string' ? value : (value as { cooked?: string } | null | undefined)?.cooked;
}

/** Without types: of `x as T` only x. */
function* nodesOf(value: unknown): Generator<Syntax> {
  if (Array.isArray(value)) for (const item of value) yield* nodesOf(item);
  else if (typeof value === 'object' && value !== null) {
    const { type } = value as Partial<Syntax>;
    if (type?.startsWith('TS') === true) {
      yield* nodesOf((value as Syntax)['expression']);
      return;
    }
    if (typeof type === 'string') yield value as Syntax;
    for (const child of Object.values(value)) if (typeof child === 'object') yield* nodesOf(child);
  }
}
