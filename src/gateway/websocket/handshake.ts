// The opening handshake of a WebSocket (RFC 6455, section 4.2): whether a request may become one, and the answer that makes it
// one. Invariant: nothing of a request gets into the answer but what was compared with what the route allows. Pure.
// Used by websocket.ts.
import { createHash } from 'node:crypto';
import { VirgaError } from '../../protocol/errors.ts';
import type { GatewayRequest, Refusal } from '../stage.ts';
import type { SocketRules } from './rules.ts';

const MAGIC = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const KEY = /^[A-Za-z0-9+/]{22}==$/;

/** Why the request is no handshake that this route takes; undefined: it is one. */
export function handshakeProblem(request: GatewayRequest, rules: SocketRules): Refusal | undefined {
  const { incoming } = request;
  if (incoming.headers.upgrade?.toLowerCase() !== 'websocket') {
    const error = new VirgaError('websocket_required', `the route ${request.route} is a WebSocket; connect to it with ws:// or wss://`);
    return { error, headers: ['upgrade', 'websocket', 'connection', 'Upgrade'] };
  }
  const version = request.header('sec-websocket-version');
  if (version !== '13') {
    const what = version === undefined ? 'Sec-WebSocket-Version is missing' : `Sec-WebSocket-Version is '${version.slice(0, 40)}'`;
    return { error: new VirgaError('websocket_required', `${what}; 13 is spoken here`), headers: ['sec-websocket-version', '13'] };
  }
  const key = request.header('sec-websocket-key') ?? '';
  if (!KEY.test(key)) {
    const message = `Sec-WebSocket-Key is '${key.slice(0, 40)}', not 16 bytes in base64`;
    return { error: new VirgaError('invalid_request', message) };
  }
  const origin = request.header('origin');
  if (origin !== undefined && !rules.takesOrigin(origin, request.host)) {
    const message = `pages of the origin '${origin.slice(0, 200)}' may not connect to ${request.route}; \`origins\` of its websocket in virga.yaml says which may`;
    return { error: new VirgaError('forbidden', message) };
  }
  return undefined;
}

/** The first of the client's that the route knows. */
export function offeredSubprotocol(request: GatewayRequest, rules: SocketRules): string | undefined {
  const offered = (request.header('sec-websocket-protocol') ?? '').split(',').map((name) => name.trim());
  return offered.find((name) => rules.subprotocols.includes(name));
}

/** `extra`: further lines, name and value. */
export function handshakeAnswer(key: string, extra: readonly [string, string][]): string {
  const accept = createHash('sha1')
    .update(key + MAGIC)
    .digest('base64');
  const lines = extra.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  return `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n${lines}\r\n`;
}
