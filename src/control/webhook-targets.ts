// Where webhooks of a deploy request lead, as far as that can be told before a name is resolved: addresses that are not public and that the
// operator did not open, and plain http. What names resolve to is judged at each request (events/webhooks/webhook-client.ts).
// Called by deploy-project.ts.
import { isIP } from 'node:net';
import { blockListOf, reservedAs, unmapped } from '../protocol/reserved-addresses.ts';
import type { EventsSection } from '../protocol/sources/sources.ts';
import type { Problem } from './problems.ts';

/** `opened`: ranges that are not public and may be sent to all the same. */
export function webhookProblems({ topics = {} }: EventsSection = {}, opened: readonly string[]): Problem[] {
  const open = blockListOf(opened);
  return Object.entries(topics).flatMap(([topic, { subscriptions = [] }]) =>
    subscriptions.flatMap(({ url }, index): Problem[] => {
      if (url === undefined) return [];
      const { protocol, hostname } = new URL(url);
      const message = problemOf(hostname.replace(/^\[|\]$/g, ''), { plain: protocol === 'http:', open, anyOpen: opened.length > 0 });
      return message === undefined ? [] : [{ path: `events.topics.${topic}.subscriptions.${index}.url`, message, value: url }];
    }),
  );
}

function problemOf(
  host: string,
  { plain, open, anyOpen }: { plain: boolean; open: ReturnType<typeof blockListOf>; anyOpen: boolean },
): string | undefined {
  const https = 'is plain http, which anybody on the way can read and change; use https';
  if (isIP(host) === 0) return plain && !anyOpen ? https : undefined;
  const address = unmapped(host);
  if (open.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')) return undefined;
  const reserved = reservedAs(address);
  if (reserved !== null) return `has an address that is ${reserved}; the operator of the node opens it with VIRGA_WEBHOOKS_PRIVATE`;
  return plain ? https : undefined;
}
