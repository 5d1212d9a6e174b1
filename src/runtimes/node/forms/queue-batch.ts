// A batch of a queue for code that takes one message at a time. Invariant: messages of a group run one after the other, and
// those behind one that failed count as failed without having been tried, so that their order holds when they come again;
// at most `atOnce` run at the same time. `onFailure` tells why one failed. Used by the forms `azure` and `google`.
import type { QueueMessage, QueueOutcome } from '../../../protocol/events.ts';

type Message = Pick<QueueMessage, 'id' | 'group'>;

export async function runBatch<M extends Message>(
  messages: readonly M[],
  options: { atOnce: number; run: (message: M) => Promise<void>; onFailure: (message: M, error: unknown) => void },
): Promise<QueueOutcome> {
  const failed = new Set<string>();
  const lanes = Map.groupBy(messages, (message) => message.group ?? message).values();
  const work = async (): Promise<void> => {
    for (const lane of lanes) for (const { id } of await failedOf(lane, options)) failed.add(id);
  };
  await Promise.all(Array.from({ length: Math.max(1, Math.min(options.atOnce, messages.length)) }, work));
  return { failed: messages.filter(({ id }) => failed.has(id)).map(({ id }) => id) };
}

async function failedOf<M extends Message>(
  lane: M[],
  { run, onFailure }: { run: (message: M) => Promise<void>; onFailure: (message: M, error: unknown) => void },
): Promise<M[]> {
  for (const [index, message] of lane.entries()) {
    try {
      await run(message);
    } catch (error) {
      onFailure(message, error);
      return lane.slice(index);
    }
  }
  return [];
}
