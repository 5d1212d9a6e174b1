// What one sandbox may resolve and reach: the egress setting of its version, made into answers. Names are resolved by the
// relay's resolver, which remembers here what they resolved to (pins): that is how an address that a program connects to
// has a name again.
// Invariant: nothing that is not public is ever allowed, unless the operator opened it *and* the setting names it; an
// address is judged as it is connected to, never by what it was when its name was resolved. Pure but for the node's
// addresses, which come in. Callers: tenant.ts, resolver.ts.
import type { BlockList } from 'node:net';
import { covers, parseEgressEntry } from '../../protocol/egress.ts';
import type { Egress, EgressRule } from '../../protocol/egress.ts';
import { blockListOf, reservedAs, unmapped } from '../../protocol/reserved-addresses.ts';
import { Pins } from './pins.ts';

/** What is the same for all sandboxes of a node. */
export interface NodeNetwork {
  /** Ranges that are not public, which functions may name all the same. */
  opened: BlockList;
  isOwn(address: string): boolean;
  /** The port of the edge where the network may reach it: whoever is outside gets there, so functions do. */
  openPort: number | null;
}

export type Verdict = { allowed: true } | { allowed: false; why: string; remedy: string };

type ListedRule = EgressRule & { list: BlockList | null };

export class Policy {
  readonly #node: NodeNetwork;
  readonly #egress: Egress;
  readonly #rules: ListedRule[];
  readonly #pins = new Pins();

  constructor(egress: Egress, node: NodeNetwork) {
    this.#node = node;
    this.#egress = egress;
    const rules = typeof egress === 'string' ? [] : egress.map(parseEgressEntry);
    this.#rules = rules
      .filter((rule) => typeof rule !== 'string')
      .map((rule) => ({ ...rule, list: rule.kind === 'range' ? blockListOf([rule.range]) : null }));
  }

  mayResolve(name: string): Verdict {
    if (this.#egress === 'internet' || this.#rules.some((rule) => isNamed(rule, name))) return { allowed: true };
    if (this.#egress === 'none') return NOTHING;
    return { allowed: false, why: 'the name is not in its list', remedy: `add '${name}' to \`egress\` in virga.yaml` };
  }

  /** Whether a name may resolve to this address: names of private ones are not told, those of the node itself are. */
  mayLearn(name: string, address: string): Verdict {
    const what = reservedAs(address);
    if (what === null || this.#isOpened(address, [name], null)) return { allowed: true };
    return notPublic(address, what);
  }

  /** `name` has just been resolved to `address`. */
  learn(name: string, address: string, ttlS: number, nowMs: number): void {
    this.#pins.add(unmapped(address), name, ttlS, nowMs);
  }

  judge(given: string, port: number, nowMs: number): Verdict {
    if (this.#egress === 'none') return NOTHING;
    const address = unmapped(given);
    const names = this.#pins.namesOf(address, nowMs);
    const what = reservedAs(address);
    if (what !== null && !this.#isOpened(address, names, port)) return notPublic(address, what);
    if (this.#node.isOwn(address) && port !== this.#node.openPort && !this.#isOpened(address, names, port)) {
      return {
        allowed: false,
        why: 'the address is this node itself',
        remedy: `let the operator open it with VIRGA_EGRESS_PRIVATE=${address}, and name it in \`egress\``,
      };
    }
    if (this.#egress === 'internet' || this.#rules.some((rule) => fits(rule, address, names, port))) return { allowed: true };
    const wanted = names[0] ?? address;
    return {
      allowed: false,
      why: 'it is not in its list',
      remedy: `add '${wanted.includes(':') ? `[${wanted}]` : wanted}:${port}' to \`egress\` in virga.yaml`,
    };
  }

  /** For people. */
  nameOf(address: string, nowMs: number): string | undefined {
    return this.#pins.namesOf(unmapped(address), nowMs)[0];
  }

  /** `port` null: any. */
  #isOpened(address: string, names: string[], port: number | null): boolean {
    return covers(this.#node.opened, address) && this.#rules.some((rule) => fits(rule, address, names, port));
  }
}

const NOTHING: Verdict = {
  allowed: false,
  why: 'its egress is none',
  remedy: 'set `egress: internet`, or a list of what it needs, in virga.yaml',
};

function notPublic(address: string, what: string): Verdict {
  return {
    allowed: false,
    why: `${address} is not on the internet (${what})`,
    remedy: `use a public address, or let the operator open it with VIRGA_EGRESS_PRIVATE and name it in \`egress\``,
  };
}

function isNamed(rule: EgressRule, name: string): boolean {
  if (rule.kind === 'name') return rule.name === name;
  return rule.kind === 'below' && name.endsWith(`.${rule.name}`);
}

function fits(rule: ListedRule, address: string, names: string[], port: number | null): boolean {
  if (port !== null && rule.port !== null && rule.port !== port) return false;
  return rule.list === null ? names.some((name) => isNamed(rule, name)) : covers(rule.list, address);
}
