// `auth` of a route: who may call it. An authenticator by the name that gateway.auth gives it, one written in place, or several
// of those names joined by any-of and all-of. Enforced by gateway/auth/; the names are checked by auth-references.ts.
import { z } from 'zod';
import { AUTHENTICATOR_WAYS, authenticator, authenticatorShape, nestedRequirements, requirements } from './authenticators.ts';
import { declaredName } from './words.ts';
import { NO_AUTH_WORD } from '../auth-words.ts';

const NAMES_MAX = 100;
const BRANCHES_MAX = 20;
/** The word for no authentication at all, so that a route can differ from the defaults. */
export const NO_AUTH = NO_AUTH_WORD;

const named = z.string({ error: 'the name of an authenticator of gateway.auth' });
const leafError = 'a name of gateway.auth, or {use: name, scopes: […]}';
const leaf = z.union([named, z.strictObject({ use: declaredName, ...nestedRequirements }, { error: leafError })], { error: leafError });
// Any-of all-of and all-of any-of can say whatever deeper nesting could, and people can read it.
const inAny = joinable('all');
const inAll = joinable('any');

/** One of several that are joined. */
export type AuthBranch = z.infer<typeof leaf> | z.infer<typeof inAny> | z.infer<typeof inAll>;

const WAYS = ['use', 'any', 'all', ...AUTHENTICATOR_WAYS];
const error = 'none, a name of gateway.auth, an authenticator such as {keys: {}}, {any: […]} or {all: […]}';
const written = oneOf(
  z.strictObject(
    {
      use: declaredName.optional().describe('Name of an authenticator of `gateway.auth`.'),
      any: listOf(inAny)
        .optional()
        .describe('Names, of which one has to know the caller; the first that does counts. `{all: […]}` may be one of them.'),
      all: listOf(inAll)
        .optional()
        .describe('Names, all of which have to know the caller; the first is who calls. `{any: […]}` may be one of them.'),
      ...requirements,
      ...authenticatorShape,
    },
    { error },
  ),
  WAYS,
);

export const auth = z
  .union([named, written], { error })
  .describe(
    'Who may call: `none`, the name of an authenticator of `gateway.auth`, an authenticator in place, or several names as `{any: […]}` or `{all: […]}`, each with `scopes` and `claims` that the caller must have. Who is not known gets 401, who is known and lacks something 403.',
  );
export type Auth = z.infer<typeof auth>;

export const authSection = z
  .record(
    declaredName.refine((name) => name !== NO_AUTH, { error: `another name: \`${NO_AUTH}\` stands for no authentication` }),
    authenticator,
    {
      error: 'authenticators by name, such as {users: {jwt: …}}',
    },
  )
  .refine((section) => Object.keys(section).length <= NAMES_MAX, { error: `at most ${NAMES_MAX} authenticators` })
  .describe('Authenticators by name, for `auth` of routes.');

export const authExample = `Partners with a key or users with a token; one route needs a scope, one is for everybody:

    gateway:
      auth:
        partners: {keys: {}}
        users: {jwt: {issuer: "https://login.example.com/", audience: notes}}
      defaults:
        auth: {any: [partners, users]}
    functions:
      notes:
        source: notes.ts
        http:
          - path: /notes
            methods: [POST]
            auth: {use: users, scopes: ["notes:write"]}
          - path: /health
            auth: none`;

function listOf<T extends z.ZodType>(branch: T): z.ZodArray<T> {
  return z
    .array(branch, { error: 'a list of authenticators' })
    .min(1, { error: 'a list of authenticators' })
    .max(BRANCHES_MAX, { error: `at most ${BRANCHES_MAX} authenticators` });
}

/** What may stand in a list: a name, or a list of the other kind. */
function joinable<K extends 'any' | 'all'>(other: K) {
  const text = `a name of gateway.auth, {use: name} or {${other}: […]}`;
  const shape = { use: declaredName.optional(), [other]: listOf(leaf).optional(), ...nestedRequirements } as {
    use: z.ZodOptional<typeof declaredName>;
  } & { [P in K]: z.ZodOptional<z.ZodArray<typeof leaf>> } & typeof nestedRequirements;
  return z.union([named, oneOf(z.strictObject(shape, { error: text }), ['use', other])], { error: text });
}

function oneOf<S extends z.ZodObject>(schema: S, keys: readonly string[]): S {
  return schema.superRefine((value: Record<string, unknown>, context) => {
    const given = keys.filter((key) => value[key] !== undefined);
    if (given.length === 1) return;
    const message =
      given.length === 0
        ? `it says what is needed of whom, but not of whom; one of ${keys.join(', ')} is missing`
        : `${given.join(' and ')} say two things; keep one, or name authenticators in gateway.auth and join them by any or all`;
    context.addIssue({ code: 'custom', path: [], message, params: { rule: true } });
  });
}
