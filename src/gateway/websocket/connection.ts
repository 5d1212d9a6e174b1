// One connection and its events: the function is called for connect, for each message, and for the disconnect, in order and one
// at a time; between them there is nothing but this object and a socket.
//
//   asking ──accepted──▶ live ──closed──▶ ending ──last events delivered──▶ over
//      └──refused, client left──────────────────────────────────────────────▶ over
//
// Invariant: at most QUEUE_MESSAGES, or one message of the largest size, wait behind the one under way; then nothing more is read
// of the socket. A function hears of the disconnect of every connection that it accepted, once, unless the edge itself is lost.
// Made by hub.ts.
import type { Call, CallRequest } from '../../functions/call.ts';
import type { DeployedVersion } from '../../functions/version.ts';
import { newId } from '../../lib/ids.ts';
import type { Spoke, TimerWheel } from '../../lib/timer-wheel.ts';
import { ERRORS, VirgaError, errorBody } from '../../protocol/errors.ts';
import { EventType } from '../../protocol/events.ts';
import type { Principal } from '../../protocol/principal.ts';
import type { GatewayRequest, Upgrade } from '../stage.ts';
import { EventAnswer } from './event-answer.ts';
import type { Reply } from './event-answer.ts';
import { eventCall } from './event-call.ts';
import type { ConnectFacts } from './event-call.ts';
import { Outgoing } from './outgoing.ts';
import { Peer } from './peer.ts';
import type { PeerOwner } from './peer.ts';
import type { SocketRules } from './rules.ts';
import { CloseCode, copyOf } from './wire.ts';

const QUEUE_MESSAGES = 16;
const FAILURES_MAX = 10;
/** Of a disconnect that the engine has no place for, one a second. */
const TRIES_MAX = 30;

/** What the deployment of the moment says of a route; undefined: nothing any more. */
export interface Served {
  rules: SocketRules | undefined;
}

/** What a connection needs of where all are kept: hub.ts. */
export interface Home {
  readonly limits: { bufferBytesMax: number };
  readonly wheel: TimerWheel<Connection>;
  /** Seconds. */
  readonly now: number;
  heldBytes: number;
  /** No more than may be is held for all connections together. */
  readonly hasRoom: boolean;
  invoke(request: CallRequest): Call | VirgaError;
  versionOf(connection: Connection): DeployedVersion | undefined;
  setGroups(connection: Connection, names: readonly string[]): void;
  gone(connection: Connection): void;
}

interface Message {
  data: Buffer;
  isBinary: boolean;
}

export class Connection implements PeerOwner, Spoke {
  readonly id: string;
  readonly project: string;
  readonly route: string;
  readonly host: string;
  /** Name of the one that let it in. */
  readonly function: string;
  readonly served: Served;
  readonly connectedAt = Date.now();
  readonly principal: Principal | undefined;
  readonly client: string;
  readonly params: Record<string, string>;
  subprotocol: string | undefined;
  groups: Set<string> | undefined;
  /** JSON. */
  state: string | undefined;
  /** In the hub's clock. */
  lastMessageAt: number;
  pingAt = 0;
  dueAt = 0;
  peer: Peer | undefined;
  readonly #hub: Home;
  #phase: 'asking' | 'live' | 'ending' | 'over' = 'asking';
  #queue: Message[] | undefined;
  #queueBytes = 0;
  /** The event under way. */
  #call: Call | undefined;
  #busy = false;
  #failures = 0;
  #tries = 0;
  #leaving: { code: number; reason: string } | undefined;
  #end: { code: number; reason: string } | undefined;

  constructor(hub: Home, of: { served: Served; rules: SocketRules; request: GatewayRequest }) {
    this.#hub = hub;
    const { request } = of;
    this.id = newId('con');
    this.project = of.rules.project;
    this.route = of.rules.route;
    this.function = of.rules.function;
    this.served = of.served;
    this.host = request.host;
    this.principal = request.principal;
    this.client = request.client;
    this.params = request.params;
    this.lastMessageAt = hub.now;
  }

