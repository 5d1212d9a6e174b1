// What the authenticators need of the node beyond the policy: the keys and secrets that it holds, the engine for authorizer
// functions, the network for the keys of issuers, and what is remembered of callers. Made by server/edge.ts; a test makes its own.
// Invariant: whatever grows with clients is bounded by `remembered` entries.
import type { Engine } from '../../functions/engine.ts';
import type { DeployedVersion } from '../../functions/version.ts';
import { BoundedMap } from '../../lib/bounded-map.ts';
import type { Finding, Known } from './authenticator.ts';
import type { AskingHosts } from './certificate/asking-hosts.ts';
import type { AuthorizerAnswer } from './authorizer/answer.ts';
import type { IssuerFetch } from './jwt/issuer-fetch.ts';
import type { KeySet } from './jwt/key-set.ts';
import type { KeyRing } from './key-ring.ts';
import type { SecretRing } from './secret-ring.ts';

export interface CallerServices {
  keys: KeyRing;
  secrets: SecretRing;
  /** Hosts that ask for certificates. */
  asking: Pick<AskingHosts, 'add' | 'compiled'>;
  engine: Pick<Engine, 'invoke'>;
  /** The current version of a function. */
  versionOf(project: string, fn: string): DeployedVersion | undefined;
  fetchIssuer: IssuerFetch;
  /** Unix ms. */
  now: () => number;
  /** Entries of each memory of callers. */
  remembered: number;
}

/** A token that was verified. */
export interface VerifiedToken {
  finding: Known;
  /** Unix ms. */
  until: number;
  /** Of the keys by which it was verified. */
  generation: number;
}

export class AuthServices {
  readonly node: CallerServices;
  /** By the hash of the token and of the rules. */
  readonly tokens: BoundedMap<string, VerifiedToken>;
  /** Signatures that have passed, until when they are remembered. */
  readonly signatures: BoundedMap<string, number>;
  readonly answers: BoundedMap<string, { answer: AuthorizerAnswer; until: number }>;
  /** Calls of authorizers under way, by the same key. */
  readonly asking = new Map<string, Promise<AuthorizerAnswer | Finding>>();
  /** By where they come from: they outlive a deployment. */
  readonly keySets = new BoundedMap<string, KeySet>(1_000);

  constructor(node: CallerServices) {
    this.node = node;
    this.tokens = new BoundedMap(node.remembered);
    this.signatures = new BoundedMap(node.remembered);
    this.answers = new BoundedMap(node.remembered);
  }
}
