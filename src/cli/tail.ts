// Looks again and again at what changes, until Ctrl-C: the loop of `virga queues tail` and `virga deliveries tail`. Invariant: one look at
// a time, a pause between two, and a server that restarts is waited for.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Terminal } from './terminal.ts';

const PAUSE_MS = 400;
const PATIENCE_MS = 30_000;

export async function repeatedly(
  look: () => Promise<void>,
  { terminal, signal }: { terminal: Terminal; signal: AbortSignal },
): Promise<void> {
  let failingSince: number | undefined;
  while (!signal.aborted) {
    try {
      await look();
      failingSince = undefined;
    } catch (error) {
      if (signal.aborted) return;
      const { fault } = error as { fault?: string };
      failingSince ??= performance.now();
      if (fault !== 'platform' || performance.now() - failingSince > PATIENCE_MS) throw error;
      terminal.note(terminal.paintError('dim', `waiting: ${(error as Error).message}`));
    }
    await sleep(PAUSE_MS, undefined, { signal }).catch(() => {});
  }
}
