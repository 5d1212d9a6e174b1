// Which version of its function a request is for, where `live` says more than "the newest": a share of the visitors goes to the
// canary, and each stays where it was. Invariant: a visitor's place is a number that depends on the visitor and the canary alone,
// and the canary takes the places below its percentage: who was there stays there when the percentage rises.
import { hash, randomBytes } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { DeployedVersion } from '../../functions/version.ts';
import type { Sticky } from '../../protocol/policies/traffic.ts';
import { dropHeaders } from '../flat-headers.ts';
import type { Feature, GatewayRequest, RouteSource, Stage } from '../stage.ts';

const COOKIE = 'virga-visitor';
const VISITOR = /(?:^|;\s*)virga-visitor=([A-Za-z0-9_-]{22})(?:;|$)/;
const OWN_HEADERS = new Set(['x-virga-version']);
const COOKIE_MAX_AGE_S = 30 * 86_400;

interface Chosen {
  version: DeployedVersion;
  /** Set-Cookie for a visitor that had none. */
  cookie: string | undefined;
}

export class CanaryFeature implements Feature {
  readonly #random: () => number;

  constructor(options: { random?: () => number } = {}) {
    this.#random = options.random ?? Math.random;
  }

  compile({ versions }: RouteSource): Stage | undefined {
    if (versions === undefined || !versions.pinned) return undefined;
    const { live, canary } = versions;
    /** Of the requests under way that got as far. */
    const chosen = new WeakMap<GatewayRequest, Chosen>();
    return {
      onHead: (request) => {
        const choice = canary === undefined ? { version: live, cookie: undefined } : this.#choose(request, live, canary);
        request.version = choice.version;
        chosen.set(request, choice);
        return undefined;
      },
      onAnswer: (request, _status, headers) => {
        const choice = chosen.get(request);
        if (choice === undefined) return;
        dropHeaders(headers, OWN_HEADERS);
        headers.push('x-virga-version', String(choice.version.version));
        if (choice.cookie !== undefined) headers.push('set-cookie', choice.cookie);
      },
    };
  }

  #choose(
    request: GatewayRequest,
    live: DeployedVersion,
    { version, percent, sticky }: { version: DeployedVersion; percent: number; sticky: Sticky },
  ): Chosen {
    let cookie: string | undefined;
    let place: number;
    if (sticky === 'none') place = this.#random() * 100;
    else {
      let visitor = sticky === 'cookie' ? visitorOf(request) : undefined;
      if (sticky === 'cookie' && visitor === undefined) cookie = cookieOf(request, (visitor = randomBytes(16).toString('base64url')));
      if (sticky === 'principal') visitor = request.principal?.id;
      place = placeOf(version, visitor ?? request.client);
    }
    return { version: place < percent ? version : live, cookie };
  }
}

function visitorOf(request: GatewayRequest): string | undefined {
  const cookies = request.header('cookie');
  return cookies === undefined ? undefined : VISITOR.exec(cookies)?.[1];
}

function cookieOf(request: GatewayRequest, visitor: string): string {
  const secure = (request.incoming.socket as Partial<TLSSocket>).encrypted === true ? '; Secure' : '';
  return `${COOKIE}=${visitor}; Path=${request.prefix || '/'}; Max-Age=${COOKIE_MAX_AGE_S}; HttpOnly; SameSite=Lax${secure}`;
}

/** From 0 to 100. Another canary has other visitors: not the same ones are always the first to meet what is new. */
function placeOf({ project, function: fn, version }: DeployedVersion, visitor: string): number {
  const digest = hash('sha256', `${project}/${fn}@${version} ${visitor}`);
  return (Number.parseInt(digest.slice(0, 12), 16) / 2 ** 48) * 100;
}
