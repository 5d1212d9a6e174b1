// A message that was received and is not settled yet, as the engine holds it. Made by deliveries.ts.
import type { ReceivedMessage } from '../bus.ts';

export interface Held {
  readonly message: ReceivedMessage;
  readonly bytes: number;
  /** Unix ms, by our clock. */
  leasedUntil: number;
  /** Somebody else may have it by now: it is neither delivered nor settled any more. */
  lost: boolean;
}

export function bytesOf({ body, attributes }: ReceivedMessage): number {
  let bytes = Buffer.byteLength(body);
  for (const [name, value] of Object.entries(attributes)) bytes += name.length + value.length;
  return bytes;
}
