// The blanks of this node: sandboxes booted ahead of need, so that a cold start takes one, gives it a version, and calls.
// They are kept by shape (sandbox.ts), for the shapes of current versions alone, as many as cold-rate.ts says; new ones
// boot in the background, few at a time, and the oldest is taken first: it has rehearsed.
// Invariant: at most blanksMax, ready and booting together; a blank is taken once; what is not wanted any more is killed.
// Owned by engine.ts, which counts their memory and sheds them before anything else.
import { newId } from '../lib/ids.ts';
import type { Sandbox, Sandboxes, SandboxShape } from '../sandbox/sandbox.ts';
import type { BlankStats } from '../protocol/stats.ts';
import { Blank } from './blank.ts';
import { ColdRate } from './cold-rate.ts';

export interface BlankLimits {
  blanksMax: number;
  /** Blanks that boot at the same time. */
  bootsMax: number;
  bootTimeoutMs: number;
}

/** What a blank holds, as measured of a Node that has rehearsed: 15.5 MiB private, and its share of the rest. */
export const BLANK_MIB = 24;
/** A cold start is not made to share the processor with the boot of the next blank. */
const REFILL_AFTER_MS = 15;
/** Kept of each shape that a current version has, whatever the demand. */
const MIN_PER_SHAPE = 2;
/**
 * A cold start waits no longer for one that boots: alone on a processor that takes 20 to 50 ms. Not longer on a crowded machine,
 * where a boot of one's own takes as long; not much shorter, since that adds to the crowd.
 */
const WAIT_MS = 2_000;
/** The demand for them is looked at again this often. */
const REVIEW_MS = 5_000;
/** After a boot that failed nothing is booted for this long. */
const RETRY_MS = 2_000;
const BOOT_MS_FIRST = 150;
const AVERAGE_WEIGHT = 0.2;

interface Shelf {
  shape: SandboxShape;
  /** Oldest first. */
  ready: Blank[];
  booting: number;
  /** Cold starts that wait for those that boot. */
  waiting: ((blank: Sandbox | undefined) => void)[];
  rate: ColdRate;
  /** Some current version has this shape. */
  current: boolean;
}

export class Blanks {
  readonly #sandboxes: Sandboxes;
  readonly #limits: BlankLimits;
  /** Room for one more, in memory and in the number of sandboxes. */
  readonly #room: () => boolean;
  readonly #shelves = new Map<string, Shelf>();
  readonly #bootingSandboxes = new Map<Sandbox, Shelf>();
  readonly #review: NodeJS.Timeout;
  #refill: NodeJS.Timeout | undefined;
  #booting = 0;
  #count = 0;
  #bootMs = BOOT_MS_FIRST;
  #retryAt = 0;
  #closed = false;

  constructor(sandboxes: Sandboxes, limits: BlankLimits, room: () => boolean) {
    this.#sandboxes = sandboxes;
    this.#limits = limits;
    this.#room = room;
    this.#review = setInterval(() => this.#reviewAll(), REVIEW_MS);
    this.#review.unref();
  }

  /** Ready and booting. */
  get count(): number {
    return this.#count;
  }

  get memoryMiB(): number {
    return this.#count * BLANK_MIB;
  }

