// TXT records by name, from the resolvers that the node names: for the proofs of domains. Invariant: a name that nobody knows has
// none; servers that do not answer are an error that says so. Used by control.ts.
import { NODATA, NOTFOUND, Resolver } from 'node:dns/promises';
import { VirgaError } from '../protocol/errors.ts';

const TIMEOUT_MS = 3_000;
const TRIES = 2;

/** `resolvers` null: those of /etc/resolv.conf. */
export function txtLookup(resolvers: readonly string[] | null): (name: string) => Promise<string[]> {
  return async (name) => {
    const resolver = new Resolver({ timeout: TIMEOUT_MS, tries: TRIES });
    if (resolvers !== null) resolver.setServers(resolvers);
    try {
      return (await resolver.resolveTxt(name)).map((parts) => parts.join(''));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === NODATA || code === NOTFOUND) return [];
      throw new VirgaError('unavailable', `the TXT record ${name} could not be looked up (${code ?? String(error)}); try again later`, {
        cause: error,
      });
    }
  };
}
