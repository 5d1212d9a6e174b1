// The WebSocket connections of a function's own project: send to one, to a group, to all. The runtime (src/runtimes/node) holds
// them; inside a function `connections` and `context.connections` are the same.
// Invariant: importing this does nothing; outside of a function each method rejects.

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
