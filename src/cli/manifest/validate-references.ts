// Follows the references to files in every `validate` of a manifest, in place, before the manifest is checked. Called by manifest.ts.
import { isLongBody } from '../../protocol/body-rules.ts';
import type { ManifestDocument, Path, Problem } from './document.ts';
import { pathText } from './problems.ts';
import type { ProjectDocuments } from './project-documents.ts';
import { bundled } from './schema-references.ts';

type Mapping = Record<string, unknown>;

/** `root` is what was read from virga.yaml, before any check. */
export function followReferences(
  root: unknown,
  { document, documents }: { document: ManifestDocument; documents: ProjectDocuments },
): Problem[] {
  const problems: Problem[] = [];
  const follow = (schema: unknown, path: Path): unknown => {
    const { schema: whole, problems: found } = bundled(schema, documents);
    for (const one of found.slice(0, 20)) {
      const at = [...path, ...one.path];
      problems.push({ ...document.placeOfValue(at), message: `${pathText(path)}: ${one.message}` });
    }
    return whole;
  };
  const each = (value: unknown, path: Path): unknown =>
    isMapping(value) ? Object.fromEntries(Object.entries(value).map(([name, one]) => [name, follow(one, [...path, name])])) : value;
  const visit = (holder: unknown, path: Path): void => {
    if (!isMapping(holder) || !isMapping(holder['validate'])) return;
    const rules = { ...holder['validate'] };
    const at = [...path, 'validate'];
    for (const key of ['params', 'query', 'headers', 'response']) if (rules[key] !== undefined) rules[key] = each(rules[key], [...at, key]);
    if (isLongBody(rules['body'])) {
      if (rules['body']['schema'] !== undefined)
        rules['body'] = { ...rules['body'], schema: follow(rules['body']['schema'], [...at, 'body', 'schema']) };
    } else if (rules['body'] !== undefined) rules['body'] = follow(rules['body'], [...at, 'body']);
    holder['validate'] = rules;
  };
  const { functions, gateway } = isMapping(root) ? root : {};
  for (const [name, fn] of Object.entries(isMapping(functions) ? functions : {})) {
    const http = isMapping(fn) ? fn['http'] : undefined;
    if (Array.isArray(http)) http.forEach((route, index) => visit(route, ['functions', name, 'http', index]));
  }
  if (isMapping(gateway)) {
    visit(gateway['defaults'], ['gateway', 'defaults']);
    if (Array.isArray(gateway['routes'])) gateway['routes'].forEach((route, index) => visit(route, ['gateway', 'routes', index]));
  }
  return problems;
}

function isMapping(value: unknown): value is Mapping {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
