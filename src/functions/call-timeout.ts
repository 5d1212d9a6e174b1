// The timer of a call's timeout, which also finds out whether the instance computes or waits when it fires: by the CPU time
// that it uses, or is ready to use, in the last half second before. Invariant: `call.timer` is always the one to clear; a call that ends in time
// costs one timer and no look at the CPU. Called by instance.ts.
import type { Explanation } from '../protocol/explanation.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import type { Call } from './call.ts';

/** Of a shorter timeout half of it. */
const WINDOW_MS = 500;

export function armTimeout(
  call: Call,
  options: { sandbox: Sandbox; timeoutMs: number; onTimeout: (cpu: Explanation['cpu']) => void },
): void {
  const { sandbox, timeoutMs, onTimeout } = options;
  const windowMs = Math.min(WINDOW_MS, timeoutMs / 2);
  call.timer = setTimeout(() => {
    const since = performance.now();
    const before = sandbox.cpu();
    call.timer = setTimeout(() => {
      const after = sandbox.cpu();
      const ms = (of: 'ranMs' | 'queuedMs'): number => Math.max(0, after![of] - before![of]);
      const counted = before !== null && after !== null;
      onTimeout(counted ? { ms: ms('ranMs'), queuedMs: ms('queuedMs'), windowMs: performance.now() - since } : null);
    }, windowMs);
  }, timeoutMs - windowMs);
}