  /** Asks the function whether it may be; `answer` is told what it said, unless the client has left meanwhile. */
  ask(upgrade: Upgrade, facts: ConnectFacts & { windowBits: number }, answer: (reply: Reply | VirgaError) => void): void {
    const { rules } = this.served;
    this.peer = new Peer(upgrade.socket, this, {
      first: upgrade.first,
      messageBytesMax: rules!.messageBytesMax,
      sendBytesMax: this.#hub.limits.bufferBytesMax,
      windowBits: facts.windowBits,
    });
    this.#invoke(EventType.socketConnect, facts, (reply) => {
      if (this.#phase === 'asking') answer(reply);
    });
  }

  refuse(): void {
    this.#phase = 'over';
    this.peer?.release();
  }

  /** The handshake is answered: messages may come. */
  begin(head: string, reply: Reply): void {
    this.#phase = 'live';
    this.peer!.write(head);
    this.peer!.begin();
    this.#apply(reply);
  }

  get isLive(): boolean {
    return this.#phase === 'live' && this.peer!.isOpen;
  }

  /** False: it is gone, or was too slow. */
  send(message: Outgoing): boolean {
    if (!this.isLive) return false;
    this.lastMessageAt = this.#hub.now;
    return this.peer!.send(message.frameFor(this.peer!));
  }

  close(code: number, reason: string): void {
    this.peer?.close(code, reason);
  }

  /** Closes it after the event that is under way; no further message is taken. */
  leave(code: number, reason: string): void {
    this.#dropQueue();
    if (this.#phase !== 'live') this.peer?.terminate();
    else if (this.#busy) {
      this.#leaving = { code, reason };
      this.peer!.halt();
    } else this.close(code, reason);
  }

  /** Its time on the wheel has come. */
  due(): void {
    if (this.#phase === 'ending') return this.#next();
    const { rules } = this.served;
    const peer = this.peer!;
    if (this.#phase !== 'live' || rules === undefined) return;
    const { now } = this.#hub;
    if (now - this.lastMessageAt >= rules.idleS && !this.#busy) return this.close(CloseCode.goingAway, 'idle');
    if (rules.pingS > 0 && now >= this.pingAt) {
      if (this.pingAt > 0 && !peer.heard && !peer.halted) return peer.terminate();
      peer.ping();
      this.pingAt = now + rules.pingS;
    }
    this.schedule();
  }

  schedule(): void {
    const rules = this.served.rules!;
    const { now } = this.#hub;
    if (rules.pingS > 0 && this.pingAt === 0) this.pingAt = now + rules.pingS;
    const idle = Math.max(now + 1, this.lastMessageAt + rules.idleS);
    this.#hub.wheel.set(this, (rules.pingS > 0 ? Math.min(this.pingAt, idle) : idle) - now);
  }

  messageCame(data: Buffer, isBinary: boolean): void {
    this.lastMessageAt = this.#hub.now;
    if (!this.#busy) return this.#deliver(data, isBinary);
    if (!this.#hub.hasRoom) return this.close(CloseCode.tryAgain, 'overloaded');
    (this.#queue ??= []).push({ data: copyOf(data), isBinary });
    this.#queueBytes += data.length;
    this.heldChanged(data.length);
    const bytesMax = this.served.rules?.messageBytesMax ?? 0;
    if (this.#queue.length >= QUEUE_MESSAGES || this.#queueBytes >= bytesMax) this.peer!.halt();
  }

  closed(code: number, reason: string): void {
    const phase = this.#phase;
    this.#end = { code, reason };
    if (phase === 'asking') {
      this.#phase = 'over';
      this.#call?.abandon();
      this.#hub.gone(this);
      return;
    }
    this.#phase = 'ending';
    this.#hub.gone(this);
    if (!this.#busy) this.#next();
  }

  heldChanged(by: number): void {
    this.#hub.heldBytes += by;
    if (by > 0 && !this.#hub.hasRoom && this.#phase === 'live') this.close(CloseCode.tryAgain, 'overloaded');
  }

  /** The next event that waits, if there is one. */
  #next(): void {
    const message = this.#queue?.shift();
    if (message !== undefined) {
      this.#queueBytes -= message.data.length;
      this.heldChanged(-message.data.length);
      return this.#deliver(message.data, message.isBinary);
    }
    this.#queue = undefined;
    if (this.#phase === 'live') this.peer!.proceed();
    else if (this.#phase === 'ending') this.#sayGoodbye();
  }

  #deliver(data: Buffer, isBinary: boolean): void {
    const facts = isBinary ? { base64: data.toString('base64'), isBinary } : { text: data.toString(), isBinary };
    this.#invoke(EventType.socketMessage, facts, (reply, call) => {
      if (!(reply instanceof VirgaError)) {
        this.#failures = 0;
        this.#apply(reply);
      } else this.#failed(reply, call);
      this.#next();
    });
  }

  #sayGoodbye(): void {
    this.#invoke(EventType.socketDisconnect, this.#end!, (reply, call) => {
      const isRefused = reply instanceof VirgaError && call === undefined && ERRORS[reply.code].retry === 'later';
      if (isRefused && ++this.#tries < TRIES_MAX) this.#hub.wheel.set(this, 1);
      else this.#phase = 'over';
    });
  }

  /** `done` is called later, never from within; without a call if the engine refused it. */
  #invoke(type: string, facts: object, done: (reply: Reply | VirgaError, call: Call | undefined) => void): void {
    this.#busy = true;
    const finish = (reply: Reply | VirgaError): void => {
      const call = this.#call;
      this.#busy = false;
      this.#call = undefined;
      done(reply, call);
    };
    const version = this.#hub.versionOf(this);
    if (version === undefined) {
      queueMicrotask(() => finish(new VirgaError('route_not_found', `${this.route} is no WebSocket any more`)));
      return;
    }
    const { whole, ...request } = eventCall(version, this, type, facts);
    const answer = new EventAnswer(request.bodyEnds ? undefined : whole, finish);
    const call = this.#hub.invoke({ ...request, sink: answer });
    if (call instanceof VirgaError) queueMicrotask(() => finish(call));
    else {
      this.#call = call;
      answer.call = call;
    }
  }

  #apply(reply: Reply): void {
    if (reply.state !== undefined) this.state = reply.state ?? undefined;
    if (reply.groups !== undefined) this.#hub.setGroups(this, reply.groups);
    if (reply.send !== undefined) this.send(new Outgoing(reply.send.data, reply.send.isBinary));
    const close = reply.close ?? this.#leaving;
    if (close !== undefined) {
      this.#dropQueue();
      this.close(close.code, close.reason);
    }
  }

  #failed(error: VirgaError, call: Call | undefined): void {
    if (this.#leaving !== undefined) return this.close(this.#leaving.code, this.#leaving.reason);
    const { rules } = this.served;
    const overloaded = ERRORS[error.code].retry === 'later' && ERRORS[error.code].fault !== 'function';
    const ends = overloaded || rules === undefined || !rules.answersFailures || ++this.#failures >= FAILURES_MAX;
    if (!ends) {
      const body = errorBody(error, call?.request.meta.id ?? '');
      this.send(new Outgoing(Buffer.from(JSON.stringify(body)), false));
      return;
    }
    this.#dropQueue();
    this.close(overloaded ? CloseCode.tryAgain : CloseCode.failed, error.code);
  }

  #dropQueue(): void {
    if (this.#queue === undefined) return;
    this.#queue = undefined;
    const bytes = this.#queueBytes;
    this.#queueBytes = 0;
    this.heldChanged(-bytes);
  }
}
