// Keeps `__dirname`, `import.meta.dirname` and their kin true after bundling: the bundle lies at the root of the
// artifact, but a module of functions/ expects its files (carried by `include`) in functions/. Invariant: what a module
// declares itself, and properties of these names, stay as they are. Used by node.ts as part of its rolldown plugin.
import { parseSync } from 'rolldown/utils';

/** Whether a module is worth a look (without look-aheads: rolldown tests it in Rust). */
export const WORTH_A_LOOK = /__dirname|__filename|import\s*\.\s*meta|require\s*\(/;
/** What a module says when it asks where it is. */
export const ASKS_WHERE = /\b__(?:dirname|filename)\b|\bimport\s*\.\s*meta\b/;
/** A require whose argument is computed: a bundler cannot follow it. */
export const COMPUTED_REQUIRE = /\brequire\s*\(\s*(?!(?:'[^'\n]*'|"[^"\n]*"|`[^`$]*`)?\s*[,)])/;

interface Syntax {
  type: string;
  start: number;
  end: number;
  [key: string]: unknown;
}

export interface Edit {
  start: number;
  end: number;
  text: string;
}

/** What to replace in a module; `path` is its place relative to the root of the artifact, with forward slashes. */
export function ownFolderEdits(code: string, path: string): Edit[] {
  const { program, module, errors } = parseSync(path, code);
  if (errors.length > 0) return []; // the bundler reports it, with its place
  const folder = path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : '';
  const inFolder = folder === '' ? '' : ` + ${JSON.stringify(`/${folder}`)}`;
  const edits: Edit[] = [];
  for (const meta of module.importMetas) {
    const [, gap, property] = /^(\s*\.\s*)(url|dirname|filename)\b/.exec(code.slice(meta.end, meta.end + 200)) ?? [];
    if (property === undefined) continue;
    const end = meta.end + gap!.length + property.length;
    if (property === 'url')
      edits.push({ start: meta.start, end, text: `new URL(${JSON.stringify(encodeURI(path))}, import.meta.url).href` });
    else
      edits.push({
        start: meta.start,
        end,
        text: property === 'dirname' ? `(import.meta.dirname${inFolder})` : `(import.meta.dirname + ${JSON.stringify(`/${path}`)})`,
      });
  }
  // In a module with import and export Node knows no __dirname; people write it nevertheless, and mean this.
  const root = module.hasModuleSyntax ? 'import.meta.dirname' : '__dirname';
  const replacements: Record<string, string> = {
    __dirname: `(${root}${inFolder})`,
    __filename: `(${root} + ${JSON.stringify(`/${path}`)})`,
  };
  const found = namesIn(program as unknown as Syntax, new Set(Object.keys(replacements)));
  for (const { node, shorthand, declared } of found) {
    if (declared || found.some((other) => other.declared && other.node['name'] === node['name'])) continue;
    const name = node['name'] as string;
    edits.push({ start: node.start, end: node.end, text: `${shorthand ? `${name}: ` : ''}${replacements[name]!}` });
  }
  return edits;
}

/** Identifiers of these names that are variables (not properties), and whether the module declares them itself. */
function namesIn(program: Syntax, names: Set<string>): { node: Syntax; shorthand: boolean; declared: boolean }[] {
  const found: { node: Syntax; shorthand: boolean; declared: boolean }[] = [];
  const seen = new Set<number>();
  const visit = (node: Syntax, parent: Syntax | undefined, role: string): void => {
    if (node.type === 'Identifier' && names.has(node['name'] as string)) {
      const isProperty =
        (parent?.type === 'MemberExpression' && role === 'property' && parent['computed'] !== true) ||
        (role === 'key' && parent?.['computed'] !== true);
      const shorthand = parent?.type === 'Property' && parent['shorthand'] === true;
      const declared = role === 'id' || role === 'params' || role === 'local';
      if ((!isProperty || shorthand) && !seen.has(node.start)) {
        seen.add(node.start);
        found.push({ node, shorthand, declared });
      }
    }
    for (const [key, child] of Object.entries(node)) {
      for (const one of Array.isArray(child) ? child : [child]) {
        if (typeof one === 'object' && one !== null && typeof (one as Syntax).type === 'string') visit(one as Syntax, node, key);
      }
    }
  };
  visit(program, undefined, '');
  return found;
}

/** The code without its comments, of the same length. */
export function withoutComments(code: string, path: string): string {
  let bare = code;
  for (const { start, end } of parseSync(path, code).comments) bare = bare.slice(0, start) + ' '.repeat(end - start) + bare.slice(end);
  return bare;
}