  stats(): BlankStats[] {
    return [...this.#shelves.values()].map(({ shape, ready, booting }) => ({
      runtime: shape.runtime,
      memoryMiB: shape.memoryMiB,
      ready: ready.length,
      booting,
    }));
  }

  /** The shapes of the versions that are current now. */
  setShapes(shapes: Iterable<SandboxShape>): void {
    for (const shelf of this.#shelves.values()) shelf.current = false;
    for (const shape of shapes) this.#shelf(shape).current = true;
    this.#reviewAll();
  }

  /**
   * A sandbox that has booted; else the next of those that boot, which is then not held back any more. Undefined: there
   * is none to wait for, or its boot failed, or hangs.
   */
  async take(shape: SandboxShape): Promise<Sandbox | undefined> {
    const shelf = this.#shelf(shape);
    shelf.rate.note(performance.now());
    this.#refillSoon();
    const blank = shelf.ready.shift();
    if (blank !== undefined) {
      this.#count--;
      return blank.sandbox;
    }
    if (shelf.booting <= shelf.waiting.length) return undefined;
    const next = Promise.withResolvers<Sandbox | undefined>();
    shelf.waiting.push(next.resolve);
    for (const [sandbox, of] of this.#bootingSandboxes) if (of === shelf) sandbox.promote();
    const late = setTimeout(() => {
      shelf.waiting = shelf.waiting.filter((other) => other !== next.resolve);
      next.resolve(undefined);
    }, WAIT_MS);
    try {
      return await next.promise;
    } finally {
      clearTimeout(late);
    }
  }

  /** Gives one up, of the shape with most to spare. False: there is none. */
  shed(): boolean {
    let fullest: Shelf | undefined;
    for (const shelf of this.#shelves.values()) if (shelf.ready.length > (fullest?.ready.length ?? 0)) fullest = shelf;
    if (fullest === undefined) return false;
    this.#drop(fullest);
    return true;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#review);
    clearTimeout(this.#refill);
    const sandboxes = [...this.#shelves.values()].flatMap((shelf) => shelf.ready.map((blank) => blank.sandbox));
    await Promise.all([...sandboxes, ...this.#bootingSandboxes.keys()].map((sandbox) => sandbox.kill()));
  }

  #shelf(shape: SandboxShape): Shelf {
    // Whatever a shape comes to hold tells shelves apart: none is left out by mistake.
    const key = JSON.stringify(Object.entries(shape).toSorted(([a], [b]) => (a < b ? -1 : 1)));
    let shelf = this.#shelves.get(key);
    if (shelf === undefined) {
      shelf = { shape, ready: [], booting: 0, waiting: [], rate: new ColdRate(performance.now()), current: false };
      this.#shelves.set(key, shelf);
    }
    return shelf;
  }

  #wanted(shelf: Shelf): number {
    if (!shelf.current) return 0;
    return shelf.rate.wanted(performance.now(), { bootMs: this.#bootMs, min: MIN_PER_SHAPE, max: this.#limits.blanksMax });
  }

  #reviewAll(): void {
    for (const [key, shelf] of this.#shelves) {
      const wanted = this.#wanted(shelf);
      while (shelf.ready.length > wanted) this.#drop(shelf);
      if (!shelf.current && shelf.ready.length === 0 && shelf.booting === 0) this.#shelves.delete(key);
    }
    this.#refillSoon();
  }

  /** The newest: it has rehearsed least. */
  #drop(shelf: Shelf): void {
    const blank = shelf.ready.pop()!;
    this.#count--;
    void blank.sandbox.kill();
  }

  #refillSoon(): void {
    if (this.#closed || this.#refill !== undefined) return;
    const delayMs = Math.max(REFILL_AFTER_MS, this.#retryAt - performance.now());
    this.#refill = setTimeout(() => {
      this.#refill = undefined;
      this.#bootMore();
    }, delayMs);
    this.#refill.unref();
  }

  #bootMore(): void {
    while (!this.#closed && this.#booting < this.#limits.bootsMax && this.#count < this.#limits.blanksMax && this.#room()) {
      const shelf = this.#neediest();
      if (shelf === undefined) return;
      void this.#boot(shelf);
    }
  }

  /** The one that has the smallest part of what it should have. */
  #neediest(): Shelf | undefined {
    let neediest: Shelf | undefined;
    let least = 1;
    const status = this.#sandboxes.status();
    for (const shelf of this.#shelves.values()) {
      const driver = shelf.shape.isolation === 'strong' ? status?.strong : status;
      if (driver?.lateFiles !== true) continue;
      const wanted = this.#wanted(shelf);
      const part = wanted === 0 ? 1 : (shelf.ready.length + shelf.booting) / wanted;
      if (part < least) [least, neediest] = [part, shelf];
    }
    return neediest;
  }

  /** Never rejects. */
  async #boot(shelf: Shelf): Promise<void> {
    const startedAt = performance.now();
    shelf.booting++;
    this.#booting++;
    this.#count++;
    let sandbox: Sandbox | undefined;
    try {
      sandbox = await this.#sandboxes.start({ ...shelf.shape, id: newId('sbx') }, null);
      this.#bootingSandboxes.set(sandbox, shelf);
      if (shelf.waiting.length > 0) sandbox.promote();
      const blank = await Blank.of(sandbox, this.#limits);
      this.#bootMs += AVERAGE_WEIGHT * (performance.now() - startedAt - this.#bootMs);
      this.#keep(shelf, blank);
    } catch {
      // A launcher that is away, a shape too small to boot in: the cold start that meets it says so to somebody.
      this.#count--;
      this.#retryAt = performance.now() + RETRY_MS;
      shelf.waiting.shift()?.(undefined);
    }
    if (sandbox !== undefined) this.#bootingSandboxes.delete(sandbox);
    shelf.booting--;
    this.#booting--;
    this.#refillSoon();
  }

  #keep(shelf: Shelf, blank: Blank): void {
    if (this.#closed) {
      shelf.waiting.shift()?.(undefined);
      void blank.sandbox.kill();
      return;
    }
    const waiting = shelf.waiting.shift();
    if (waiting !== undefined) {
      this.#count--;
      waiting(blank.sandbox);
      return;
    }
    shelf.ready.push(blank);
    void blank.sandbox.exited.then(() => {
      const at = shelf.ready.indexOf(blank);
      if (at < 0) return;
      shelf.ready.splice(at, 1);
      this.#count--;
      this.#refillSoon();
    });
  }
}
