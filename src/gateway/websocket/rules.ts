// `websocket` of a route, as the edge runs it: numbers instead of words. Compiled once per deployment by websocket.ts.
import { sizeBytes, durationMs } from '../../lib/units.ts';
import type { WebSocketRules } from '../../protocol/policies/websocket.ts';
import { OriginList } from '../origin-list.ts';

const IDLE_MS = 600_000;
const PING_MS = 30_000;
const MESSAGE_BYTES_MAX = 128 * 1024;

export class SocketRules {
  readonly project: string;
  /** e.g. `/chat`. */
  readonly route: string;
  readonly function: string;
  readonly idleS: number;
  /** 0: none are sent. */
  readonly pingS: number;
  readonly messageBytesMax: number;
  readonly subprotocols: readonly string[];
  readonly deflate: boolean;
  /** A message whose function fails is answered with the error instead of closing. */
  readonly answersFailures: boolean;
  readonly routeSelection: string | undefined;
  readonly #origins: OriginList | undefined;

  constructor(of: { project: string; route: string; function: string }, rules: WebSocketRules) {
    this.project = of.project;
    this.route = of.route;
    this.function = of.function;
    this.idleS = seconds(rules.idle, IDLE_MS);
    this.pingS = rules.ping === false ? 0 : seconds(rules.ping, PING_MS);
    this.messageBytesMax = sizeBytes(rules.maxMessage ?? '') ?? MESSAGE_BYTES_MAX;
    this.subprotocols = rules.subprotocols ?? [];
    this.deflate = rules.perMessageDeflate ?? false;
    this.answersFailures = rules.onFailure === 'answer';
    this.routeSelection = rules.routeSelection;
    this.#origins = rules.origins === undefined ? undefined : new OriginList(rules.origins);
  }

  /** Without a list: pages that came from here themselves. */
  takesOrigin(origin: string, host: string): boolean {
    if (this.#origins !== undefined) return this.#origins.has(origin);
    const said = origin.toLowerCase();
    return said === `http://${host.toLowerCase()}` || said === `https://${host.toLowerCase()}`;
  }
}

function seconds(text: string | undefined, byDefaultMs: number): number {
  return Math.max(1, Math.ceil((durationMs(text ?? '') ?? byDefaultMs) / 1_000));
}
