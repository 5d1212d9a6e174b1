// The relay: a process of its own between sandboxes and the internet. It listens in each sandbox's network namespace,
// decides by the policy of whoever has the namespace now, and connects out from the host's. Its main thread never leaves
// the host's namespace, its other thread (namespace-thread.ts) never returns to it.
// Invariant: it holds nothing that its death would lose: the launcher has the namespaces and the policies, starts another
// and tells it. It ends with the launcher. Started by relay-process.ts, in a user namespace where it is root over nothing
// but the namespaces it makes.
import { networkInterfaces, setPriority } from 'node:os';
import { blockListOf, unmapped } from '../../protocol/reserved-addresses.ts';
import { RelayedNamespace } from './namespace.ts';
import type { NamespaceShares } from './namespace.ts';
import { Namespaces } from './namespaces.ts';
import type { NodeNetwork } from './policy.ts';
import { Resolver } from './resolver.ts';
import { Tenant } from './tenant.ts';
import { Upstream } from './upstream.ts';
import type { FromRelay, RelayOptions, ToRelay } from './wire.ts';

/** Calls through the edge go before what functions fetch: the edge and the launcher have 0. */
const NICENESS = 5;
const INTERFACES_READ_EVERY_MS = 2_000;

process.on('disconnect', () => process.exit(0));
process.on('SIGINT', () => {});
setPriority(NICENESS);

const namespaces = new Namespaces();
const served = new Map<number, RelayedNamespace>();
let node: NodeNetwork | undefined;
let shares: NamespaceShares | undefined;

process.on('message', (message: ToRelay) => {
  switch (message.op) {
    case 'open':
      ({ node, shares } = composed(message.options));
      for (const { id, fd } of message.namespaces) serve(id, fd);
      return;
    case 'make':
      void make(message.id);
      return;
    case 'assign': {
      const { id, lease, policy } = message;
      served.get(id)?.assign(new Tenant(policy, node!, (level, text) => say({ op: 'log', lease, level, text })));
      return;
    }
    case 'release': {
      const namespace = served.get(message.id);
      namespace?.release();
      if (namespace !== undefined) void listen(message.id, namespace);
      return;
    }
    case 'drop':
      served.get(message.id)?.drop();
      served.delete(message.id);
  }
});

say({ op: 'hello' });

async function make(id: number): Promise<void> {
  try {
    const fd = await namespaces.make();
    say({ op: 'made', id, fd });
    serve(id, fd);
  } catch (error) {
    say({ op: 'unmade', id, reason: (error as Error).message });
  }
}

function serve(id: number, fd: number): void {
  const namespace = new RelayedNamespace(fd, shares!);
  served.set(id, namespace);
  void listen(id, namespace);
}

async function listen(id: number, namespace: RelayedNamespace): Promise<void> {
  try {
    await namespace.open();
    say({ op: 'ready', id });
  } catch (error) {
    // A relay that cannot listen is of no use; the next one may.
    process.stderr.write(`the relay cannot listen in a namespace: ${(error as Error).message}\n`);
    process.exit(1);
  }
}

function composed(options: RelayOptions): { node: NodeNetwork; shares: NamespaceShares } {
  const own = new OwnAddresses();
  const { openPort, connectionsPerSandboxMax, connectionsMax } = options;
  return {
    node: { opened: blockListOf(options.opened), isOwn: (address) => own.now().has(address), openPort },
    shares: {
      namespaces,
      resolver: new Resolver(new Upstream(options.resolvers), () => own.hasIpv6()),
      limits: { connectionsPerSandboxMax, connectionsMax },
      connections: { open: 0 },
      queries: { open: 0 },
    },
  };
}

function say(message: FromRelay): void {
  process.send?.(message, () => {});
}

/** The addresses of this machine's interfaces, read again now and then. */
class OwnAddresses {
  #addresses = new Set<string>();
  #readAtMs = -Infinity;

  now(): Set<string> {
    const nowMs = performance.now();
    if (nowMs - this.#readAtMs > INTERFACES_READ_EVERY_MS) {
      const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
      this.#addresses = new Set(all.map(({ address }) => unmapped(address)));
      this.#readAtMs = nowMs;
    }
    return this.#addresses;
  }

  /** Whether any address is of the global range (2000::/3). */
  hasIpv6(): boolean {
    return [...this.now()].some((address) => /^[23][0-9a-f]{3}:/.test(address));
  }
}
