// One network namespace as the relay serves it: the two sockets in it, and the tenant that has it now.
//
//   opening ──sockets──▶ ready ──assign──▶ held ──release──▶ opening (with new sockets: what waited in the old is gone)
//
// Invariant: a connection is carried only by the policy of the tenant that made it; before there is a tenant it waits,
// at most TENANT_WITHIN_MS, then it is cut. Bounded: connections of the tenant, connections of all, queries.
// Owned by relay.ts.
import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { forward } from './connection.ts';
import type { Destination } from './connection.ts';
import { serveDnsOverTcp } from './dns-over-tcp.ts';
import type { Namespaces } from './namespaces.ts';
import { destinationOf } from './original-destination.ts';
import type { Resolver } from './resolver.ts';
import type { Tenant } from './tenant.ts';

const TENANT_WITHIN_MS = 1_000;
/** Connections that may be on their way in or out, for each that may be carried. */
const WAITING_PER_CONNECTION = 2;
const QUERIES_MAX = 100;
/** Of all sandboxes; each has a socket. */
const QUERIES_IN_ALL_MAX = 1_000;
const DNS_PORT = 53;

export interface NamespaceShares {
  namespaces: Namespaces;
  resolver: Resolver;
  limits: { connectionsPerSandboxMax: number; connectionsMax: number };
  /** Of all namespaces. */
  connections: { open: number };
  queries: { open: number };
}

export class RelayedNamespace {
  readonly #fd: number;
  readonly #shares: NamespaceShares;
  readonly #connections = new Set<Socket>();
  #server: Server | undefined;
  #datagrams: DatagramSocket | undefined;
  #tenant: Tenant | undefined;
  #arrival = Promise.withResolvers<Tenant>();

  constructor(fd: number, shares: NamespaceShares) {
    this.#fd = fd;
    this.#shares = shares;
  }

  /** Listens with sockets that nobody has been connected to. */
  async open(): Promise<void> {
    const { tcp, udp, family } = await this.#shares.namespaces.listen(this.#fd);
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true });
    server.on('connection', (socket) => void this.#accept(socket));
    const listening = once(server, 'listening');
    server.listen({ fd: tcp });
    const datagrams = createSocket(family === 6 ? 'udp6' : 'udp4');
    datagrams.on('message', (query, from) => void this.#answer(datagrams, query, from));
    datagrams.on('error', () => {});
    datagrams.bind({ fd: udp });
    this.#server = server;
    this.#datagrams = datagrams;
    // The other one listens as soon as it is bound.
    await listening;
  }

  assign(tenant: Tenant): void {
    this.#tenant?.end();
    this.#tenant = tenant;
    this.#arrival.resolve(tenant);
  }

  /** Cuts everything of the tenant. What follows is open(). */
  release(): void {
    this.#server?.close();
    this.#datagrams?.close();
    this.#tenant?.end();
    for (const socket of this.#connections) socket.resetAndDestroy();
    this.#tenant = undefined;
    this.#arrival = Promise.withResolvers();
  }

  /** Lets go of the namespace, which ends when the launcher does the same. */
  drop(): void {
    this.release();
    closeSync(this.#fd);
  }

  async #accept(inner: Socket): Promise<void> {
    const { limits, connections } = this.#shares;
    inner.on('error', () => {});
    this.#connections.add(inner);
    connections.open++;
    inner.once('close', () => {
      this.#connections.delete(inner);
      connections.open--;
    });
    const destination = destinationOf(inner);
    const crowded = this.#connections.size > limits.connectionsPerSandboxMax * WAITING_PER_CONNECTION;
    const tenant = crowded ? this.#tenant : await this.#tenantWithin(TENANT_WITHIN_MS);
    if (destination === null || tenant === undefined || inner.destroyed) {
      inner.resetAndDestroy();
    } else if (crowded || tenant.connections >= limits.connectionsPerSandboxMax) {
      const why = `${limits.connectionsPerSandboxMax} connections are open, the most that one sandbox may have`;
      tenant.failed(tenant.destination(destination.address, destination.port), `${why} (VIRGA_LIMIT_EGRESS_CONNECTIONS_PER_SANDBOX)`);
      inner.resetAndDestroy();
    } else if (connections.open > limits.connectionsMax) {
      const why = `${limits.connectionsMax} connections are open, the most that this node carries`;
      tenant.failed(tenant.destination(destination.address, destination.port), `${why} (VIRGA_LIMIT_EGRESS_CONNECTIONS)`);
      inner.resetAndDestroy();
    } else this.#carry(inner, destination, tenant);
  }

  #carry(inner: Socket, destination: Destination, tenant: Tenant): void {
    tenant.connections++;
    inner.once('close', () => tenant.connections--);
    if (destination.port === DNS_PORT) {
      serveDnsOverTcp(inner, (query) => this.#resolve(query, tenant, 'tcp'));
    } else forward(inner, destination, tenant);
  }

  async #answer(socket: DatagramSocket, query: Buffer, from: { address: string; port: number }): Promise<void> {
    const tenant = await this.#tenantWithin(TENANT_WITHIN_MS);
    if (tenant === undefined) return;
    const answer = await this.#resolve(query, tenant, 'udp');
    if (answer === null || tenant !== this.#tenant || socket !== this.#datagrams) return;
    socket.send(answer, from.port, from.address, () => {});
  }

  async #resolve(query: Buffer, tenant: Tenant, transport: 'tcp' | 'udp'): Promise<Buffer | null> {
    const { resolver, queries } = this.#shares;
    if (tenant.queries >= QUERIES_MAX || queries.open >= QUERIES_IN_ALL_MAX) return resolver.busy(query);
    tenant.queries++;
    queries.open++;
    try {
      const answer = await resolver.answer(query, tenant, transport);
      return tenant.ended ? null : answer;
    } finally {
      tenant.queries--;
      queries.open--;
    }
  }

  async #tenantWithin(ms: number): Promise<Tenant | undefined> {
    if (this.#tenant !== undefined) return this.#tenant;
    const { promise: late, resolve } = Promise.withResolvers<undefined>();
    const timer = setTimeout(() => resolve(undefined), ms);
    const tenant = await Promise.race([this.#arrival.promise, late]);
    clearTimeout(timer);
    return tenant;
  }
}
