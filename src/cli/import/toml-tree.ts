// TOML as a tree. Invariant: tables, dotted keys and inline tables that say the same give the same tree. Used by files.ts.
import { parseTOML } from 'toml-eslint-parser';
import type { AST } from 'toml-eslint-parser';
import { CommandError } from '../failure.ts';
import { NODES_MAX, scalar } from './tree.ts';
import type { Mapping, Place, Tree } from './tree.ts';

export function tomlTree(text: string, file: string): Tree {
  let program: AST.TOMLProgram;
  try {
    program = parseTOML(text);
  } catch (error) {
    const { lineNumber = 1, message } = error as Error & { lineNumber?: number };
    throw new CommandError(`${file}:${lineNumber}: this is not TOML: ${message}`);
  }
  const root: Mapping = { kind: 'mapping', at: { file, line: 1 }, entries: new Map() };
  let nodes = 0;
  const valueOf = (value: AST.TOMLContentNode): Tree => {
    const at: Place = { file, line: value.loc.start.line };
    if (++nodes > NODES_MAX) throw new CommandError(`${file} has more than ${NODES_MAX} values`);
    if (value.type === 'TOMLArray') return { kind: 'list', at, items: value.elements.map(valueOf) };
    if (value.type === 'TOMLInlineTable') {
      const mapping: Mapping = { kind: 'mapping', at, entries: new Map() };
      for (const pair of value.body) put(mapping, namesOf(pair.key), pair);
      return mapping;
    }
    const written = text.slice(value.range[0], value.range[1]);
    if (value.kind === 'string') return scalar(value.value, at);
    if (value.kind === 'boolean' || value.kind === 'integer' || value.kind === 'float') return scalar(value.value, at, written);
    return scalar(written, at);
  };
  const put = (into: Mapping, keys: readonly string[], pair: AST.TOMLKeyValue): void => {
    const at: Place = { file, line: pair.loc.start.line };
    const owner = mappingAt(into, keys.slice(0, -1), at);
    owner.entries.set(keys.at(-1)!, { at, value: valueOf(pair.value) });
  };
  for (const node of program.body[0].body) {
    if (node.type === 'TOMLKeyValue') put(root, namesOf(node.key), node);
    else {
      const at: Place = { file, line: node.loc.start.line };
      const table = mappingAt(root, node.resolvedKey, at);
      for (const pair of node.body) put(table, namesOf(pair.key), pair);
    }
  }
  return root;
}

function namesOf(key: AST.TOMLKey): string[] {
  return key.keys.map((one) => (one.type === 'TOMLBare' ? one.name : one.value));
}

/** Made where it is not there yet; numbers are places in a list of tables. */
function mappingAt(root: Mapping, keys: readonly (string | number)[], at: Place): Mapping {
  let here: Tree = root;
  for (const [depth, key] of keys.entries()) {
    const fresh: Tree = typeof keys[depth + 1] === 'number' ? { kind: 'list', at, items: [] } : { kind: 'mapping', at, entries: new Map() };
    if (typeof key === 'number') {
      if (here.kind !== 'list') break;
      here.items[key] ??= fresh;
      here = here.items[key];
    } else {
      if (here.kind !== 'mapping') break;
      if (!here.entries.has(key)) here.entries.set(key, { at, value: fresh });
      here = here.entries.get(key)!.value;
    }
  }
  // The parser has refused a key that is a table and a value at once.
  return here.kind === 'mapping' ? here : { kind: 'mapping', at, entries: new Map() };
}
