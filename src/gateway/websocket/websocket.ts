// The feature `websocket` of a route: handshakes are taken here instead of by the function, which gets events of the connection
// (hub.ts keeps them). Invariant: a connection that is there stays through deployments; its next event goes to what is deployed
// then. Made by features.ts.
import { VirgaError } from '../../protocol/errors.ts';
import type { Feature, GatewayRequest, RouteSource, Stage, Upgrade, Verdict } from '../stage.ts';
import { Connection } from './connection.ts';
import type { Served } from './connection.ts';
import { agreeOnDeflate } from './deflate.ts';
import type { Reply } from './event-answer.ts';
import { handshakeAnswer, handshakeProblem, offeredSubprotocol } from './handshake.ts';
import type { Hub } from './hub.ts';
import { SocketRules } from './rules.ts';

interface Entry {
  project: string;
  served: Served;
}

export class WebSocketFeature implements Feature {
  readonly #hub: Hub;
  readonly #entries = new Map<string, Entry>();
  /** Compiled since the last time that all were. */
  readonly #seen = new Set<Entry>();

  constructor(hub: Hub) {
    this.#hub = hub;
  }

  compile({ project, route, policy }: RouteSource): Stage | undefined {
    if (policy.websocket === undefined || route.function === undefined) return undefined;
    const rules = new SocketRules({ project, route: route.path, function: route.function }, policy.websocket);
    const key = `${project} ${route.path} ${JSON.stringify(route.conditions ?? null)}`;
    const entry = this.#entries.get(key) ?? { project, served: { rules } };
    entry.served.rules = rules;
    this.#entries.set(key, entry);
    this.#seen.add(entry);
    return new WebSocketStage(this.#hub, entry.served, rules);
  }

  compiled({ all, anew }: { all: ReadonlySet<string>; anew: ReadonlySet<string> }): void {
    for (const [key, entry] of this.#entries) {
      const isGone = !all.has(entry.project) || (anew.has(entry.project) && !this.#seen.has(entry));
      if (!isGone) continue;
      entry.served.rules = undefined;
      this.#entries.delete(key);
    }
    this.#seen.clear();
    this.#hub.closeUnserved();
  }
}

class WebSocketStage implements Stage {
  readonly #hub: Hub;
  readonly #served: Served;
  readonly #rules: SocketRules;

  constructor(hub: Hub, served: Served, rules: SocketRules) {
    this.#hub = hub;
    this.#served = served;
    this.#rules = rules;
  }

  onHead(request: GatewayRequest): Verdict {
    return handshakeProblem(request, this.#rules);
  }

  onUpgrade(request: GatewayRequest, upgrade: Upgrade): void {
    const full = this.#hub.refusal(request.project);
    if (full !== undefined) return upgrade.refuse({ error: full });
    const rules = this.#rules;
    const connection = new Connection(this.#hub, { served: this.#served, rules, request });
    const agreed = rules.deflate ? agreeOnDeflate(request.header('sec-websocket-extensions')) : undefined;
    const offered = offeredNames(request);
    this.#hub.add(connection);
    const facts = { ...connectFacts(request, offered), windowBits: agreed?.windowBits ?? 0 };
    const subprotocol = offeredSubprotocol(request, rules);
    const key = request.header('sec-websocket-key')!;
    const { requestId } = request;
    connection.ask(upgrade, facts, (said) => {
      const reply = said instanceof VirgaError ? said : chosen(said, offered);
      const refused = refusalOf(reply);
      if (refused !== undefined) {
        connection.refuse();
        this.#hub.gone(connection);
        return upgrade.refuse(refused);
      }
      const accepted = reply as Reply;
      connection.subprotocol = accepted.subprotocol ?? subprotocol;
      const lines: [string, string][] = [['X-Request-Id', requestId]];
      if (connection.subprotocol !== undefined) lines.push(['Sec-WebSocket-Protocol', connection.subprotocol]);
      if (agreed !== undefined) lines.push(['Sec-WebSocket-Extensions', agreed.answer]);
      connection.begin(handshakeAnswer(key, lines), accepted);
      this.#hub.accepted(connection);
    });
  }
}

function offeredNames(request: GatewayRequest): string[] {
  return (request.header('sec-websocket-protocol') ?? '').split(',').flatMap((name) => name.trim() || []);
}

/** RFC 6455, section 4.2.2: only what the client offered may be chosen. */
function chosen(reply: Reply, offered: string[]): Reply | VirgaError {
  const { subprotocol } = reply;
  if (subprotocol === undefined || offered.includes(subprotocol)) return reply;
  const message = `the function chose the subprotocol '${subprotocol}', which the client did not offer`;
  return new VirgaError('function_bad_response', message);
}

function refusalOf(reply: Reply | VirgaError): NonNullable<Verdict> | undefined {
  if (reply instanceof VirgaError) return { error: reply };
  if (reply.status < 400) return undefined;
  const body = Buffer.from(reply.body ?? '');
  return { status: reply.status, headers: ['content-type', 'text/plain;charset=UTF-8'], body };
}

function connectFacts(request: GatewayRequest, subprotocols: string[]) {
  const headers: Record<string, string> = {};
  for (let i = 0; i + 1 < request.headers.length; i += 2) {
    const name = request.headers[i]!;
    headers[name] = name in headers ? `${headers[name]}, ${request.headers[i + 1]}` : request.headers[i + 1]!;
  }
  const at = request.target.indexOf('?');
  const query = at < 0 ? {} : Object.fromEntries(new URLSearchParams(request.target.slice(at)));
  return {
    url: `${request.scheme}://${request.host}${request.target}`,
    headers,
    query,
    subprotocols,
    traceparent: request.header('traceparent'),
  };
}
