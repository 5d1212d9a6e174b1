// The networks of sandboxes, as the launcher has them: a pool of network namespaces made ahead of need and used again,
// and the relay (relay.ts) that is the only way out of them.
//
//   making ──made──▶ opening ──ready──▶ spare ──take──▶ taken ──release──▶ opening
//                                 └──▶ dropped (there are spares in plenty)
//
// Invariant: a namespace is spare only when nothing of its last tenant is left (connections cut, sockets new). They live by
// descriptors of this process alone: when it ends in any way, they are gone, and so is the relay. A relay that dies is
// started again and told everything. take() waits for nothing while there are spares. Caller: server/launcher.ts.
import { closeSync, openSync } from 'node:fs';
import type { Network } from '../driver.ts';
import type { NetworkPolicy } from '../sandbox.ts';
import { RelayProcess } from './relay-process.ts';
import type { FromRelay, LogLevel, RelayOptions } from './wire.ts';

export interface SandboxNetworksOptions extends RelayOptions {
  /** How many are kept ready, and how many there are at most. */
  spare: number;
  max: number;
  log: (level: 'info' | 'warn' | 'error', text: string) => void;
}

interface Slot {
  id: number;
  /** -1: it is being made. */
  fd: number;
  lease: { id: number; policy: NetworkPolicy; log: (level: LogLevel, text: string) => void } | null;
  taken: boolean;
}

/** After a burst this many times the spares are kept; each costs the kernel some hundred KiB. */
const IDLE_PER_SPARE = 4;
const MAKE_WITHIN_MS = 10_000;
/** After a namespace could not be made; the next attempt comes with the next need. */
const FAILED_MAKES_MAX = 3;

export class SandboxNetworks {
  /** Why functions reach nothing on this node; null: they reach what their egress says. */
  readonly note: string | null;
  readonly #options: SandboxNetworksOptions;
  readonly #relay: RelayProcess | null;
  readonly #slots = new Map<number, Slot>();
  readonly #spare = new Set<Slot>();
  #waiting: PromiseWithResolvers<Slot>[] = [];
  #making = false;
  #lastId = 0;
  #lastLease = 0;
  #failedMakes = 0;
  #closed = false;

  /** Never fails: what does not work here is in `note`. */
  static async open(options: SandboxNetworksOptions): Promise<SandboxNetworks> {
    let relay: RelayProcess;
    try {
      relay = await RelayProcess.start(options.log);
    } catch (error) {
      return new SandboxNetworks(options, null, (error as Error).message);
    }
    const networks = new SandboxNetworks(options, relay, null);
    try {
      await networks.#prove();
      return networks;
    } catch (error) {
      await networks.close();
      return new SandboxNetworks(options, null, (error as Error).message);
    }
  }

  private constructor(options: SandboxNetworksOptions, relay: RelayProcess | null, reason: string | null) {
    this.#options = options;
    this.#relay = relay;
    this.note = reason === null ? null : `functions reach nothing on the network: ${reason}`;
    relay?.serve({
      opening: () => this.#opening(),
      opened: () => this.#tellEverything(),
      message: (message) => this.#take(message),
    });
  }

  get available(): boolean {
    return this.#relay !== null;
  }

  /** Where the launcher is not root: the user namespace that a process must enter before it may enter a network. */
  get userNamespace(): string | null {
    return process.getuid?.() === 0 || this.#relay === null ? null : this.#relay.userNamespace;
  }

