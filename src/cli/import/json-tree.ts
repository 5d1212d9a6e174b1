// JSON with comments and commas at ends (wrangler.jsonc, host.json) as a tree. Used by files.ts.
import { parseTree, printParseErrorCode } from 'jsonc-parser';
import type { Node, ParseError } from 'jsonc-parser';
import { CommandError } from '../failure.ts';
import { DEPTH_MAX, NODES_MAX, scalar } from './tree.ts';
import type { Entry, Place, Tree } from './tree.ts';

export function jsonTree(text: string, file: string): Tree {
  const starts = [0];
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  const placeOf = (offset: number): Place => {
    let low = 0;
    for (let high = starts.length; high - low > 1;) {
      const middle = (low + high) >> 1;
      if (starts[middle]! <= offset) low = middle;
      else high = middle;
    }
    return { file, line: low + 1 };
  };
  const errors: ParseError[] = [];
  const root = parseTree(text, errors, { allowTrailingComma: true });
  const [error] = errors;
  if (error !== undefined || root === undefined) {
    const why =
      error === undefined
        ? 'it is empty'
        : printParseErrorCode(error.error)
            .replace(/(?<=[a-z])(?=[A-Z])/g, ' ')
            .toLowerCase();
    throw new CommandError(`${file}:${placeOf(error?.offset ?? 0).line}: this is not JSON: ${why}`);
  }
  let nodes = 0;
  const treeOf = (node: Node, depth: number): Tree => {
    const at = placeOf(node.offset);
    if (++nodes > NODES_MAX || depth > DEPTH_MAX)
      throw new CommandError(`${file}:${at.line}: more than ${NODES_MAX} values, or nested more than ${DEPTH_MAX} deep`);
    const children = node.children ?? [];
    if (node.type === 'array') return { kind: 'list', at, items: children.map((child) => treeOf(child, depth + 1)) };
    if (node.type !== 'object') return scalar(node.value as string | number | boolean | null, at);
    const entries = new Map<string, Entry>();
    for (const { children: [key, value] = [] } of children) {
      if (key === undefined || value === undefined || key.value === '__proto__') continue;
      entries.set(String(key.value), { at: placeOf(key.offset), value: treeOf(value, depth + 1) });
    }
    return { kind: 'mapping', at, entries };
  };
  return treeOf(root, 0);
}
