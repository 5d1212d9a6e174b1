// What a file of another cloud says, whatever its syntax: a tree of which every part knows its file and line. Invariant: nothing of it
// is evaluated here; a `call` is one of CloudFormation's intrinsic functions, and `unresolved` what took one's place because it
// cannot be known. Made by yaml-tree.ts, toml-tree.ts and json-tree.ts, read through section.ts.

export interface Place {
  /** Relative to the folder that is imported. */
  file: string;
  line: number;
}

export interface Scalar {
  kind: 'scalar';
  at: Place;
  value: string | number | boolean | null;
  /** As it is written: `1.10` stays `1.10`. */
  text: string;
}

export interface List {
  kind: 'list';
  at: Place;
  items: Tree[];
}

export interface Mapping {
  kind: 'mapping';
  at: Place;
  entries: Map<string, Entry>;
}

export interface Entry {
  /** Of the key. */
  at: Place;
  value: Tree;
}

/** `!Ref X`, `Fn::Sub: …`: the name without `Fn::`. */
export interface Call {
  kind: 'call';
  at: Place;
  name: string;
  argument: Tree;
}

export interface Unresolved {
  kind: 'unresolved';
  at: Place;
  /** Follows "not carried over: ". Never has a value of the file in it that may be a secret. */
  reason: string;
  /** It stands for something that is kept apart because it is secret. */
  secret: boolean;
  /** The resource of a template that it stands for. */
  resource?: string;
}

export type Tree = Scalar | List | Mapping | Call | Unresolved;

/** Trees are at most so large, all files of one import together. */
export const NODES_MAX = 200_000;
export const DEPTH_MAX = 100;

export function scalar(value: Scalar['value'], at: Place, text = String(value ?? '')): Scalar {
  return { kind: 'scalar', at, value, text };
}

export function unresolved(at: Place, reason: string, more: { secret?: boolean; resource?: string } = {}): Unresolved {
  return {
    kind: 'unresolved',
    at,
    reason,
    secret: more.secret ?? false,
    ...(more.resource === undefined ? {} : { resource: more.resource }),
  };
}

export function isNothing(tree: Tree | undefined): boolean {
  return tree === undefined || (tree.kind === 'scalar' && tree.value === null);
}

export function entryOf(tree: Tree | undefined, key: string): Tree | undefined {
  return tree?.kind === 'mapping' ? tree.entries.get(key)?.value : undefined;
}

/** The text of a scalar, numbers and truth values as they are written; undefined for anything else. */
export function textOf(tree: Tree | undefined): string | undefined {
  return tree?.kind === 'scalar' && tree.value !== null ? tree.text : undefined;
}

export function placeText({ file, line }: Place): string {
  return `${file}:${line}`;
}
