// How the process ends, and what it says then. A throw that nothing caught, or a rejection that nothing handled, leaves the
// process in an unknown state: it is logged with its stack under the invocation whose code it was, and Node's own rule
// applies: the process exits 1, unless the function has a handler of its own for it.
// Invariant: frames and log records written before any exit reach the host. Installed by guest.ts.
import type { Channel } from './channel.ts';
import { describe } from './failure.ts';
import { running } from './invocation.ts';
import type { LogRecords } from './log-records.ts';
import type { StandardStreams } from './standard-streams.ts';

/** A function whose SIGTERM handlers take longer is ended; the host kills it soon after. */
const HOOKS_MS_MAX = 1500;

// Taken now: user code may replace it.
const exit = process.exit.bind(process);

export function installLastWords(parts: { channel: Channel; log: LogRecords; streams: StandardStreams }): void {
  // The monitor only listens; with an 'uncaughtException' listener the function's own would change its meaning.
  process.on('uncaughtExceptionMonitor', (error: unknown, origin) => {
    if (process.listenerCount('uncaughtException') > 0) return;
    const what = origin === 'unhandledRejection' ? 'unhandled rejection' : 'uncaught exception';
    parts.log.write(running.getStore()?.stream ?? 0, 'error', `${what}, the instance ends: ${describe(error)}`);
  });
  process.on('exit', () => {
    parts.streams.endLines();
    parts.log.reportDropped();
    parts.channel.flushAtExit();
  });
}

/** The host asked for an end and nothing runs any more: the function's SIGTERM handlers run, then the process exits 0. */
export function stop(channel: Channel): void {
  if (process.listenerCount('SIGTERM') === 0) exit(0);
  // Without the channel, the process ends by itself as soon as the handlers' work is done.
  channel.unref();
  setTimeout(() => exit(0), HOOKS_MS_MAX).unref();
  process.emit('SIGTERM', 'SIGTERM');
}

/** The host is gone: nobody hears anything any more. */
export function exitAtOnce(): void {
  process.removeAllListeners('exit');
  exit(1);
}

export function exitNow(code: number): void {
  exit(code);
}
