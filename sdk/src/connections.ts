// The WebSocket connections of a function's own project: send to one, to a group, to all. The runtime (src/runtimes/node) holds
// them; inside a function `connections` and `context.connections` are the same.
// Invariant: importing this does nothing; outside of a function each method rejects.

import type { SocketConnect, SocketDisconnect, SocketMessage } from '../../src/protocol/events.ts';

/** Every method rejects with an Error whose `code` is of the error table, e.g. `connection_not_found`. */
export interface Connections {
  /** A text message of a string, a binary one of bytes; less than 1 MiB. */
  send(id: string, data: string | Uint8Array): Promise<void>;
  /** To all members of a group; `null`: to all connections of the project. Resolves once each has been sent it. */
  broadcast(group: string | null, data: string | Uint8Array, options?: { except?: string }): Promise<{ sent: number }>;
  /** `code`: 1000 (default), 1007 to 1009, 1011 to 1013, or 3000 to 4999. */
  close(id: string, code?: number, reason?: string): Promise<void>;
  join(id: string, group: string): Promise<void>;
  leave(id: string, group: string): Promise<void>;
}

const CONNECTIONS = Symbol.for('virga.connections');

async function held(): Promise<Connections> {
  const found = Reflect.get(globalThis, CONNECTIONS) as Connections | undefined;
  if (found === undefined) throw new Error('there are no connections here: this code does not run as a function of Virga');
  return found;
}

export const connections: Connections = {
  send: async (...args) => (await held()).send(...args),
  broadcast: async (...args) => (await held()).broadcast(...args),
  close: async (...args) => (await held()).close(...args),
  join: async (...args) => (await held()).join(...args),
  leave: async (...args) => (await held()).leave(...args),
};

export type { SocketConnect, SocketDisconnect, SocketFacts, SocketMessage, SocketReply } from '../../src/protocol/events.ts';

interface Happened<Type extends string, Data, State> {
  specversion: '1.0';
  id: string;
  source: string;
  type: Type;
  time: string;
  /** The connection's id. */
  subject: string;
  data: Data & { state?: State };
}

/** What a function gets of a route with `websocket`; `State` is what it gives to be kept with the connection. */
export type SocketEvent<State = unknown> =
  | Happened<'virga.websocket.connect', SocketConnect, State>
  | Happened<'virga.websocket.message', SocketMessage, State>
  | Happened<'virga.websocket.disconnect', SocketDisconnect, State>;
