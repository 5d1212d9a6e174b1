// Which calls to send() a queue has room for. Invariant: decided call by call, in their order: one that does not fit takes nothing from
// those behind it. Several processes may pass a bound together, by what each lets in at that moment. Called by sends.ts.
import { VirgaError } from '../../protocol/errors.ts';
import type { QueueSpec } from '../bus.ts';
import type { Session, Statement } from './connections.ts';
import type { Claims } from './deduplication.ts';
import { isDeduplicated } from './new-messages.ts';
import type { Send } from './new-messages.ts';

const DEPTH: Statement = {
  name: 'bus-depth',
  text: `select queue, sum(messages)::float8 as messages, sum(bytes)::float8 as bytes from event_counters where queue = any($1::int[]) group by queue`,
};
type Depths = Map<number, { messages: number; bytes: number }>;

export async function depths(session: Session, sends: Send[]): Promise<Depths> {
  const ids = [...new Set(sends.flatMap((send) => send.messages.map(({ queueId }) => queueId)))];
  const rows = await session.rows<{ queue: number; messages: number; bytes: number }>(DEPTH, [ids]);
  return new Map(rows.map(({ queue, messages, bytes }) => [queue, { messages, bytes }]));
}

/** Those that do not fit, with the reason; of the others it says which messages are duplicates. */
export function fullOnes(sends: Send[], depth: Depths, claims?: Claims): Map<Send, VirgaError> {
  const full = new Map<Send, VirgaError>();
  for (const send of sends) {
    const adds = new Map<number, { queue: QueueSpec; messages: number; bytes: number }>();
    const own = new Map<string, string>();
    for (const fresh of send.messages) {
      const { queue, queueId, message, bytes } = fresh;
      const name = isDeduplicated(queue, message) ? `${queueId} ${message.deduplicationId}` : undefined;
      if (name !== undefined) {
        fresh.duplicateOf = claims?.of(fresh) ?? own.get(name);
        if (fresh.duplicateOf !== undefined) continue;
        own.set(name, message.id);
      }
      const add = adds.get(queueId) ?? { queue, messages: 0, bytes: 0 };
      add.messages++;
      add.bytes += bytes;
      adds.set(queueId, add);
    }
    const problem = problemOf(adds, depth);
    if (problem !== undefined) {
      full.set(send, problem);
      continue;
    }
    for (const [queueId, add] of adds) {
      const before = depth.get(queueId) ?? { messages: 0, bytes: 0 };
      depth.set(queueId, { messages: before.messages + add.messages, bytes: before.bytes + add.bytes });
    }
    for (const fresh of send.messages) if (fresh.duplicateOf === undefined) claims?.take(fresh);
  }
  return full;
}

function problemOf(adds: Map<number, { queue: QueueSpec; messages: number; bytes: number }>, depth: Depths): VirgaError | undefined {
  for (const [queueId, { queue, messages, bytes }] of adds) {
    const before = depth.get(queueId) ?? { messages: 0, bytes: 0 };
    if (before.messages + messages > queue.messagesMax) {
      return new VirgaError(
        'queue_full',
        `${queue.key} has ${before.messages} messages: ${messages} more are beyond its ${queue.messagesMax}`,
      );
    }
    if (before.bytes + bytes > queue.bytesMax) {
      return new VirgaError('queue_full', `${queue.key} has ${before.bytes} bytes: ${bytes} more are beyond its ${queue.bytesMax}`);
    }
  }
  return undefined;
}
