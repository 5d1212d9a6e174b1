// Copies of requests for a version that is being tried: once the real answer is complete the same request goes to the other version,
// and what comes back is compared and thrown away. Invariants: the real answer waits for nothing here; at most shadowsMax copies are
// held or run at a time, and none is made while calls wait on this node; more are dropped and counted.
//
//   call ──share, small body, a free place──▶ held ──answered──▶ copied ──answered──▶ compared
//     └─else: dropped                           └─failed, or the node is busy: dropped
import { createHash } from 'node:crypto';
import type { Hash } from 'node:crypto';
import type { Call, CallRequest, CallSink } from '../../functions/call.ts';
import type { DeployedVersion } from '../../functions/version.ts';
import { newId } from '../../lib/ids.ts';
import { VirgaError } from '../../protocol/errors.ts';
import type { FlatHeaders } from '../../protocol/frames.ts';
import { headerIn } from '../flat-headers.ts';
import type { Feature, GatewayRequest, RouteSource, Stage } from '../stage.ts';

export interface ShadowServices {
  engine: { invoke(request: CallRequest): Call | VirgaError; readonly waiting: number };
  log: (level: 'warn', message: string, fields?: Record<string, unknown>) => void;
  limits: { shadowsMax: number };
  random?: () => number;
}

/** How the copies of one function fared, since the deployment that names the version. */
interface Tally {
  compared: number;
  differing: number;
  dropped: number;
  loggedAt: number;
}

interface Answer {
  version: DeployedVersion;
  status: number;
  headers: FlatHeaders;
  digest: string;
}

const HEADERS = ['content-type', 'location'];
/** At most one line a second for each function; the tally in it tells how many there were. */
const LOG_EVERY_MS = 1_000;

export class ShadowFeature implements Feature {
  readonly #services: ShadowServices;
  readonly #random: () => number;
  /** By the version that is tried: goes with its deployment. */
  readonly #tallies = new WeakMap<DeployedVersion, Tally>();
  #held = 0;

  constructor(services: ShadowServices) {
    this.#services = services;
    this.#random = services.random ?? Math.random;
  }

  compile({ versions }: RouteSource): Stage | undefined {
    const shadow = versions?.shadow;
    if (shadow === undefined || shadow.percent === 0) return undefined;
    const { percent, version } = shadow;
    const names = (shadow.headers ?? HEADERS).map((name) => name.toLowerCase());
    const tally = this.#tallyOf(version);
    const held = new WeakMap<GatewayRequest, RealAnswer>();
    return {
      onCall: (request, call) => {
        if (call.version.version === version.version || this.#random() * 100 >= percent) return undefined;
        if (!call.bodyEnds || this.#held >= this.#services.limits.shadowsMax) {
          tally.dropped++;
          return undefined;
        }
        this.#held++;
        // Taken now: whoever runs the call lets go of its body.
        const copy = copyOf(call, version);
        const real = new RealAnswer(call, (answer) => this.#answered(answer, copy, { names, tally }));
        held.set(request, real);
        return real;
      },
      // The client may have left: then nothing ends, and there is nothing to compare with.
      onEnd: (request) => held.get(request)?.leave(),
    };
  }

  #answered(real: Answer | undefined, copy: Omit<CallRequest, 'sink'>, of: { names: readonly string[]; tally: Tally }): void {
    if (real !== undefined && this.#services.engine.waiting === 0) {
      const sink = new CopiedAnswer(copy.version, (answer) => {
        this.#held--;
        if (sink.call !== undefined) this.#compare(real, answer, sink.call, of);
      });
      const made = this.#services.engine.invoke({ ...copy, sink });
      if (!(made instanceof VirgaError)) {
        sink.call = made;
        return;
      }
    }
    this.#held--;
    of.tally.dropped++;
  }

  #compare(real: Answer, copy: Answer, call: Call, { names, tally }: { names: readonly string[]; tally: Tally }): void {
    tally.compared++;
    const differs = difference(real, copy, names);
    if (differs === undefined) return;
    tally.differing++;
    call.errorMessage = `differs from version ${real.version.version}: ${differs}`;
    const now = performance.now();
    if (now - tally.loggedAt < LOG_EVERY_MS) return;
    tally.loggedAt = now;
    const { project, function: fn, version } = copy.version;
    const { compared, differing, dropped } = tally;
    const { id } = call.request.meta;
    this.#services.log(
      'warn',
      `version ${version} of function '${fn}' answers otherwise than version ${real.version.version}: ${differs}`,
      { project, request: call.request.requestLine, id, compared, differing, dropped },
    );
  }

  #tallyOf(version: DeployedVersion): Tally {
    let tally = this.#tallies.get(version);
    if (tally === undefined) this.#tallies.set(version, (tally = { compared: 0, differing: 0, dropped: 0, loggedAt: -Infinity }));
    return tally;
  }
}

