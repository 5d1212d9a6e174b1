// `ip` of a route: from which addresses it may be called at all. Enforced by gateway/addresses/, before anything else.
import { isIP } from 'node:net';
import { z } from 'zod';

const LIST_MAX = 1_000;
const rangeError = 'an address or a range, such as 203.0.113.7, 10.0.0.0/8 or 2001:db8::/32';

const range = z.string({ error: rangeError }).refine(isRange, { error: rangeError });
const list = z
  .array(range, { error: 'a list of addresses and ranges' })
  .max(LIST_MAX, { error: `at most ${LIST_MAX} addresses and ranges` });

const rules = z.strictObject(
  {
    allow: list.min(1, { error: 'a list of addresses and ranges' }).optional().describe('Only clients from here may call.'),
    deny: list.optional().describe('Clients from here may not, whatever `allow` says.'),
  },
  { error: 'addresses such as {allow: [10.0.0.0/8], deny: [10.6.6.6]}' },
);

export const addresses = z
  .union([z.literal(false), rules], { error: 'addresses such as {allow: [10.0.0.0/8]}, or false' })
  .describe('From which addresses the route may be called, before anything else is looked at; others get 403. `false`: from all.');

export type AddressRules = z.infer<typeof rules>;

export const addressesExample = `Only the office may call, but for one machine of it:

    gateway:
      defaults:
        ip: {allow: [203.0.113.0/24, 2001:db8:7::/48], deny: [203.0.113.66]}`;

function isRange(text: string): boolean {
  const [address = '', bits, ...more] = text.split('/');
  const family = isIP(address);
  if (family === 0 || address.includes('%') || more.length > 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128));
}
