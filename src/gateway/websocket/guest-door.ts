// Functions' way to the WebSockets of their own project: the SERVICE requests of guests, checked and handed to the hub.
// Invariant: the project is the calling instance's, never one that a request names; whatever a guest sends, the answer is a value
// or an error of the table. Made by server/edge.ts for the engine; the edge's private server asks the same for operators.
import type { GuestServices } from '../../functions/guest-services.ts';
import { VirgaError } from '../../protocol/errors.ts';
import type { ServiceAnswer, ServiceRequest } from '../../protocol/frames.ts';
import { closeOf, isGroupName } from './event-answer.ts';
import type { Hub } from './hub.ts';
import { Outgoing } from './outgoing.ts';

export class GuestDoor implements GuestServices {
  readonly #hub: Hub;

  constructor(hub: Hub) {
    this.#hub = hub;
  }

  serve({ project }: { project: string }, request: ServiceRequest, data: Buffer, answer: (answer: ServiceAnswer) => void): void {
    try {
      this.#serve(project, request, data, (value) => answer({ value }));
    } catch (error) {
      const known = error instanceof VirgaError ? error : new VirgaError('internal', `the gateway failed: ${String(error)}`);
      answer({ error: { code: known.code, message: known.message } });
    }
  }

  #serve(project: string, request: ServiceRequest, data: Buffer, done: (value: unknown) => void): void {
    const hub = this.#hub;
    switch (request.op) {
      case 'connections.send':
        hub.send(project, idOf(request.id), messageOf(data, request.binary));
        return done(null);
      case 'connections.broadcast': {
        const { group, except } = request;
        if (group !== null) checkGroup(group);
        return hub.broadcast(project, group, messageOf(data, request.binary), { except, done: (sent) => done({ sent }) });
      }
      case 'connections.close': {
        const { code, reason } = closeOf({ ...(request.code === undefined ? {} : { code: request.code }), reason: request.reason ?? '' });
        hub.find(project, idOf(request.id)).leave(code, reason);
        return done(null);
      }
      case 'connections.join':
        checkGroup(request.group);
        hub.joinGroup(hub.find(project, idOf(request.id)), request.group);
        return done(null);
      case 'connections.leave':
        checkGroup(request.group);
        hub.leaveGroup(hub.find(project, idOf(request.id)), request.group);
        return done(null);
      default:
        throw new VirgaError('invalid_request', `there is no operation '${String((request as { op: unknown }).op).slice(0, 40)}'`);
    }
  }
}

/** The bytes are copied: they may wait their turn. */
function messageOf(data: Buffer, binary: unknown): Outgoing {
  return new Outgoing(Buffer.from(data), binary === true);
}

function idOf(id: unknown): string {
  if (typeof id === 'string') return id;
  throw new VirgaError('invalid_request', 'the id of the connection is no text');
}

function checkGroup(group: unknown): void {
  if (!isGroupName(group)) throw new VirgaError('invalid_request', 'the group is no name of 1 to 128 characters');
}
