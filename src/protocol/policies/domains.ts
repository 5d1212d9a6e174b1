// `gateway.domains`: names of hosts that the project is served at, beside <project>.localhost. Which of them need a proof of
// ownership before they are served is said here too. Enforced by control/domains.ts and gateway/route.ts.
import { isIP } from 'node:net';
import { z } from 'zod';
import { hostPattern } from './conditions.ts';

const DOMAINS_MAX = 100;
/** Names that reach nobody but this machine, or whoever runs the network (RFC 6761, RFC 2606, and ICANN's .internal). */
const PRIVATE_SUFFIXES = ['localhost', 'test', 'internal'];

export const domains = z
  .array(
    hostPattern.superRefine((name, context) => {
      const problem = domainProblem(name);
      if (problem !== undefined) context.addIssue({ code: 'custom', message: problem, params: { rule: true } });
    }),
    { error: 'a list of domains' },
  )
  .max(DOMAINS_MAX, { error: `at most ${DOMAINS_MAX} domains` })
  .superRefine((names, context) => {
    names.forEach((name, index) => {
      if (names.indexOf(name) < index)
        context.addIssue({ code: 'custom', path: [index], message: 'it is there twice', params: { rule: true } });
    });
  })
  .describe(
    'Names of hosts that the project is served at, e.g. `[shop.example.com, "*.shop.example.com"]`; `*.` stands for one label. Each belongs to one project of the node and is served once its ownership is proven (`virga domains`); names below .localhost, .test and .internal need no proof.',
  );

function domainProblem(name: string): string | undefined {
  const bare = name.replace(/^\*\./, '');
  if (isIP(bare) !== 0 || /^\d+$/.test(bare.split('.').at(-1)!)) return 'an address is no domain';
  if (!bare.includes('.')) return 'one label alone is no domain; two at least, as in example.com';
  if (/^[^.*]+\.localhost$/.test(name)) return `that is where a project named ${name.split('.')[0]} is served already`;
  return undefined;
}

/** Whether such a name is served without proof. `suffixes` are the node's own. */
export function isTrustedDomain(name: string, suffixes: readonly string[]): boolean {
  const bare = name.replace(/^\*\./, '');
  return [...PRIVATE_SUFFIXES, ...suffixes].some((suffix) => bare === suffix || bare.endsWith(`.${suffix}`));
}

/** The TXT record that proves a domain. */
export function proofRecord(name: string, token: string): { name: string; value: string } {
  return { name: `_virga.${name.replace(/^\*\./, '')}`, value: `virga=${token}` };
}
