// What a function asks of its node over fd 3 (SERVICE and SERVED frames): WebSockets of its project, publishing. It needs no network,
// so it works with any egress, and the node knows who asks by the channel. Invariant: every request is answered or rejected once.
// Made by guest.ts; functions reach it as `context.connections` and `context.queue(…)`, and @virga/sdk through symbols.
import { FRAME_PAYLOAD_MAX, FrameType, HEADER_BYTES, SERVICES_MAX, encodeFrame } from '../../protocol/frames.ts';
import type { Frame, ServiceAnswer, ServiceRequest } from '../../protocol/frames.ts';
import type { Outlet } from './channel.ts';
import { Publishing } from './publishing.ts';
import { Workflows } from './workflow/starting.ts';

/** Where @virga/sdk finds them, in whatever form the code is. */
const CONNECTIONS = Symbol.for('virga.connections');
const PUBLISHING = Symbol.for('virga.publishing');
const WORKFLOWS = Symbol.for('virga.workflows');

/** Node's longest timer, ms. */
const FOR_EVER_MS = 2 ** 31 - 1;
// Taken now: what user code patches later (fake timers) does not reach it.
const { setInterval: every, clearInterval: stop } = globalThis;

/** Half of what a node takes: the other is for calls that are refused. */
const PATIENT_MAX = SERVICES_MAX / 2;

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
  patient: boolean;
}

interface Later {
  payload: Buffer;
  now: boolean;
  waiting: Waiting;
}

export class ServiceCalls {
  readonly #outlet: Pick<Outlet, 'send' | 'sendNow'>;
  readonly #waiting = new Map<number, Waiting>();
  /** Those that are patient: at the node, and in line. */
  #patient = 0;
  readonly #later: Later[] = [];
  #last = 0;
  /** While something is waited for: fd 3 alone does not keep the event loop of every form alive (forms/lambda/event-loop.ts). */
  #alive: NodeJS.Timeout | undefined;
  readonly connections = new Connections(this);
  readonly publishing = new Publishing(this);
  readonly workflows = new Workflows(this);

  constructor(outlet: Pick<Outlet, 'send' | 'sendNow'>) {
    this.#outlet = outlet;
  }

  install(): void {
    Object.defineProperty(globalThis, CONNECTIONS, { value: this.connections, configurable: true });
    Object.defineProperty(globalThis, PUBLISHING, { value: this.publishing, configurable: true });
    Object.defineProperty(globalThis, WORKFLOWS, { value: this.workflows, configurable: true });
  }

  /**
   * Rejects with an Error that has the `code` of the error table. `now`: it leaves before the next line of code runs. `patient`: where many
   * are without an answer it waits for its turn, in order, instead of being refused by the node.
   */
  call(request: ServiceRequest, data?: Uint8Array, { now = false, patient = false } = {}): Promise<unknown> {
    const head = Buffer.from(JSON.stringify(request));
    const bytes = 4 + head.length + (data?.byteLength ?? 0);
    if (bytes > FRAME_PAYLOAD_MAX - HEADER_BYTES) {
      return Promise.reject(
        failure('request_too_large', `${data?.byteLength ?? 0} bytes are more than a function sends at once; less than 1 MiB goes`),
      );
    }
    const payload = Buffer.allocUnsafe(bytes);
    payload.writeUInt32LE(head.length, 0);
    head.copy(payload, 4);
    if (data !== undefined) payload.set(data, 4 + head.length);
    return new Promise((resolve, reject) => {
      const call = { payload, now, waiting: { resolve, reject, patient } };
      if (patient && this.#patient >= PATIENT_MAX) this.#later.push(call);
      else this.#send(call);
    });
  }

  #send({ payload, now, waiting }: Later): void {
    do this.#last = (this.#last + 1) >>> 0;
    while (this.#waiting.has(this.#last));
    const arg = this.#last;
    this.#waiting.set(arg, waiting);
    if (waiting.patient) this.#patient++;
    this.#alive ??= every(() => {}, FOR_EVER_MS);
    const frame = encodeFrame(FrameType.SERVICE, { arg, payload });
    if (now) this.#outlet.sendNow(frame);
    else this.#outlet.send(frame);
  }

  onServed({ arg, payload }: Frame): void {
    const waiting = this.#waiting.get(arg);
    if (waiting === undefined) return;
    this.#waiting.delete(arg);
    if (waiting.patient) {
      this.#patient--;
      const next = this.#later.shift();
      if (next !== undefined) this.#send(next);
    }
    if (this.#waiting.size === 0) {
      stop(this.#alive);
      this.#alive = undefined;
    }
    const answer = JSON.parse(payload.toString('utf8')) as ServiceAnswer;
    if ('error' in answer) waiting.reject(failure(answer.error.code, answer.error.message));
    else waiting.resolve(answer.value);
  }
}

/** The WebSockets of the project; the shape is published in the SDK (sdk/src/connections.ts). */
export class Connections {
  readonly #calls: ServiceCalls;

  constructor(calls: ServiceCalls) {
    this.#calls = calls;
  }

  async send(id: string, data: string | Uint8Array): Promise<void> {
    await this.#calls.call({ op: 'connections.send', id, binary: typeof data !== 'string' }, bytesOf(data));
  }

  async broadcast(group: string | null, data: string | Uint8Array, options: { except?: string } = {}): Promise<{ sent: number }> {
    const { except } = options;
    const request = {
      op: 'connections.broadcast',
      group,
      binary: typeof data !== 'string',
      ...(except === undefined ? {} : { except }),
    } as const;
    return (await this.#calls.call(request, bytesOf(data))) as { sent: number };
  }

  async close(id: string, code?: number, reason?: string): Promise<void> {
    await this.#calls.call({
      op: 'connections.close',
      id,
      ...(code === undefined ? {} : { code }),
      ...(reason === undefined ? {} : { reason }),
    });
  }

  async join(id: string, group: string): Promise<void> {
    await this.#calls.call({ op: 'connections.join', id, group });
  }

  async leave(id: string, group: string): Promise<void> {
    await this.#calls.call({ op: 'connections.leave', id, group });
  }
}

function bytesOf(data: string | Uint8Array): Uint8Array {
  if (typeof data === 'string') return Buffer.from(data);
  if (data instanceof Uint8Array) return data;
  throw new TypeError(`a message is a text or a Uint8Array, not ${data === null ? 'null' : typeof data}: use JSON.stringify`);
}

function failure(code: string, message: string): Error {
  return Object.assign(new Error(message), { name: 'VirgaError', code });
}
