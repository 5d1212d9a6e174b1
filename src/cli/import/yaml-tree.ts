// YAML (and JSON, which is YAML) as a tree. Invariants: CloudFormation's short tags and its long form (`!Ref X`, `{Ref: X}`) give the same
// call; aliases and merge keys are followed, but never without end. Used by files.ts.
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';
import type { Document, Node, Pair } from 'yaml';
import { CommandError } from '../failure.ts';
import { DEPTH_MAX, NODES_MAX, scalar } from './tree.ts';
import type { Entry, Place, Tree } from './tree.ts';

/** What the long form of a call looks like: a mapping with this one key. */
const LONG_CALL = /^(?:Ref|Condition|Fn::[A-Za-z0-9]+(?:::[A-Za-z0-9]+)?)$/;

export function yamlTree(text: string, file: string): Tree {
  const lines = new LineCounter();
  // Tags are left alone: a warning each, which are not looked at.
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: 'silent', merge: true, uniqueKeys: false });
  const [error] = document.errors;
  if (error !== undefined) {
    const { line, col } = lines.linePos(error.pos[0]);
    throw new CommandError(`${file}:${line}:${col}: this is not YAML: ${error.message}`);
  }
  return new Converter(document, lines, file).tree(document.contents, { file, line: 1 }, 0);
}

class Converter {
  readonly #document: Document.Parsed;
  readonly #lines: LineCounter;
  readonly #file: string;
  #nodes = 0;

  constructor(document: Document.Parsed, lines: LineCounter, file: string) {
    this.#document = document;
    this.#lines = lines;
    this.#file = file;
  }

  tree(node: unknown, near: Place, depth: number): Tree {
    if (++this.#nodes > NODES_MAX)
      throw new CommandError(`${this.#file} has more than ${NODES_MAX} values, aliases counted as often as used`);
    if (depth > DEPTH_MAX) throw new CommandError(`${this.#file}:${near.line}: values are nested more than ${DEPTH_MAX} deep`);
    if (isAlias(node)) return this.tree(node.resolve(this.#document), this.#placeOf(node, near), depth + 1);
    const at = this.#placeOf(node, near);
    const tag = callTag(node);
    if (tag !== undefined) return { kind: 'call', at, name: tag, argument: this.#plain(node, at, depth, tag) };
    return this.#plain(node, at, depth);
  }

  #plain(node: unknown, at: Place, depth: number, tag?: string): Tree {
    if (isSeq(node)) return { kind: 'list', at, items: node.items.map((item) => this.tree(item, at, depth + 1)) };
    if (isMap(node)) {
      const entries = new Map<string, Entry>();
      for (const pair of node.items) this.#addPair(pair, entries, { at, depth });
      const [only] = entries;
      if (tag === undefined && entries.size === 1 && isLongCall(only![0], only![1].value))
        return { kind: 'call', at, name: only![0].replace(/^Fn::/, ''), argument: dotted(only![0], only![1].value) };
      return { kind: 'mapping', at, entries };
    }
    if (!isScalar(node)) return scalar(null, at, '');
    const value: unknown = node.value;
    const text = node.type === 'PLAIN' ? (node.source ?? String(value)) : String(value);
    // The short form of GetAtt is one text: `Function.Arn`.
    if (tag !== undefined) return dotted(tag, scalar(text, at));
    if (value === null || typeof value === 'boolean' || typeof value === 'number') return scalar(value, at, value === null ? '' : text);
    return scalar(typeof value === 'bigint' ? Number(value) : text, at, text);
  }

  #addPair(pair: Pair, entries: Map<string, Entry>, { at, depth }: { at: Place; depth: number }): void {
    const key = isScalar(pair.key) ? String(pair.key.source ?? pair.key.value) : '';
    const value = this.tree(pair.value, this.#placeOf(pair.key, at), depth + 1);
    if (key === '<<') {
      for (const merged of value.kind === 'list' ? value.items : [value])
        if (merged.kind === 'mapping') for (const [name, entry] of merged.entries) if (!entries.has(name)) entries.set(name, entry);
      return;
    }
    if (key !== '__proto__') entries.set(key, { at: this.#placeOf(pair.key, at), value });
  }

  #placeOf(node: unknown, near: Place): Place {
    const range = (node as Node | null | undefined)?.range;
    if (range === undefined || range === null) return near;
    return { file: this.#file, line: Math.max(1, this.#lines.linePos(range[0]).line) };
  }
}

function isLongCall(key: string, argument: Tree): boolean {
  return LONG_CALL.test(key) && (key.startsWith('Fn::') || argument.kind === 'scalar');
}

/** `!Sub` → `Sub`; YAML's own tags (`!!str`) are none. */
function callTag(node: unknown): string | undefined {
  const tag = (node as Node | null | undefined)?.tag;
  if (typeof tag !== 'string') return undefined;
  return /^!([A-Za-z0-9]+(?:::[A-Za-z0-9]+)?)$/.exec(tag)?.[1];
}

function dotted(name: string, argument: Tree): Tree {
  if (!/^(?:Fn::)?GetAtt$/.test(name) || argument.kind !== 'scalar') return argument;
  const [resource, ...attribute] = argument.text.split('.');
  const { at } = argument;
  return { kind: 'list', at, items: [scalar(resource!, at), scalar(attribute.join('.'), at)] };
}
