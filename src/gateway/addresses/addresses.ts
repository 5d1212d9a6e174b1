// `ip` of a route: from which addresses it may be called, before anything else of the request is looked at. Invariant: an IPv4
// address in IPv6 clothes counts as what it is; `deny` wins over `allow`; an address that is not one is let in nowhere.
import { isIP } from 'node:net';
import type { BlockList } from 'node:net';
import type { AddressRules } from '../../protocol/policies/addresses.ts';
import { VirgaError } from '../../protocol/errors.ts';
import { blockListOf, unmapped } from '../../protocol/reserved-addresses.ts';
import type { Feature, GatewayRequest, RouteSource, Stage, Verdict } from '../stage.ts';

export class AddressFeature implements Feature {
  compile({ policy }: RouteSource): Stage | undefined {
    const { ip } = policy;
    return ip === undefined || ip === false || (ip.allow === undefined && ip.deny === undefined) ? undefined : new AddressStage(ip);
  }
}

class AddressStage implements Stage {
  readonly #allow: BlockList | undefined;
  readonly #deny: BlockList | undefined;

  constructor({ allow, deny }: AddressRules) {
    this.#allow = allow === undefined ? undefined : blockListOf(allow);
    this.#deny = deny === undefined ? undefined : blockListOf(deny);
  }

  onHead({ client }: GatewayRequest): Verdict {
    const address = unmapped(client);
    const family = isIP(address);
    const kind = family === 6 ? 'ipv6' : 'ipv4';
    if (family !== 0 && this.#allow?.check(address, kind) !== false && this.#deny?.check(address, kind) !== true) return undefined;
    return { error: new VirgaError('address_not_allowed', `the address ${client} may not call this route`) };
  }
}
