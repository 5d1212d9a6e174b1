// `virga start`: the supervisor in the foreground until a signal. The first SIGTERM or SIGINT drains, a second one ends
// everything at once. Invariant: stdout carries the one ready line and nothing else. Called by the CLI's start command.
import type { Config } from '../config/config.ts';
import { createPlatformLog } from './platform-log.ts';
import { StartError } from './start-error.ts';
import { startSupervisor } from './supervisor.ts';
import type { Supervisor } from './supervisor.ts';

/** Resolves with the exit code. `onReady` hears of it after the ready line. */
export async function runStart(
  config: Config,
  options: { onReady?: (supervisor: Supervisor) => void | Promise<void> } = {},
): Promise<number> {
  const log = createPlatformLog('supervisor', config.log);
  const signalled = Promise.withResolvers<NodeJS.Signals>();
  let supervisor: Supervisor | undefined;
  let signals = 0;
  const onSignal = (signal: NodeJS.Signals): void => {
    signals++;
    if (signals === 1) signalled.resolve(signal);
    else {
      log('warn', 'stopping at once');
      if (signals > 2 || supervisor === undefined) process.exit(130);
      void supervisor.kill().finally(() => process.exit(130));
    }
  };
  process.on('SIGTERM', onSignal).on('SIGINT', onSignal);
  try {
    supervisor = await startSupervisor(config, { log });
  } catch (error) {
    if (error instanceof StartError) {
      log('error', error.message);
      return 1;
    }
    throw error;
  }
  process.stdout.write(`Virga is ready: functions on ${supervisor.edgeUrl}, control API on ${supervisor.controlUrl}\n`);
  await options.onReady?.(supervisor);
  const signal = await signalled.promise;
  log('info', `${signal}: stopping; calls in flight have ${Math.round(config.limits.drainMs / 1000)} s to finish`);
  await supervisor.stop();
  return 0;
}
