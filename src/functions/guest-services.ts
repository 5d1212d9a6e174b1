// What a guest asks of the node itself over its channel, in SERVICE frames; who serves is the edge's to say (the port
// GuestServices). Invariant: the caller is the instance's own version, whatever the frame says, and at most SERVICES_MAX of its
// requests are without an answer. Owned by instance.ts.
import { FrameType, SERVICES_MAX, encodeJsonFrame } from '../protocol/frames.ts';
import type { Frame, ServiceAnswer, ServiceRequest } from '../protocol/frames.ts';
import type { DeployedVersion } from './version.ts';

export interface GuestServices {
  /** Answers once, now or later; never throws. `data` is a view of a buffer that is reused. */
  serve(caller: DeployedVersion, request: ServiceRequest, data: Buffer, answer: (answer: ServiceAnswer) => void): void;
}

/** Several of them, told apart by what stands before the dot of `op`. */
export class JoinedServices implements GuestServices {
  readonly #services: ReadonlyMap<string, GuestServices>;

  constructor(services: Record<string, GuestServices>) {
    this.#services = new Map(Object.entries(services));
  }

  serve(caller: DeployedVersion, request: ServiceRequest, data: Buffer, answer: (answer: ServiceAnswer) => void): void {
    const op: unknown = request.op;
    const service = this.#services.get(typeof op === 'string' ? op.slice(0, op.indexOf('.')) : '');
    if (service === undefined) return answer(refused('invalid_request', `there is no operation '${String(op).slice(0, 40)}'`));
    service.serve(caller, request, data, answer);
  }
}

export class ServiceDesk {
  readonly #version: DeployedVersion;
  readonly #services: GuestServices | undefined;
  readonly #send: (frame: Buffer) => void;
  #open = 0;

  constructor(version: DeployedVersion, services: GuestServices | undefined, send: (frame: Buffer) => void) {
    this.#version = version;
    this.#services = services;
    this.#send = send;
  }

  /** Throws for a malformed one: the guest breaks the protocol. */
  onFrame({ payload, arg }: Frame): void {
    const bytes = payload.readUInt32LE(0);
    if (bytes > payload.length - 4) throw new RangeError(`a SERVICE of ${bytes} bytes in a payload of ${payload.length}`);
    const request = JSON.parse(payload.toString('utf8', 4, 4 + bytes)) as ServiceRequest | null;
    if (typeof request !== 'object' || request === null) throw new TypeError('a SERVICE that is no object');
    const reply = (answer: ServiceAnswer): void => this.#send(encodeJsonFrame(FrameType.SERVED, answer, { arg }));
    if (this.#services === undefined) return reply(refused('unavailable', 'this node has no such service'));
    if (this.#open >= SERVICES_MAX) {
      return reply(refused('function_overloaded', `${SERVICES_MAX} requests of this instance have no answer yet; await the earlier ones`));
    }
    this.#open++;
    this.#services.serve(this.#version, request, payload.subarray(4 + bytes), (answer) => {
      this.#open--;
      reply(answer);
    });
  }
}

function refused(code: string, message: string): ServiceAnswer {
  return { error: { code, message } };
}
