// Where a connection that the kernel redirected to the relay was going. Caller: namespace.ts.
import type { Socket } from 'node:net';
import type { Destination } from './connection.ts';
import { unmapped } from '../../protocol/reserved-addresses.ts';
import { originalDestination } from './kernel.ts';

/** null: it is gone already, or nobody redirected it. */
export function destinationOf(socket: Socket): Destination | null {
  // Node has no public name for the descriptor of a socket; this one has been there since 2011.
  const fd = (socket as unknown as { _handle: { fd: number } | null })['_handle']?.fd ?? -1;
  const peer = socket.remoteAddress;
  if (fd < 0 || peer === undefined) return null;
  const found = originalDestination(fd, peer.startsWith('::ffff:') || !peer.includes(':') ? 4 : 6);
  if (found === null) return null;
  const { address, port } = found;
  const text = address.length === 4 ? [...address].join('.') : address.toString('hex').match(/.{4}/g)!.join(':');
  return { address: unmapped(text), port };
}