  /** Rejects when there are as many as there may be, or one could not be made in time. */
  async take(): Promise<Network> {
    if (this.#relay === null) throw new Error(this.note!);
    const [spare] = this.#spare;
    const slot = spare ?? (await this.#oneMore());
    this.#spare.delete(slot);
    slot.taken = true;
    this.#grow();
    const release = (): void => this.#release(slot);
    return {
      path: `/proc/${process.pid}/fd/${slot.fd}`,
      assign: (policy, log) => {
        if (!slot.taken || slot.lease !== null) throw new Error('this network has been assigned or released before');
        slot.lease = { id: ++this.#lastLease, policy, log };
        this.#tell(slot);
      },
      release: once(release),
    };
  }

  async close(): Promise<void> {
    this.#end();
    await this.#relay?.close();
    this.#closeDescriptors();
  }

  closeNow(): void {
    this.#end();
    this.#relay?.kill();
    this.#closeDescriptors();
  }

  #end(): void {
    this.#closed = true;
    for (const waiting of this.#waiting) waiting.reject(new Error('the launcher is stopping'));
    this.#waiting = [];
  }

  #closeDescriptors(): void {
    for (const slot of this.#slots.values()) if (slot.fd !== -1) closeSync(slot.fd);
    this.#slots.clear();
    this.#spare.clear();
  }

  async #prove(): Promise<void> {
    const first = Promise.withResolvers<Slot>();
    this.#waiting.push(first);
    this.#grow();
    const late = setTimeout(() => first.reject(new Error(`no network namespace was made within ${MAKE_WITHIN_MS} ms`)), MAKE_WITHIN_MS);
    try {
      this.#spare.add(await first.promise);
    } finally {
      clearTimeout(late);
    }
    this.#grow();
  }

  async #oneMore(): Promise<Slot> {
    const waiting = Promise.withResolvers<Slot>();
    this.#waiting.push(waiting);
    this.#grow();
    const coming = [...this.#slots.values()].some((slot) => !slot.taken && !this.#spare.has(slot));
    const late = setTimeout(
      () => waiting.reject(new Error(`no network namespace was free or made within ${MAKE_WITHIN_MS} ms`)),
      MAKE_WITHIN_MS,
    );
    if (!coming) waiting.reject(new Error(`all ${this.#slots.size} network namespaces that this node may have are taken`));
    try {
      return await waiting.promise;
    } finally {
      clearTimeout(late);
      this.#waiting = this.#waiting.filter((other) => other !== waiting);
    }
  }

  /** One at a time: the kernel makes them one after another anyway. */
  #grow(): void {
    const wanted = Math.max(this.#waiting.length, this.#options.spare);
    const coming = [...this.#slots.values()].filter((slot) => !slot.taken).length;
    if (this.#closed || this.#making || coming >= wanted || this.#slots.size >= this.#options.max) return;
    this.#making = true;
    const slot: Slot = { id: ++this.#lastId, fd: -1, lease: null, taken: false };
    this.#slots.set(slot.id, slot);
    this.#relay!.send({ op: 'make', id: slot.id });
  }

  #release(slot: Slot): void {
    if (this.#closed) return;
    slot.lease = null;
    slot.taken = false;
    this.#relay!.send({ op: 'release', id: slot.id });
  }

  #take(message: FromRelay): void {
    if (message.op === 'log') {
      for (const { lease } of this.#slots.values()) if (lease?.id === message.lease) lease.log(message.level, message.text);
      return;
    }
    if (message.op === 'hello') return;
    const slot = this.#slots.get(message.id);
    if (slot === undefined) return;
    if (message.op === 'made') {
      // Not the relay's own descriptor: this one outlives it.
      slot.fd = openSync(`/proc/${this.#relay!.pid}/fd/${message.fd}`, 'r');
      this.#making = false;
      this.#failedMakes = 0;
      this.#grow();
    } else if (message.op === 'unmade') this.#unmade(slot, message.reason);
    else if (!slot.taken && slot.fd !== -1) {
      const waiting = this.#waiting.shift();
      if (waiting !== undefined) waiting.resolve(slot);
      else if (this.#spare.size < this.#options.spare * IDLE_PER_SPARE || this.#spare.has(slot)) this.#spare.add(slot);
      else this.#drop(slot);
    }
  }

  #drop(slot: Slot): void {
    this.#slots.delete(slot.id);
    this.#relay!.send({ op: 'drop', id: slot.id });
    closeSync(slot.fd);
  }

  #unmade(slot: Slot, reason: string): void {
    this.#slots.delete(slot.id);
    this.#making = false;
    this.#options.log('error', `a network namespace could not be made: ${reason}`);
    for (const waiting of this.#waiting) waiting.reject(new Error(reason));
    this.#waiting = [];
    if (++this.#failedMakes < FAILED_MAKES_MAX) this.#grow();
  }

  /** What a relay that begins is started with. */
  #opening(): { options: RelayOptions; namespaces: { id: number; fd: number }[] } {
    const { connectionsPerSandboxMax, connectionsMax, opened, openPort, resolvers } = this.#options;
    const options = { connectionsPerSandboxMax, connectionsMax, opened, openPort, resolvers };
    const namespaces = [...this.#slots.values()].filter(({ fd }) => fd !== -1).map(({ id, fd }) => ({ id, fd }));
    return { options, namespaces };
  }

  /** To a relay that has just begun. What an earlier one was making died with it. */
  #tellEverything(): void {
    for (const slot of this.#slots.values()) {
      if (slot.fd === -1) this.#slots.delete(slot.id);
      else if (slot.lease !== null) this.#tell(slot);
    }
    this.#making = false;
    this.#grow();
  }

  #tell({ id, lease }: Slot): void {
    if (lease !== null) this.#relay!.send({ op: 'assign', id, lease: lease.id, policy: lease.policy });
  }
}

function once(act: () => void): () => void {
  let done = false;
  return () => {
    if (!done) act();
    done = true;
  };
}
