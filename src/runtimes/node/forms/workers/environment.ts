// `env` of a Worker: the function's variables, as own properties. Invariant: what the code reads in vain is remembered (a bounded
// number of names), so that an error which follows from it can name it: most often that is a KV namespace or a database which
// the code had at Cloudflare. Made by workers.ts.

export interface WorkerEnvironment {
  env: Record<string, string>;
  /** Names that were read and are not set. */
  missing: ReadonlySet<string>;
}

const NAMES_MAX = 20;
/** Every sandbox has these (engine.ts); set to something else they are the function's own. */
const EVERYWHERE: Record<string, string> = {
  PATH: '/usr/local/bin:/usr/bin:/bin',
  HOME: '/tmp',
  TMPDIR: '/tmp',
  LANG: 'C.UTF-8',
  TZ: 'UTC',
};

export function environmentOf(variables: Record<string, string>): WorkerEnvironment {
  const missing = new Set<string>();
  // Behind the object, so that what is there is read at full speed.
  const behind = new Proxy(
    {},
    {
      get(target, name, receiver) {
        if (typeof name === 'string' && !(name in target) && missing.size < NAMES_MAX && /^[A-Za-z_]\w*$/.test(name)) missing.add(name);
        return Reflect.get(target, name, receiver) as unknown;
      },
    },
  );
  const env = Object.create(behind) as Record<string, string>;
  for (const [name, value] of Object.entries(variables)) if (EVERYWHERE[name] !== value) env[name] = value;
  return { env, missing };
}

/** What to say beside an error that may come from a binding which is not there; undefined: nothing. */
export function missingHint(error: unknown, { missing }: WorkerEnvironment): string | undefined {
  if (missing.size === 0 || !(error instanceof TypeError) || !/\bundefined\b|is not a function/.test(error.message)) return undefined;
  // What libraries look for in any object (`then`, `toJSON`) is no binding.
  const names = [...missing].filter((name) => name !== 'then' && name !== 'toJSON' && name !== 'constructor');
  if (names.length === 0) return undefined;
  return `the code has read ${names.map((name) => `env.${name}`).join(', ')}, which ${names.length === 1 ? 'is' : 'are'} not set: variables come from \`env\` in virga.yaml; Cloudflare's KV, D1, R2, Durable Objects, queues and services are not here`;
}