function copyOf(call: CallRequest, version: DeployedVersion): Omit<CallRequest, 'sink'> {
  const { meta } = call;
  const marked = meta.kind === 'http' ? { ...meta, headers: [...meta.headers, 'x-virga-shadow', '1'] } : meta;
  return { ...call, version, meta: { ...marked, id: newId('inv') }, trigger: 'shadow' };
}

/** What differs, in words; undefined: nothing that is looked at. */
function difference(real: Answer, copy: Answer, names: readonly string[]): string | undefined {
  if (real.status !== copy.status) return `status ${real.status}, ${copy.status}`;
  for (const name of names) if (headerIn(real.headers, name) !== headerIn(copy.headers, name)) return `header ${name}`;
  return real.digest === copy.digest ? undefined : 'body';
}

/** Hears the real answer, passes it on as it is, and tells what it was when it is complete; undefined: it failed. */
class RealAnswer implements CallSink {
  readonly #call: CallRequest;
  readonly #sink: CallSink;
  readonly #done: (answer: Answer | undefined) => void;
  #over = false;
  readonly #hash: Hash = createHash('sha256');
  #status = 0;
  #headers: FlatHeaders = [];

  constructor(call: CallRequest, done: (answer: Answer | undefined) => void) {
    this.#call = call;
    this.#sink = call.sink;
    this.#done = (answer) => {
      if (this.#over) return;
      this.#over = true;
      // After what is under way: the client has its answer by then.
      setImmediate(done, answer);
    };
  }

  bodyWanted(call: Call): void {
    this.#sink.bodyWanted(call);
  }

  head(status: number, headers: FlatHeaders, body: Buffer, end: boolean): void {
    this.#status = status;
    this.#headers = [...headers];
    this.#hash.update(body);
    this.#sink.head(status, headers, body, end);
    if (end) this.#ended();
  }

  body(chunk: Buffer, end: boolean): void {
    this.#hash.update(chunk);
    this.#sink.body(chunk, end);
    if (end) this.#ended();
  }

  failed(error: VirgaError, headSent: boolean): void {
    this.#sink.failed(error, headSent);
    this.#done(undefined);
  }

  /** Nothing more will be heard of it. */
  leave(): void {
    this.#done(undefined);
  }

  #ended(): void {
    this.#done({ version: this.#call.version, status: this.#status, headers: this.#headers, digest: this.#hash.digest('hex') });
  }
}

/** Takes the answer of the copy, and keeps nothing of it but what is compared. */
class CopiedAnswer implements CallSink {
  readonly #version: DeployedVersion;
  readonly #done: (answer: Answer) => void;
  readonly #hash: Hash = createHash('sha256');
  #status = 0;
  #headers: FlatHeaders = [];
  call: Call | undefined;

  constructor(version: DeployedVersion, done: (answer: Answer) => void) {
    this.#version = version;
    this.#done = done;
  }

  /** All of it was in the first frame. */
  bodyWanted(): void {}

  head(status: number, headers: FlatHeaders, body: Buffer, end: boolean): void {
    this.#status = status;
    this.#headers = headers;
    this.body(body, end);
  }

  body(chunk: Buffer, end: boolean): void {
    this.#hash.update(chunk);
    this.call!.consumed(chunk.length);
    if (end) this.#done({ version: this.#version, status: this.#status, headers: this.#headers, digest: this.#hash.digest('hex') });
  }

  /** An error is an answer too: that of the gateway. */
  failed(error: VirgaError): void {
    this.#done({ version: this.#version, status: error.status, headers: [], digest: error.code });
  }
}
