// The text of virga.yaml with its parsed tree, which knows where everything stands. Invariant: every place that is asked
// for has an answer (the nearest enclosing one when the thing itself is absent), so no problem is without line and column.
// Used by manifest.ts.
import { isMap, isNode, isScalar, LineCounter, parseDocument, visit } from 'yaml';
import type { Document, Node, Pair } from 'yaml';

export interface Problem {
  line: number;
  column: number;
  /** Characters to underline, at least 1. */
  length: number;
  message: string;
}

export type Place = Omit<Problem, 'message'>;
export type Path = readonly PropertyKey[];

const PROBLEMS_MAX = 100;

export class ManifestDocument {
  readonly text: string;
  readonly #lines = new LineCounter();
  readonly #document: Document.Parsed;

  constructor(text: string) {
    this.text = text;
    this.#document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false, strict: true, uniqueKeys: true });
  }

  /** Mistakes in the YAML itself; with any of them there is no value. */
  syntaxProblems(): Problem[] {
    const problems = [...this.#document.errors, ...this.#document.warnings].map((error) => ({
      ...this.#placeOf(error.pos[0], error.pos[1]),
      message: explained(error.code, error.message),
    }));
    visit(this.#document, {
      Pair: (_index, { key }) => {
        if (isScalar(key) && key.value === '__proto__')
          problems.push({ ...this.#placeOfNode(key), message: "'__proto__' cannot be a key" });
      },
    });
    return problems.slice(0, PROBLEMS_MAX);
  }

  /** Throws ReferenceError when aliases would blow it up. */
  value(): unknown {
    return this.#document.toJS({ maxAliasCount: 100 });
  }

  placeOfValue(path: Path): Place {
    for (let depth = path.length; depth > 0; depth--) {
      const node = this.#document.getIn(path.slice(0, depth), true);
      const nothing = isScalar(node) && node.source === ''; // `key:` with nothing behind it
      if (isNode(node) && node.range && !nothing) return this.#placeOfNode(node);
      const key = this.#pairOf(path.slice(0, depth))?.key;
      if (isNode(key) && key.range) return this.#placeOfNode(key);
    }
    return { line: 1, column: 1, length: 1 };
  }

  placeOfKey(path: Path): Place {
    const key = this.#pairOf(path)?.key;
    return isNode(key) && key.range ? this.#placeOfNode(key) : this.placeOfValue(path);
  }

  /** A scalar exactly as it is written (`1.10` stays `1.10`); undefined when there is none. */
  writtenAt(path: Path): string | undefined {
    const node = this.#document.getIn(path, true);
    return isScalar(node) ? node.source : undefined;
  }

  /** The line and a caret under the place, for terminals. */
  excerpt(place: Place): string[] {
    const line = (this.text.split(/\r?\n/)[place.line - 1] ?? '').replaceAll('\t', ' ');
    const from = Math.max(0, place.column - 60);
    const shown = line.slice(from, from + 110);
    const gutter = String(place.line);
    const carets = '^'.repeat(Math.max(1, Math.min(place.length, shown.length - (place.column - 1 - from))));
    return [`${gutter} | ${shown}`, `${' '.repeat(gutter.length)} | ${' '.repeat(place.column - 1 - from)}${carets}`];
  }

  #pairOf(path: Path): Pair | undefined {
    const parent = path.length === 1 ? this.#document.contents : this.#document.getIn(path.slice(0, -1), true);
    if (!isMap(parent)) return undefined;
    const wanted = String(path.at(-1));
    return parent.items.find((pair) => isScalar(pair.key) && String(pair.key.value) === wanted);
  }

  #placeOfNode(node: Node): Place {
    const [start, end] = node.range!;
    // Of a mapping or a list only the beginning: it may go on for a hundred lines.
    return this.#placeOf(start, isScalar(node) ? end : start + 1);
  }

  #placeOf(start: number, end: number): Place {
    const { line, col } = this.#lines.linePos(Math.min(start, this.text.length));
    const lineEnd = this.text.indexOf('\n', start);
    const stop = lineEnd === -1 ? end : Math.min(end, lineEnd);
    return { line: Math.max(1, line), column: Math.max(1, col), length: Math.max(1, stop - start) };
  }
}

function explained(code: string, message: string): string {
  if (code === 'TAB_AS_INDENT') return 'a tab is not allowed for indentation in YAML; use spaces';
  if (code === 'DUPLICATE_KEY') return 'this key is there twice; keys of one mapping must differ';
  if (code === 'MULTIPLE_DOCS') return 'one document is expected; remove what follows ---';
  if (code === 'BAD_INDENT') return `${message} (YAML: check the indentation)`;
  return message.replace(/^./, (first) => first.toLowerCase());
}
