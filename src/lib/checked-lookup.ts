// Names resolved for a connection, with every address judged before it is connected to: for requests that a tenant caused and this process
// makes. Invariant: the address that was judged is the one that is connected to; a name with one address that is refused is refused as a
// whole, since it must not be a matter of which is tried first. Callers: gateway/auth/jwt/, events/webhooks/.
import { lookup } from 'node:dns';
import type { LookupAddress } from 'node:dns';
import type { LookupFunction } from 'node:net';

/** `check` throws for an address that may not be connected to. */
export function checkedLookup(check: (address: string, host: string) => void): LookupFunction {
  return (host, options, callback) => {
    lookup(host, { ...options, all: true }, (error, addresses: LookupAddress[]) => {
      if (error !== null) {
        callback(error, '');
        return;
      }
      try {
        for (const { address } of addresses) check(address, host);
      } catch (refused) {
        callback(refused as Error, '');
        return;
      }
      if (options.all === true) callback(null, addresses);
      else callback(null, addresses[0]!.address, addresses[0]!.family);
    });
  };
}
