// Parameters of an operation as `validate.params`, `query` and `headers`. Invariant: a style that the gateway does not read is noted.
// Called by operations.ts.
import { isObject } from '../../lib/json-schema/refs.ts';
import type { JsonObject } from '../../lib/json-schema/refs.ts';
import type { Base } from '../manifest/schema-references.ts';
import type { DocumentPath, Reading } from './reading.ts';

const KEYS: Record<string, 'params' | 'query' | 'headers'> = { path: 'params', query: 'query', header: 'headers' };
const STYLES: Record<string, string> = { path: 'simple', query: 'form', header: 'simple' };
/** OpenAPI says that parameters of these names mean nothing: they are described elsewhere. */
const IGNORED_HEADERS = new Set(['accept', 'content-type', 'authorization']);

type Rules = Partial<Record<'params' | 'query' | 'headers', Record<string, unknown>>>;

export function parameterRules(
  reading: Reading,
  { item, operation, base, at }: { item: JsonObject; operation: JsonObject; base: Base; at: DocumentPath },
): Rules {
  const rules: Rules = {};
  const shared = { list: item['parameters'], at: [...at.slice(0, -1), 'parameters'] };
  // Those of the operation come later, and count.
  for (const { list, at: place } of [shared, { list: operation['parameters'], at: [...at, 'parameters'] }]) {
    if (!Array.isArray(list)) continue;
    list.forEach((written: unknown, index) => add(reading, rules, { written, base, at: [...place, String(index)] }));
  }
  return rules;
}

function add(reading: Reading, rules: Rules, { written, base: near, at }: { written: unknown; base: Base; at: DocumentPath }): void {
  const { value: parameter, base } = reading.resolved(written, near);
  const left = (what: string, note: string): void => void reading.notes.push({ fate: 'left', at, what, note });
  if (!isObject(parameter) || typeof parameter['name'] !== 'string') return left('parameter', 'it leads to nothing, or has no name');
  const { name, in: where, required, style, explode, description, example, examples, deprecated } = parameter;
  const what = `${String(where)} parameter ${name}`;
  const key = KEYS[String(where)];
  if (key === undefined) return left(what, `parameters in ${String(where)} are not checked; look at them in the function`);
  if (where === 'header' && IGNORED_HEADERS.has(name.toLowerCase())) return left(what, 'nothing to do: OpenAPI ignores it too');
  if (style !== undefined && style !== STYLES[String(where)])
    return left(what, `the style ${JSON.stringify(style)} is not read; check it in the function`);
  if (parameter['content'] !== undefined) return left(what, 'what is encoded within a parameter is not checked; check it in the function');
  const schema = reading.schema(parameter['schema'] ?? {}, base, [...at, 'schema']);
  if (schema === undefined) return;
  const plain = isObject(schema) ? schema : {};
  const types = [plain['type']].flat();
  const items = isObject(plain['items']) ? [plain['items']['type']].flat() : [];
  if (types.includes('object') || items.includes('object') || items.includes('array'))
    return left(what, 'objects in parameters are not checked; check it in the function');
  const shown = example ?? firstExample(examples);
  (rules[key] ??= {})[name] = {
    ...plain,
    ...(description === undefined || plain['description'] !== undefined ? {} : { description }),
    ...(shown === undefined || plain['examples'] !== undefined ? {} : { examples: [shown] }),
    ...(deprecated === true ? { deprecated } : {}),
    ...(required === true && key !== 'params' ? { required } : {}),
    ...(explode === false && key === 'query' ? { explode } : {}),
  };
}

/** Of `examples` by name. */
export function firstExample(examples: unknown): unknown {
  const first: unknown = isObject(examples) ? Object.values(examples)[0] : undefined;
  return isObject(first) ? first['value'] : undefined;
}
