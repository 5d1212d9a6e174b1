// `redirect` of a route: an answer that sends the client elsewhere, without a function. Enforced by gateway/redirect/.
// Invariant: where it leads is decided here, not by the request: a parameter never stands where it could choose the host.
import { z } from 'zod';

export const REDIRECT_STATUSES = [301, 302, 303, 307, 308] as const;
const TO_LENGTH_MAX = 2_048;
const PARAMETER = /\{([^{}]*)\}/g;
const NAME = /^([A-Za-z_][A-Za-z0-9_]{0,63})\+?$/;
/** Scheme and authority, without user info; no parameter can stand in them. */
const ORIGIN = /^https?:\/\/(?:[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(?::\d{1,5})?(?=[/?#]|$)/i;
const toError = 'a path such as /new/{id}, or a URL such as https://example.com/new/{id}';

const rules = z.strictObject(
  {
    to: z
      .string({ error: toError })
      .min(1, { error: toError })
      .max(TO_LENGTH_MAX, { error: `at most ${TO_LENGTH_MAX} characters` })
      .superRefine((text, context) => {
        const problem = destinationProblem(text);
        if (problem !== undefined) context.addIssue({ code: 'custom', message: problem, params: { rule: true } });
      })
      .describe(
        'Where to: a path, or a whole URL. `{name}` stands for a parameter of the route; the query of the request is carried along.',
      ),
    status: z
      .literal(REDIRECT_STATUSES, { error: `one of ${REDIRECT_STATUSES.join(', ')}` })
      .optional()
      .describe('308 and 301 for good, 307 and 302 for now; with 307 and 308 the method stays what it was. Without it 302.'),
  },
  { error: 'where to, such as {to: /new/{id}, status: 308}' },
);

export const redirect = rules.describe('Sends the client elsewhere.');
export type RedirectRules = z.infer<typeof rules>;

export const redirectExample = `Old addresses lead to the new ones, for good:

    gateway:
      routes:
        - path: /articles/{id}
          redirect: {to: "/notes/{id}", status: 308}
        - path: /shop/{rest+}
          redirect: {to: "https://shop.example.com/{rest}"}`;

/** What is wrong with a destination by itself; undefined: nothing. */
function destinationProblem(to: string): string | undefined {
  if (!/^[\x21-\x7e]+$/.test(to) || to.includes('\\'))
    return 'only printable ASCII without spaces and backslashes; percent-encode the rest';
  for (const [whole, name] of to.matchAll(PARAMETER)) if (!NAME.test(name!)) return `'${whole}' is not a parameter such as {id}`;
  if (/[{}]/.test(to.replaceAll(PARAMETER, ''))) return 'a brace that opens no parameter; write it as %7B or %7D';
  if (to.startsWith('/'))
    return to.startsWith('//') ? "it begins with '//', which names another host; write that with https://" : undefined;
  if (ORIGIN.test(to)) return undefined;
  if (to.startsWith('{')) return 'a parameter cannot begin it: whoever makes the link would choose where it leads';
  if (/^https?:\/\/[^/]*\{/i.test(to)) return 'a parameter cannot stand in the host: whoever makes the link would choose where it leads';
  return `not ${toError}`;
}

/** Names of parameters that stand in it. */
export function parametersIn(text: string): string[] {
  return [...text.matchAll(PARAMETER)].map((match) => NAME.exec(match[1]!)?.[1] ?? match[1]!);
}

/** A parameter that the path does not have; undefined: there is none. */
export function unknownParameter(text: string, path: string): string | undefined {
  const known = new Set(parametersIn(path));
  return parametersIn(text).find((name) => !known.has(name));
}
