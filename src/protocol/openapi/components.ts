// Schemas of routes as schemas of one OpenAPI document. Invariant: what stands under `$defs` of several routes and says the same is one
// component; where the same name says different things, the later gets another name. Used by document.ts.

type Mapping = Record<string, unknown>;

const DEFINITION = /^#\/\$defs\/([\w.-]+)$/;

export class Components {
  readonly schemas: Mapping = {};
  /** By name and all that it leads to, the name that it has here. */
  readonly #known = new Map<string, string>();
  readonly #taken: Set<string>;

  constructor(reserved: readonly string[]) {
    this.#taken = new Set(reserved);
  }

  /** The schema as it may stand anywhere in the document; `name`: what it is called if it has to be a component. */
  embed(schema: unknown, name: string): unknown {
    if (!isMapping(schema)) return schema;
    const references = refsIn(schema);
    if (references.some((ref) => ref.startsWith('#') && !DEFINITION.test(ref))) {
      // It refers to places of itself: they move with it.
      const component = this.#free(name);
      this.schemas[component] = withRefs(schema, (ref) =>
        ref === '#' || ref.startsWith('#/') ? `#/components/schemas/${component}${ref.slice(1)}` : ref,
      );
      return { $ref: `#/components/schemas/${component}` };
    }
    const { $defs, ...rest } = schema;
    if (!isMapping($defs)) return schema;
    const names = new Map<string, string>();
    for (const [wanted, one] of Object.entries($defs)) {
      const key = JSON.stringify([wanted, [...closureOf(one, $defs)].map((other) => [other, $defs[other]]), one]);
      let known = this.#known.get(key);
      if (known === undefined) this.#known.set(key, (known = this.#free(wanted)));
      names.set(wanted, known);
    }
    const rename = (ref: string): string => {
      const target = DEFINITION.exec(ref)?.[1];
      return target === undefined ? ref : `#/components/schemas/${names.get(target) ?? target}`;
    };
    for (const [wanted, component] of names) this.schemas[component] ??= withRefs($defs[wanted], rename);
    return withRefs(rest, rename);
  }

  #free(wanted: string): string {
    const plain = wanted.replaceAll(/[^\w.-]+/g, '-');
    let name = plain;
    for (let number = 2; this.#taken.has(name); number++) name = `${plain}-${number}`;
    this.#taken.add(name);
    return name;
  }
}

/** Values that are no schemas may hold anything, `$ref` too. */
const PLAIN = new Set(['const', 'enum', 'default', 'example', 'examples']);

function refsIn(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(refsIn);
  if (!isMapping(value)) return [];
  return Object.entries(value).flatMap(([key, one]) =>
    PLAIN.has(key) ? [] : key === '$ref' && typeof one === 'string' ? [one] : refsIn(one),
  );
}

function withRefs(value: unknown, rename: (ref: string) => string): unknown {
  if (Array.isArray(value)) return value.map((one) => withRefs(one, rename));
  if (!isMapping(value)) return value;
  const entries = Object.entries(value).map(([key, one]): [string, unknown] => {
    if (PLAIN.has(key)) return [key, one];
    return [key, key === '$ref' && typeof one === 'string' ? rename(one) : withRefs(one, rename)];
  });
  return Object.fromEntries(entries);
}

/** Names under `defs` that the schema leads to, in order. */
function closureOf(schema: unknown, defs: Mapping): Set<string> {
  const found = new Set<string>();
  const open = [schema];
  for (let one = open.pop(); one !== undefined; one = open.pop()) {
    for (const ref of refsIn(one)) {
      const name = DEFINITION.exec(ref)?.[1];
      if (name === undefined || found.has(name) || !Object.hasOwn(defs, name)) continue;
      found.add(name);
      open.push(defs[name]);
    }
  }
  return found;
}

export function isMapping(value: unknown): value is Mapping {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
