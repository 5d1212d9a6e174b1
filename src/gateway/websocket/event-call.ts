// The events of a connection as calls of its function: CloudEvents (protocol/events.ts) of what is known of the connection.
// Pure. Called by connection.ts.
import type { CallRequest } from '../../functions/call.ts';
import type { DeployedVersion } from '../../functions/version.ts';
import { newId } from '../../lib/ids.ts';
import { continueTrace } from '../../lib/traceparent.ts';
import { CLOUD_EVENT_TYPE, EventType } from '../../protocol/events.ts';
import { BODY_CHUNK_MAX } from '../../protocol/frames.ts';
import type { Principal } from '../../protocol/principal.ts';

/** Of the handshake: what connect tells beyond the connection itself. */
export interface ConnectFacts {
  url: string;
  headers: Record<string, string>;
  query: Record<string, string>;
  subprotocols: string[];
  traceparent: string | undefined;
}

/** What events tell of a connection. */
export interface Told {
  readonly id: string;
  readonly project: string;
  readonly host: string;
  readonly route: string;
  readonly params: Record<string, string>;
  readonly client: string;
  readonly connectedAt: number;
  readonly subprotocol: string | undefined;
  readonly principal: Principal | undefined;
  readonly groups: ReadonlySet<string> | undefined;
  /** JSON. */
  readonly state: string | undefined;
  readonly served: { rules: { routeSelection: string | undefined } | undefined };
}

const VERBS: Record<string, string> = {
  [EventType.socketConnect]: 'CONNECT',
  [EventType.socketMessage]: 'MESSAGE',
  [EventType.socketDisconnect]: 'DISCONNECT',
};

export function eventCall(
  version: DeployedVersion,
  connection: Told,
  type: string,
  facts: object & { traceparent?: string | undefined },
): Omit<CallRequest, 'sink'> & { whole: Buffer } {
  const { traceparent, ...rest } = facts;
  const trace = continueTrace(traceparent);
  const id = newId('inv');
  const whole = Buffer.from(eventText(connection, type, rest));
  const fits = whole.length <= BODY_CHUNK_MAX;
  return {
    version,
    meta: { kind: 'event', id, trace: trace.traceparent, trigger: 'websocket', contentType: CLOUD_EVENT_TYPE },
    traceId: trace.traceId,
    body: fits ? whole : undefined,
    bodyEnds: fits,
    ...(fits ? {} : { heldBytes: whole.length }),
    whole,
    trigger: 'websocket',
    requestLine: `${VERBS[type]} ${connection.route}`,
  };
}

function eventText(connection: Told, type: string, facts: object): string {
  const { id, project, host, route, params, client, connectedAt, subprotocol, principal, groups, state } = connection;
  const rules = connection.served.rules;
  const data = {
    connectionId: id,
    host,
    route,
    params,
    client,
    connectedAt,
    ...(subprotocol === undefined ? {} : { subprotocol }),
    ...(principal === undefined ? {} : { principal }),
    ...(rules?.routeSelection === undefined ? {} : { routeSelection: rules.routeSelection }),
    groups: groups === undefined ? [] : [...groups],
    ...facts,
  };
  const event = {
    specversion: '1.0',
    id: newId('evt'),
    source: `/projects/${project}/websockets${route}`,
    type,
    time: new Date().toISOString(),
    subject: id,
    datacontenttype: 'application/json',
  };
  // The state is JSON already.
  const text = JSON.stringify({ ...event, data });
  return state === undefined ? text : `${text.slice(0, -2)},"state":${state}}}`;
}
